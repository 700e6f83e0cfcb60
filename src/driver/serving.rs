//! Running the handlers of a session's requests: polled once in place, adopted by an executor if that is not enough.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::engine::Engine;
use super::{Arrived, Calls, Handler, Opening, Reply, Request, Slots};
use crate::session::{CallId, Inbound, OpenRequest};

/// Where handlers go that do not finish at once.
pub(super) trait Executor {
    /// Takes over a handler that is pending, or has not been polled yet.
    fn adopt(&mut self, call: CallId, handler: Handler);
}

/// Begins to serve a request: its handler is polled once in place, outside the core.
#[inline]
pub(super) fn begin(engine: &Arc<Engine>, inbound: Inbound, slots: &mut Slots, executor: &mut impl Executor) {
    let Inbound { call, method, payload, body, mut attached } = inbound;
    let virtual_one;
    let dispatch = match call.connection {
        0 => &engine.dispatch,
        id => match engine.dispatch_of(id) {
            Some(dispatch) => {
                virtual_one = dispatch;
                &virtual_one
            }
            // It is over, and so is the request.
            None => return,
        },
    };
    let spawns = dispatch.spawns(method);
    let calls = Arc::clone(engine) as Arc<dyn Calls>;
    let arrived = attached.as_mut().and_then(|attached| Arrived::with(&calls, call.connection, attached));
    let reply = Reply::new(calls, call);
    let request = Request { method, payload, body, attached, arrived: arrived.map(Box::new), reply };
    // A panic drops the reply, which answers for the handler.
    let Some(Some(mut handler)) = caught(|| dispatch.dispatch(request, slots)) else { return };
    if spawns {
        return executor.adopt(call, handler);
    }
    match poll_caught(&mut handler, &mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Finish::Done) => slots.recycle(handler),
        Poll::Ready(Finish::Panicked) => discard(handler),
        Poll::Pending => executor.adopt(call, handler),
    }
}

/// Has this side decide about a connection that the peer wants to open.
#[cold]
pub(super) fn open(engine: &Arc<Engine>, request: OpenRequest) {
    let opening = Opening::new(Arc::clone(engine) as Arc<dyn Calls>, request);
    // A panic drops the opening, which rejects it.
    let (Some(()) | None) = caught(|| engine.dispatch.open(opening));
}

/// Lets go of what serves a connection: it is over.
#[cold]
pub(super) fn closed(engine: &Engine, id: u32) {
    let dispatch = engine.with(|core| core.forget(id));
    let (Some(()) | None) = caught(|| drop(dispatch));
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
