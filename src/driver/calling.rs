//! Calls and answers on an engine: what clients and replies do, from tasks and from threads.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::Calls;
use super::blocking::caller;
use super::core::FRAMES_AT_A_TIME;
use super::engine::Engine;
use crate::codec::Body;
use crate::link::{Peer, Transport};
use crate::session::{Answer, CallRequest, CloseReason, Failure, Negotiated, StartCall};

/// Looks into the link within one poll of a waiting call: about two microseconds, in which most answers arrive.
const LOOKS_IN_POLL: u32 = 128;

impl Calls for Engine {
    fn poll_start(
        &self,
        call: &CallRequest<'_>,
        ticket: &mut Option<u64>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<u64, Answer>> {
        self.with(|core| {
            let session = &mut core.session;
            let started = match session.start_call(call, Instant::now, &mut *core.out) {
                StartCall::Busy => match session.wait_turn(ticket, call.deadline, cx.waker()) {
                    None => return Poll::Pending,
                    Some(answer) => Err(answer),
                },
                StartCall::Started(id) => Ok(id),
                StartCall::Refused(answer) => Err(answer),
            };
            if let Some(ticket) = ticket.take() {
                session.abandon(ticket);
            }
            Poll::Ready(started)
        })
    }

    fn poll_answer(&self, id: u64, cx: &mut Context<'_>) -> Poll<Answer> {
        self.with(|core| {
            // With more calls about another task has work to do meanwhile, and answers come in by the batch.
            if core.session.has_only_call() && !core.has_looker() {
                core.awake();
                let (mut looks, mut frames) = (0, 0);
                while looks < LOOKS_IN_POLL && frames < FRAMES_AT_A_TIME && !self.is_wanted() {
                    if let Poll::Ready(answer) = core.session.poll_answer(id, None) {
                        core.look_on();
                        return Poll::Ready(answer);
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
            core.session.poll_answer(id, Some(cx.waker()))
        })
    }

    fn cancel(&self, id: u64) {
        self.with(|core| core.session.cancel(id, &mut *core.out));
    }

    fn abandon(&self, ticket: u64) {
        self.with(|core| core.session.abandon(ticket));
    }

    fn call_blocking(&self, call: &CallRequest<'_>) -> Answer {
        caller::call(self, call)
    }

    fn respond(&self, id: u64, result: Result<&dyn Body, Failure>) {
        self.with(|core| core.session.respond(id, result, &mut *core.out));
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
