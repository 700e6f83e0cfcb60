//! Running the handlers of a session's requests: polled once in place, adopted by an executor if that is not enough.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::engine::Engine;
use super::{Calls, Handler, Reply, Request, Slots};
use crate::session::Inbound;

/// Where handlers go that do not finish at once.
pub(super) trait Executor {
    /// Takes over a handler that is pending, or has not been polled yet.
    fn adopt(&mut self, id: u64, handler: Handler);
}

/// Begins to serve a request: its handler is polled once in place, outside the core.
#[inline]
pub(super) fn begin(engine: &Arc<Engine>, inbound: Inbound, slots: &mut Slots, executor: &mut impl Executor) {
    let Inbound { id, method, payload, body, metadata, deadline } = inbound;
    let spawns = engine.dispatch.spawns(method);
    let reply = Reply::new(Arc::clone(engine) as Arc<dyn Calls>, id);
    let request = Request { method, payload, body, metadata, deadline, reply };
    // A panic drops the reply, which answers for the handler.
    let Some(Some(mut handler)) = caught(|| engine.dispatch.dispatch(request, slots)) else { return };
    if spawns {
        return executor.adopt(id, handler);
    }
    match poll_caught(&mut handler, &mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Finish::Done) => slots.recycle(handler),
        Poll::Ready(Finish::Panicked) => discard(handler),
        Poll::Pending => executor.adopt(id, handler),
    }
}

/// How a handler ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// It returned.
    Done,
    /// It panicked; its reply has answered so.
    Panicked,
}

/// Polls a handler; its panic ends it and nothing else.
pub(super) fn poll_caught(handler: &mut Handler, cx: &mut Context<'_>) -> Poll<Finish> {
    match caught(|| handler.as_mut().poll(cx)) {
        Some(Poll::Ready(())) => Poll::Ready(Finish::Done),
        Some(Poll::Pending) => Poll::Pending,
        None => Poll::Ready(Finish::Panicked),
    }
}

/// Drops a handler, which runs user code if it is not done.
pub(super) fn discard(handler: Handler) {
    // A panic in there has nobody else to tell.
    let (Some(()) | None) = caught(|| drop(handler));
}

/// Runs user code; `None` if it panicked. What it panicked with may panic once more when it is dropped: that goes no
/// further either.
fn caught<R>(run: impl FnOnce() -> R) -> Option<R> {
    let payload = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => return Some(result),
        Err(payload) => payload,
    };
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
    None
}
