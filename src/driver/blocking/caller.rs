//! Calls made on a thread, and what else a thread waits for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Instant;

use super::wait::{begin_and_wait, wait, wait_for_credit};
use crate::driver::engine::Engine;
use crate::link::Transmit;
use crate::session::{
    Answer, CallId, CallRequest, ChannelId, CloseReason, ConnectionEnd, Gone, ItemRun, Items, Metadata,
    Negotiated, Received, Session, StartCall, Started,
};

fn ready<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(ready) => Some(ready),
        Poll::Pending => None,
    }
}

/// Starts a call on this thread.
#[inline]
pub(in crate::driver) fn start(engine: &Engine, call: &CallRequest<'_>) -> Result<Started, Answer> {
    match engine.with(|core| core.session.start_call(call, Instant::now, &mut *core.out)) {
        StartCall::Started(started) => Ok(started),
        StartCall::Refused(answer) => Err(answer),
        StartCall::Busy => wait_turn(engine, call),
    }
}

/// Makes a call with which nothing goes along: most are sent, and their answer found, in one turn in the core.
#[inline]
pub(in crate::driver) fn call(engine: &Engine, call: &CallRequest<'_>) -> Answer {
    let begin =
        |session: &mut Session, out: &mut dyn Transmit| match session.start_call(call, Instant::now, out) {
            StartCall::Started(started) => Ok(started.call),
            StartCall::Refused(answer) => Err(Some(answer)),
            StartCall::Busy => Err(None),
        };
    let answered = begin_and_wait(engine, begin, |session, call, waker| {
        ready(session.poll_answer(call, waker)).map(Some)
    });
    answered.unwrap_or_else(|| match wait_turn(engine, call) {
        Ok(started) => answer(engine, started.call),
        Err(answer) => answer,
    })
}

/// Waits for the answer to a call.
#[inline]
pub(in crate::driver) fn answer(engine: &Engine, call: CallId) -> Answer {
    wait(engine, &mut None, |session, _, waker| ready(session.poll_answer(call, waker)))
}

#[cold]
fn wait_turn(engine: &Engine, call: &CallRequest<'_>) -> Result<Started, Answer> {
    let mut ticket = None;
    let started =
        wait(engine, &mut None, |session, out, waker| match session.start_call(call, Instant::now, out) {
            StartCall::Started(started) => Some(Ok(started)),
            StartCall::Refused(answer) => Some(Err(answer)),
            StartCall::Busy => {
                let waker = waker.unwrap_or(Waker::noop());
                session.wait_turn(call, &mut ticket, waker).map(Err)
            }
        });
    if let Some(ticket) = ticket {
        engine.with(|core| core.session.abandon(call.connection, ticket));
    }
    started
}

/// Sends items on this thread.
pub(in crate::driver) fn send(engine: &Engine, channel: ChannelId, run: &ItemRun<'_>) -> Result<(), Gone> {
    match engine.with(|core| core.session.poll_send(channel, run, None, &mut *core.out)) {
        Poll::Ready(sent) => sent,
        Poll::Pending => {
            wait_for_credit(engine, |session, out, waker| ready(session.poll_send(channel, run, waker, out)))
        }
    }
}

/// Receives items on this thread.
pub(in crate::driver) fn receive(
    engine: &Engine,
    channel: ChannelId,
    mut consumed: u64,
    into: &mut VecDeque<Items>,
) -> Result<Received, Gone> {
    wait(engine, &mut None, |session, out, waker| {
        ready(session.poll_receive(channel, std::mem::take(&mut consumed), into, waker, out))
    })
}

/// Waits until the peer has answered whether it takes a connection.
pub(in crate::driver) fn wait_connection(engine: &Engine, id: u32) -> Result<Metadata, ConnectionEnd> {
    wait(engine, &mut None, |session, _, waker| {
        ready(session.poll_connection(id, waker.unwrap_or(Waker::noop())))
    })
}

/// Waits until the peer has introduced itself, on a session with a policy; `None` if nothing is to be decided any more.
pub(crate) fn wait_introduced(engine: &Engine) -> Option<Arc<Negotiated>> {
    wait(engine, &mut None, |session, _, waker| {
        ready(session.poll_introduced(waker.unwrap_or(Waker::noop())))
    })
}

/// Waits until the handshake is done.
///
/// # Errors
/// Why the session ended instead.
pub(crate) fn wait_open(engine: &Engine) -> Result<Arc<Negotiated>, CloseReason> {
    wait(engine, &mut None, |session, _, waker| ready(session.poll_open(waker.unwrap_or(Waker::noop()))))
}
