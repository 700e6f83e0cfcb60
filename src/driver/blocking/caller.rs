//! Calls made on a thread, and what else a thread waits for.

use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Instant;

use super::wait::wait;
use crate::driver::engine::Engine;
use crate::session::{Answer, CallRequest, CloseReason, Negotiated, StartCall};

/// A call on this thread.
pub(in crate::driver) fn call(engine: &Engine, call: &CallRequest<'_>) -> Answer {
    let first = engine.with(|core| core.session.start_call(call, Instant::now, &mut *core.out));
    let started = match first {
        StartCall::Started(id) => Ok(id),
        StartCall::Refused(answer) => Err(answer),
        StartCall::Busy => wait_turn(engine, call),
    };
    match started {
        Ok(id) => wait(engine, &mut None, |session, _, waker| match session.poll_answer(id, waker) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        }),
        Err(answer) => answer,
    }
}

#[cold]
fn wait_turn(engine: &Engine, call: &CallRequest<'_>) -> Result<u64, Answer> {
    let mut ticket = None;
    let started =
        wait(engine, &mut None, |session, out, waker| match session.start_call(call, Instant::now, out) {
            StartCall::Started(id) => Some(Ok(id)),
            StartCall::Refused(answer) => Some(Err(answer)),
            StartCall::Busy => {
                session.wait_turn(&mut ticket, call.deadline, waker.unwrap_or(Waker::noop())).map(Err)
            }
        });
    if let Some(ticket) = ticket {
        engine.with(|core| core.session.abandon(ticket));
    }
    started
}

/// Waits until the handshake is done.
///
/// # Errors
/// Why the session ended instead.
pub(crate) fn wait_open(engine: &Engine) -> Result<Arc<Negotiated>, CloseReason> {
    wait(engine, &mut None, |session, _, waker| match session.poll_open(waker.unwrap_or(Waker::noop())) {
        Poll::Ready(open) => Some(open),
        Poll::Pending => None,
    })
}
