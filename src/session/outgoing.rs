//! The calls that this side makes.

use std::task::{Poll, Waker};
use std::time::Instant;

use rustc_hash::{FxHashMap, FxHashSet};

use super::machine::{Farewell, Phase, register};
use super::options::Options;
use super::outbox::Outbox;
use super::timers::Timer;
use super::turns::{Turns, Wait};
use super::wire::{Writer, short, shortened};
use super::{Answer, CallRequest, CloseReason, Failure, Limits, Method, Role, Rule, Session, StartCall};
use crate::link::{Buffer, Flags, Frame, Header, Kind, Transmit};

/// The most bytes of a name in a binding; a name is for people to read.
const NAME: usize = 255;

/// The calls that this side makes.
pub(super) struct Outgoing {
    /// The ID of the next request.
    next: u64,
    /// Requests whose slot is taken: sent, and not answered yet.
    live: u32,
    calls: FxHashMap<u64, Call>,
    /// The methods that the peer has been told of.
    bound: FxHashSet<u64>,
    /// Those that wait until they may call.
    pub(super) turns: Turns,
    /// How much room somebody has waited for in vain.
    starved: Option<usize>,
}

/// A call in flight.
struct Call {
    state: State,
    deadline: Option<Instant>,
    /// Whether all of it is in the link.
    sent: bool,
}

enum State {
    /// Its answer is awaited, by whoever this wakes.
    Waiting(Option<Waker>),
    /// Its answer is here. The slot is free already.
    Answered(Answer),
    /// Its caller has its answer, out of time, or has gone; the peer's is awaited and will be dropped.
    Abandoned,
    /// Like `Abandoned`, and the caller has not yet fetched that it is out of time.
    Expired,
}

impl Outgoing {
    pub(super) fn new(role: Role) -> Self {
        Self {
            next: role.first_id(),
            live: 0,
            calls: FxHashMap::default(),
            bound: FxHashSet::default(),
            turns: Turns::default(),
            starved: None,
        }
    }

    /// Whether nothing at all is kept of any call.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.live == 0
    }

    #[inline]
    pub(super) fn is_starved(&self) -> bool {
        self.starved.is_some()
    }

    /// Whether there is room again that a caller has waited for.
    pub(super) fn starves_no_more(&mut self, outbox: &Outbox, out: &mut dyn Transmit) -> bool {
        let Some(length) = self.starved else { return false };
        let room = outbox.has_room(length, out);
        if room {
            self.starved = None;
        }
        room
    }

    /// A message that had to wait is wholly in the link.
    pub(super) fn sent(&mut self, id: u64) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.sent = true;
        }
    }

    /// The session is over: whoever waits gets an answer that says so.
    pub(super) fn end(&mut self, reason: &CloseReason, wakers: &mut Vec<Waker>) {
        self.calls.retain(|_, call| match &mut call.state {
            State::Waiting(waker) => {
                wakers.extend(waker.take());
                call.state = State::Answered(disconnected(reason, call.sent));
                true
            }
            State::Answered(_) | State::Expired => true,
            State::Abandoned => false,
        });
        self.live = 0;
        self.starved = None;
        self.turns.wake(usize::MAX, wakers);
    }

    /// Whether a request under this ID has been made.
    fn was_made(&self, role: Role, id: u64) -> bool {
        role.owns(id) && id < self.next
    }
}

fn disconnected(reason: &CloseReason, maybe_executed: bool) -> Answer {
    Answer::Disconnected { reason: reason.clone(), maybe_executed }
}

impl Session {
    /// Sends a request if it may be sent now.
    #[inline]
    pub(crate) fn start_call(
        &mut self,
        call: &CallRequest<'_>,
        now: impl FnOnce() -> Instant,
        out: &mut dyn Transmit,
    ) -> StartCall {
        let limits = match &self.phase {
            Phase::Open { agreed, farewell: Farewell::None } => agreed.limits,
            Phase::Open { farewell, .. } => {
                let ours = matches!(farewell, Farewell::Said | Farewell::Answered);
                let reason = if ours { CloseReason::Local } else { CloseReason::Goodbye };
                return StartCall::Refused(disconnected(&reason, false));
            }
            Phase::Opening { .. } => return StartCall::Busy,
            Phase::Over { reason, .. } => return StartCall::Refused(disconnected(reason, false)),
        };
        let options = Options::of(call, now);
        if let Some(refused) = refused(call, options.as_ref(), &limits) {
            return StartCall::Refused(Answer::Failure(refused));
        }
        if self.outgoing.live >= limits.requests {
            return StartCall::Busy;
        }
        if !self.outgoing.bound.contains(&call.method.id) {
            self.bind(call.method, out);
        }
        let id = self.outgoing.next;
        let flags = if options.is_some() { Flags::OPTIONS } else { Flags::NONE };
        let header = Header { id, method: call.method.id, flags, ..Header::new(Kind::Call) };
        let length = options.map_or(0, |options| options.size()) + call.body.length();
        let write = |place: &mut [u8]| match &options {
            None => call.body.write(place),
            Some(options) => {
                let mut to = Writer::new(place);
                options.encode(&mut to);
                call.body.write(to.rest());
            }
        };
        let sent = self.outbox.try_send(header, length, out, write).is_ok();
        if !sent {
            if length <= out.max_payload() || !self.outbox.is_empty() {
                self.outgoing.starved = Some(length.min(out.max_payload()));
                return StartCall::Busy;
            }
            let mut bytes = Buffer::new();
            bytes.resize(length, 0);
            write(&mut bytes);
            self.outbox.keep(header, bytes);
            self.flush(out);
        }
        self.outgoing.next += 2;
        self.outgoing.live += 1;
        // A message that `flush` has wholly sent was not listed yet; then nothing of it waits any more.
        let sent = sent || self.outbox.is_empty();
        let state = State::Waiting(None);
        self.outgoing.calls.insert(id, Call { state, deadline: call.deadline, sent });
        if let Some(at) = call.deadline {
            self.timers.set(at, Timer::Call(id));
        }
        StartCall::Started(id)
    }

    /// Tells the peer of a method before its first call.
    #[cold]
    fn bind(&mut self, method: &'static Method, out: &mut dyn Transmit) {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&(method.types)().to_le_bytes());
        for name in [method.service, method.name] {
            let name = shortened(name, NAME);
            bytes.extend_from_slice(&short(name.len()));
            bytes.extend_from_slice(name.as_bytes());
        }
        self.outbox.send(Header { method: method.id, ..Header::new(Kind::Bind) }, &bytes, out);
        self.outgoing.bound.insert(method.id);
    }

    /// Registers a caller that was told to wait; gives its answer instead if its time is over.
    pub(crate) fn wait_turn(
        &mut self,
        ticket: &mut Option<u64>,
        deadline: Option<Instant>,
        waker: &Waker,
    ) -> Option<Answer> {
        match self.outgoing.turns.wait(ticket, deadline, waker, &mut self.spent) {
            Wait::Registered(ticket) => {
                if let Some(at) = deadline {
                    self.timers.set(at, Timer::Turn(ticket));
                }
                None
            }
            Wait::Known => None,
            Wait::Expired => Some(Answer::Failure(Failure::DeadlineExceeded)),
        }
    }

    /// A caller waits for its turn no more, because it has had it or is gone.
    pub(crate) fn abandon(&mut self, ticket: u64) {
        let deadline = self.outgoing.turns.leave(ticket, &mut self.spent);
        self.timers.clear(deadline, Timer::Turn(ticket));
        self.wake_turns();
    }

    /// Wakes as many of those that wait as may call now.
    pub(super) fn wake_turns(&mut self) {
        let free = match &self.phase {
            Phase::Opening { .. } => return,
            Phase::Open { agreed, farewell: Farewell::None } => {
                agreed.limits.requests.saturating_sub(self.outgoing.live)
            }
            // They are all refused.
            Phase::Open { .. } | Phase::Over { .. } => u32::MAX,
        };
        let free = usize::try_from(free).unwrap_or(usize::MAX);
        self.outgoing.turns.wake(free, &mut self.wakers);
    }

    /// The answer to a request, if it is here; else whom to wake when it is, or nobody if its caller is awake.
    #[inline]
    pub(crate) fn poll_answer(&mut self, id: u64, waker: Option<&Waker>) -> Poll<Answer> {
        let Some(call) = self.outgoing.calls.get_mut(&id) else {
            // Asked again after the answer was given.
            return Poll::Ready(Answer::Failure(Failure::Cancelled));
        };
        match &mut call.state {
            State::Waiting(known) => {
                self.spent.extend(register(known, waker));
                Poll::Pending
            }
            State::Expired => {
                call.state = State::Abandoned;
                if self.is_over() {
                    self.outgoing.calls.remove(&id);
                }
                Poll::Ready(Answer::Failure(Failure::DeadlineExceeded))
            }
            State::Answered(_) => match self.outgoing.calls.remove(&id) {
                Some(Call { state: State::Answered(answer), .. }) => Poll::Ready(answer),
                _ => Poll::Ready(Answer::Failure(Failure::Cancelled)),
            },
            State::Abandoned => Poll::Ready(Answer::Failure(Failure::Cancelled)),
        }
    }

    /// The caller of a request is gone: the peer is told, and its answer is dropped when it comes.
    pub(crate) fn cancel(&mut self, id: u64, out: &mut dyn Transmit) {
        let over = self.is_over();
        let Some(call) = self.outgoing.calls.get_mut(&id) else { return };
        match &mut call.state {
            State::Waiting(waker) => {
                self.spent.extend(waker.take());
                call.state = State::Abandoned;
                self.withdraw(id, out);
            }
            State::Expired if !over => call.state = State::Abandoned,
            State::Expired | State::Answered(_) => drop(self.outgoing.calls.remove(&id)),
            State::Abandoned => {}
        }
    }

    /// The caller of a request is out of time.
    pub(super) fn call_expired(&mut self, id: u64, out: &mut dyn Transmit) {
        let Some(call) = self.outgoing.calls.get_mut(&id) else { return };
        call.deadline = None;
        if let State::Waiting(waker) = &mut call.state {
            self.wakers.extend(waker.take());
            call.state = State::Expired;
            self.withdraw(id, out);
        }
    }

    /// Tells the peer that an answer is not wanted, or takes the request back if nothing of it was sent.
    fn withdraw(&mut self, id: u64, out: &mut dyn Transmit) {
        if self.outbox.take_back(|header| header.kind == Kind::Call && header.id == id) {
            self.call_ended(id);
        } else {
            self.outbox.send(Header { id, ..Header::new(Kind::Cancel) }, &[], out);
        }
    }

    /// A request's slot is free.
    fn call_ended(&mut self, id: u64) {
        let Some(call) = self.outgoing.calls.get_mut(&id) else { return };
        let deadline = call.deadline.take();
        match call.state {
            State::Abandoned => drop(self.outgoing.calls.remove(&id)),
            State::Expired => {
                call.state = State::Answered(Answer::Failure(Failure::DeadlineExceeded));
            }
            State::Waiting(_) | State::Answered(_) => {}
        }
        self.timers.clear(deadline, Timer::Call(id));
        self.outgoing.live -= 1;
        self.wake_turns();
    }

    pub(super) fn handle_answer(&mut self, frame: &mut Frame) -> Result<(), Rule> {
        let id = frame.header.id;
        let Some(call) = self.outgoing.calls.get_mut(&id) else {
            // Its caller withdrew it before it was sent, or the peer answers twice, which harms nobody.
            return if self.outgoing.was_made(self.role, id) { Ok(()) } else { Err(Rule::AnswerToNothing) };
        };
        if let State::Answered(_) = call.state {
            return Ok(());
        }
        let payload = std::mem::take(&mut frame.payload);
        let answer = match frame.header.kind {
            Kind::Response => Answer::Response(payload),
            _ => Answer::Failure(Failure::decode(payload).map_err(|_| Rule::FailureForm)?),
        };
        if let State::Waiting(waker) = &mut call.state {
            self.wakers.extend(waker.take());
            call.state = State::Answered(answer);
        }
        self.call_ended(id);
        Ok(())
    }

    /// Whether a single call is about: no other is awaited, and no other's answer is still to be fetched.
    #[inline]
    pub(crate) fn has_only_call(&self) -> bool {
        self.outgoing.calls.len() == 1
    }

    /// Calls whose answers are awaited, by their callers or by nobody any more.
    #[cfg(any(fuzzing, test))]
    pub(crate) fn calls_in_flight(&self) -> u32 {
        self.outgoing.live
    }
}

/// Why a call may not be sent at all.
#[inline]
fn refused(call: &CallRequest<'_>, options: Option<&Options<'_>>, limits: &Limits) -> Option<Failure> {
    if let Some(options) = options {
        if options.expired() {
            return Some(Failure::DeadlineExceeded);
        }
        if !limits.admit(call.metadata) {
            let (size, limit) = (call.metadata.encoded_size() as u64, u64::from(limits.metadata_size));
            return Some(Failure::TooLarge { size, limit });
        }
    }
    let size = (options.map_or(0, Options::size) + call.body.length()) as u64;
    (size > limits.payload).then_some(Failure::TooLarge { size, limit: limits.payload })
}
