//! Running the handlers of a session's requests: polled once in place, adopted by an executor if that is not enough.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};

use super::engine::Engine;
use super::{Handler, Slots};
use crate::session::Inbound;

/// Where handlers go that do not finish at once.
pub(super) trait Executor {
    /// Takes over a handler that is pending, or has not been polled yet.
    fn adopt(&mut self, id: u64, handler: Handler);
}

/// Begins to serve a request: its handler is polled once in place, outside the core.
#[inline]
pub(super) fn begin(engine: &Engine, inbound: Inbound, slots: &mut Slots, executor: &mut impl Executor) {
    let (id, spawns) = (inbound.id, engine.dispatch.spawns(inbound.method));
    let Some(request) = engine.request(inbound) else { return };
    // A panic drops the reply, which answers for the handler.
    let Ok(Some(mut handler)) = catch_unwind(AssertUnwindSafe(|| engine.dispatch.dispatch(request, slots)))
    else {
        return;
    };
    if spawns {
        return executor.adopt(id, handler);
    }
    match poll_caught(&mut handler, &mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Finish::Done) => slots.recycle(handler),
        Poll::Ready(Finish::Panicked) => {}
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
    match catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(cx))) {
        Ok(Poll::Ready(())) => Poll::Ready(Finish::Done),
        Ok(Poll::Pending) => Poll::Pending,
        Err(_) => Poll::Ready(Finish::Panicked),
    }
}
