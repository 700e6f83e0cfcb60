//! Handlers that did not finish at once, as tasks of the runtime.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use tokio::task::AbortHandle;

use crate::driver::Handler;
use crate::driver::serving::{Executor, poll_caught};
use crate::session::CallId;

/// The tasks of one session's pending handlers, by request.
#[derive(Default)]
pub(super) struct Tasks(Arc<Mutex<List>>);

/// A task that is just being spawned has no handle yet.
type List = FxHashMap<CallId, Option<AbortHandle>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a task off the list when it ends, however it ends.
struct Listed {
    tasks: Arc<Mutex<List>>,
    call: CallId,
}

impl Drop for Listed {
    fn drop(&mut self) {
        lock(&self.tasks).remove(&self.call);
    }
}

impl Executor for Tasks {
    fn adopt(&mut self, call: CallId, mut handler: Handler) {
        let listed = Listed { tasks: Arc::clone(&self.0), call };
        // Listed first: the task may have ended when it has been spawned. A runtime that is ending drops it right there.
        lock(&self.0).insert(call, None);
        let task = tokio::spawn(async move {
            let _listed = listed;
            poll_fn(|cx| poll_caught(&mut handler, cx)).await;
        });
        if let Some(listed) = lock(&self.0).get_mut(&call) {
            *listed = Some(task.abort_handle());
        }
    }
}

impl Tasks {
    /// Drops the handler of a request, if it runs here.
    pub(super) fn cancel(&self, call: CallId) {
        let task = lock(&self.0).remove(&call);
        if let Some(Some(task)) = task {
            task.abort();
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        // Aborting an idle task can drop it, and its `Listed`, on this thread: not under the lock.
        let tasks: Vec<AbortHandle> = lock(&self.0).drain().filter_map(|(_, task)| task).collect();
        for task in tasks {
            task.abort();
        }
    }
}
