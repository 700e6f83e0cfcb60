//! Calls and answers on an engine: what clients and replies do, from tasks and from threads.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::Calls;
use super::blocking::caller;
use super::engine::{Engine, Resident};
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
        let started = self.with(|session, out| match session.start_call(call, Instant::now, out) {
            StartCall::Busy => session.wait_turn(ticket, call.deadline, cx.waker()).map(Err),
            StartCall::Started(id) => Some(Ok(id)),
            StartCall::Refused(answer) => Some(Err(answer)),
        });
        match started {
            Some(started) => {
                if let Some(ticket) = ticket.take() {
                    self.abandon(ticket);
                }
                if call.deadline.is_some() && started.is_ok() {
                    self.wake_resident();
                }
                Poll::Ready(started)
            }
            // Whoever sleeps on the bell did not know that room is wanted.
            None => {
                self.wake_resident();
                Poll::Pending
            }
        }
    }

    fn poll_answer(&self, id: u64, cx: &mut Context<'_>) -> Poll<Answer> {
        let Some(mut intake) = self.take_role() else {
            return self.with(|session, _| session.poll_answer(id, Some(cx.waker())));
        };
        let (mut answer, alone) =
            self.peek(|session| (session.poll_answer(id, None), session.calls_in_flight() == 1));
        // With more calls in flight another task has work to do meanwhile; spinning would keep it from it.
        let looks = if alone && intake.spin.pays() && self.signal.may_spin() { LOOKS_IN_POLL } else { 1 };
        let mut looked = 0;
        while answer.is_pending() && looked < looks {
            match self.take_frame(&mut intake, |session| session.poll_answer(id, None)) {
                Some(now) => answer = now,
                None => {
                    looked += 1;
                    std::hint::spin_loop();
                }
            }
        }
        if answer.is_pending() {
            answer = self.with(|session, _| session.poll_answer(id, Some(cx.waker())));
        }
        // In a burst the resident looks on for a while: going to sleep and being woken would cost both sides more.
        let look_on = intake.spin.pays() || self.peek(|session| session.has_requests());
        self.leave(intake, look_on);
        answer
    }

    fn cancel(&self, id: u64) {
        self.with(|session, out| session.cancel(id, out));
    }

    fn abandon(&self, ticket: u64) {
        self.with(|session, _| session.abandon(ticket));
    }

    fn call_blocking(&self, call: &CallRequest<'_>) -> Answer {
        caller::call(self, call)
    }

    fn respond(&self, id: u64, result: Result<&dyn Body, Failure>) {
        self.with(|session, out| session.respond(id, result, out));
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
        self.with(|session, _| session.poll_closed(cx.waker()))
    }

    fn wait_closed(&self) -> CloseReason {
        caller::wait_closed(self)
    }

    fn goodbye(&self, patience: Option<Duration>) {
        let until = patience.and_then(|patience| Instant::now().checked_add(patience));
        self.with(|session, out| session.goodbye(out, until));
        self.wake_resident();
    }

    fn close(&self) {
        self.with(|session, out| session.close(CloseReason::Local, out));
        match self.resident {
            Resident::None => self.wake_all(),
            Resident::Task | Resident::Thread => self.wake_resident(),
        }
    }

    fn peer_died(&self) {
        self.hung_up();
    }
}
