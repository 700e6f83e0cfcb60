//! Handlers that did not finish at once, as tasks of the runtime.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use tokio::task::AbortHandle;

use crate::driver::Handler;
use crate::driver::serving::{Executor, poll_caught};

/// The tasks of one session's pending handlers.
#[derive(Default)]
pub(super) struct Tasks(Arc<Mutex<FxHashMap<u64, AbortHandle>>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a task off the list when it ends, however it ends.
struct Listed {
    tasks: Arc<Mutex<FxHashMap<u64, AbortHandle>>>,
    id: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        lock(&self.tasks).remove(&self.id);
    }
}

impl Executor for Tasks {
    fn adopt(&mut self, id: u64, mut handler: Handler) {
        let listed = Listed { tasks: Arc::clone(&self.0), id };
        // Held over the spawn: the task cannot take itself off the list before it is on it.
        let mut tasks = lock(&self.0);
        let task = tokio::spawn(async move {
            let _listed = listed;
            poll_fn(|cx| poll_caught(&mut handler, cx)).await;
        });
        tasks.insert(id, task.abort_handle());
    }
}

impl Tasks {
    /// Drops the handler of a request, if it runs here.
    pub(super) fn cancel(&self, id: u64) {
        let task = lock(&self.0).remove(&id);
        if let Some(task) = task {
            task.abort();
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        // Aborting an idle task can drop it, and its `Listed`, on this thread: not under the lock.
        let tasks: Vec<AbortHandle> = lock(&self.0).drain().map(|(_, task)| task).collect();
        for task in tasks {
            task.abort();
        }
    }
}
