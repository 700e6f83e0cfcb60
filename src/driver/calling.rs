//! Calls and answers on an engine: what clients and replies do, from tasks and from threads.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::blocking::caller;
use super::core::{Core, FRAMES_AT_A_TIME};
use super::engine::Engine;
use super::{Calls, Dispatch};
use crate::link::{Peer, Transmit, Transport};
use crate::session::{
    Answer, CallId, CallRequest, ChannelId, CloseReason, ConnectionEnd, ConnectionSettings, Failure, Gone,
    ItemRun, Items, Metadata, Negotiated, OpenRefused, Outcome, Received, Rejection, Session, SessionStats,
    StartCall, Started,
};

/// Looks into the link within one poll of a waiting call: about two microseconds, in which most answers arrive.
const LOOKS_IN_POLL: u32 = 128;

impl Engine {
    /// Looks into the link for what a task waits for, for a moment; then has the task woken. With more under way than that
    /// another task has work to do meanwhile, and answers come in by the batch: then it only asks.
    #[inline]
    fn look_for<T>(
        &self,
        core: &mut Core,
        is_alone: impl Fn(&Session) -> bool,
        waker: &Waker,
        mut ready: impl FnMut(&mut Session, &mut dyn Transmit, Option<&Waker>) -> Poll<T>,
    ) -> Poll<T> {
        if is_alone(&core.session) && !core.has_looker() {
            core.awake();
            let (mut looks, mut frames) = (0, 0);
            while looks < LOOKS_IN_POLL && frames < FRAMES_AT_A_TIME && !self.is_wanted() {
                if let Poll::Ready(found) = ready(&mut core.session, &mut *core.out, None) {
                    core.look_on();
                    return Poll::Ready(found);
                }
                if core.advance() {
                    frames += 1;
                    continue;
                }
                if !core.looks_on(looks, &*self.signal) {
                    break;
                }
                looks += 1;
                std::hint::spin_loop();
            }
        }
        core.look_on();
        ready(&mut core.session, &mut *core.out, Some(waker))
    }
}

#[inline]
fn poll_start(
    core: &mut Core,
    call: &CallRequest<'_>,
    ticket: &mut Option<u64>,
    cx: &mut Context<'_>,
) -> Poll<Result<Started, Answer>> {
    let session = &mut core.session;
    let started = match session.start_call(call, Instant::now, &mut *core.out) {
        StartCall::Busy => match session.wait_turn(call, ticket, cx.waker()) {
            None => return Poll::Pending,
            Some(answer) => Err(answer),
        },
        StartCall::Started(started) => Ok(started),
        StartCall::Refused(answer) => Err(answer),
    };
    if let Some(ticket) = ticket.take() {
        session.abandon(call.connection, ticket);
    }
    Poll::Ready(started)
}

impl Calls for Engine {
    fn poll_start(
        &self,
        call: &CallRequest<'_>,
        ticket: &mut Option<u64>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Started, Answer>> {
        self.with(|core| poll_start(core, call, ticket, cx))
    }

    fn poll_call(
        &self,
        call: &CallRequest<'_>,
        ticket: &mut Option<u64>,
        cx: &mut Context<'_>,
    ) -> (Option<CallId>, Poll<Answer>) {
        self.with(|core| {
            let call = match poll_start(core, call, ticket, cx) {
                Poll::Pending => return (None, Poll::Pending),
                Poll::Ready(Err(answer)) => return (None, Poll::Ready(answer)),
                Poll::Ready(Ok(started)) => started.call,
            };
            // One that is to be rung has no answer for a while.
            let answer = if core.show(&*self.signal) {
                self.look_for(core, Session::has_only_call, cx.waker(), |session, _, waker| {
                    session.poll_answer(call, waker)
                })
            } else {
                core.look_on();
                core.session.poll_answer(call, Some(cx.waker()))
            };
            (Some(call), answer)
        })
    }

    fn poll_answer(&self, call: CallId, cx: &mut Context<'_>) -> Poll<Answer> {
        self.with(|core| {
            self.look_for(core, Session::has_only_call, cx.waker(), |session, _, waker| {
                session.poll_answer(call, waker)
            })
        })
    }

    fn cancel(&self, call: CallId) {
        self.with(|core| core.session.cancel(call, &mut *core.out));
    }

    fn abandon(&self, connection: u32, ticket: u64) {
        self.with(|core| core.session.abandon(connection, ticket));
    }

    fn start_blocking(&self, call: &CallRequest<'_>) -> Result<Started, Answer> {
        caller::start(self, call)
    }

    fn answer_blocking(&self, call: CallId) -> Answer {
        caller::answer(self, call)
    }

    fn call_blocking(&self, call: &CallRequest<'_>) -> Answer {
        caller::call(self, call)
    }

    fn respond(&self, call: CallId, result: Result<Outcome<'_>, Failure>) -> Option<u64> {
        self.with(|core| core.session.respond(call, result, &mut *core.out))
    }

    fn credit(&self, channel: ChannelId) -> Result<u64, Gone> {
        self.with(|core| core.session.credit(channel, &*core.out))
    }

    fn poll_send(
        &self,
        channel: ChannelId,
        run: &ItemRun<'_>,
        waker: Option<&Waker>,
    ) -> Poll<Result<(), Gone>> {
        self.with(|core| {
            let sent = core.session.poll_send(channel, run, None, &mut *core.out);
            match waker {
                Some(waker) if sent.is_pending() => {
                    self.look_for(core, Session::has_only_channel, waker, |session, out, waker| {
                        session.poll_send(channel, run, waker, out)
                    })
                }
                _ => sent,
            }
        })
    }

    fn send_blocking(&self, channel: ChannelId, run: &ItemRun<'_>) -> Result<(), Gone> {
        caller::send(self, channel, run)
    }

    fn poll_receive(
        &self,
        channel: ChannelId,
        consumed: u64,
        into: &mut VecDeque<Items>,
        waker: Option<&Waker>,
    ) -> Poll<Result<Received, Gone>> {
        self.with(|core| {
            let received = core.session.poll_receive(channel, consumed, into, None, &mut *core.out);
            match waker {
                Some(waker) if received.is_pending() => {
                    self.look_for(core, Session::has_only_channel, waker, |session, out, waker| {
                        session.poll_receive(channel, 0, into, waker, out)
                    })
                }
                _ => received,
            }
        })
    }

    fn receive_blocking(
        &self,
        channel: ChannelId,
        consumed: u64,
        into: &mut VecDeque<Items>,
    ) -> Result<Received, Gone> {
        caller::receive(self, channel, consumed, into)
    }

    fn poll_gone(&self, channel: ChannelId, waker: &Waker) -> Poll<Gone> {
        self.with(|core| core.session.poll_gone(channel, waker))
    }

    fn finish(&self, channel: ChannelId, metadata: &Metadata) {
        self.with(|core| core.session.finish_channel(channel, metadata, &mut *core.out));
    }

    fn reset(&self, channel: ChannelId) {
        self.with(|core| core.session.reset_channel(channel, &mut *core.out));
    }

    fn open_connection(
        &self,
        service: &str,
        metadata: &Metadata,
        settings: Option<ConnectionSettings>,
        dispatch: Arc<dyn Dispatch>,
    ) -> Result<u32, OpenRefused> {
        self.with(|core| core.open_connection(service, metadata, settings, dispatch))
    }

    fn poll_connection(&self, id: u32, cx: &mut Context<'_>) -> Poll<Result<Metadata, ConnectionEnd>> {
        self.with(|core| core.session.poll_connection(id, cx.waker()))
    }

    fn wait_connection(&self, id: u32) -> Result<Metadata, ConnectionEnd> {
        caller::wait_connection(self, id)
    }

    fn accept_connection(
        &self,
        id: u32,
        metadata: &Metadata,
        settings: Option<ConnectionSettings>,
        dispatch: Arc<dyn Dispatch>,
    ) -> bool {
        self.with(|core| core.accept_connection(id, metadata, settings, dispatch))
    }

    fn reject_connection(&self, id: u32, rejection: &Rejection) {
        self.with(|core| core.session.reject_connection(id, rejection, &mut *core.out));
    }

    fn close_connection(&self, id: u32) {
        self.with(|core| core.session.close_connection(id, &mut *core.out));
    }

    fn release_connection(&self, id: u32, closes: bool) {
        drop(self.with(|core| core.release_connection(id, closes)));
    }

    fn poll_connection_over(&self, id: u32, cx: &mut Context<'_>) -> Poll<CloseReason> {
        self.with(|core| core.session.poll_connection_over(id, cx.waker()))
    }

    fn transport(&self) -> Transport {
        self.peek(|session| session.transport().clone())
    }

    fn peer(&self) -> Peer {
        self.peek(|session| session.peer())
    }

    fn negotiated(&self) -> Option<Arc<Negotiated>> {
        self.peek(|session| session.negotiated())
    }

    fn stats(&self) -> SessionStats {
        self.snapshot()
    }

    fn close_reason(&self) -> Option<CloseReason> {
        self.peek(|session| session.close_reason().cloned())
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        self.with(|core| core.session.poll_closed(cx.waker()))
    }

    fn goodbye(&self, patience: Option<Duration>) {
        let until = patience.and_then(|patience| Instant::now().checked_add(patience));
        self.with(|core| core.session.goodbye(&mut *core.out, until));
    }

    fn close(&self) {
        self.with(|core| core.session.close(CloseReason::Local, &mut *core.out));
    }

    fn peer_died(&self) {
        self.hung_up();
    }
}
