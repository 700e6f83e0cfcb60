//! The calls that this side makes on a connection.

use std::collections::hash_map::{Entry, OccupiedEntry};
use std::task::{Poll, Waker};
use std::time::Instant;

use rustc_hash::FxHashMap;

use super::connection::{Connection, Last};
use super::io::Io;
use super::machine::register;
use super::options::Options;
use super::outbox::{Along, NotNow};
use super::timers::Timer;
use super::turns::{Turns, Wait};
use super::wire::{Writer, short, shortened};
use super::{
    Answer, CallId, CallRequest, Callee, CloseReason, Failure, Limits, Response, Role, Rule, StartCall,
    Started,
};
use crate::link::{Flags, Frame, Header, Kind, Transmit};

/// The most bytes of a name in a binding; a name is for people to read.
const NAME: usize = 255;

/// The calls that this side makes on a connection.
pub(super) struct Outgoing {
    /// The ID of the next request.
    next: u64,
    /// Requests whose slot is taken: sent, and not answered yet.
    live: u32,
    /// How many descriptors have gone with them.
    descriptors: u32,
    calls: FxHashMap<u64, Call>,
    /// The methods that the peer has been told of, with their types where calls are forwarded.
    bound: FxHashMap<u64, Option<u64>>,
    /// Those that wait until they may call.
    pub(super) turns: Turns,
}

/// A call in flight.
struct Call {
    state: State,
    deadline: Option<Instant>,
    /// Whether all of it is in the link.
    sent: bool,
    /// Whether it declares channels.
    declares: bool,
    /// How many descriptors have gone with it.
    descriptors: u32,
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

/// What a call gives back with its slot.
struct Freed {
    deadline: Option<Instant>,
    descriptors: u32,
}

impl Freed {
    /// The slot of this call is free, whether or not its caller has fetched its answer.
    #[inline]
    fn by(mut entry: OccupiedEntry<'_, u64, Call>) -> Self {
        let call = entry.get_mut();
        let freed = Self { deadline: call.deadline.take(), descriptors: call.descriptors };
        match call.state {
            State::Abandoned => drop(entry.remove()),
            State::Expired => call.state = State::Answered(Answer::Failure(Failure::DeadlineExceeded)),
            State::Waiting(_) | State::Answered(_) => {}
        }
        freed
    }
}

impl Outgoing {
    pub(super) fn new(role: Role) -> Self {
        Self {
            next: role.first_id(),
            live: 0,
            descriptors: 0,
            calls: FxHashMap::default(),
            bound: FxHashMap::default(),
            turns: Turns::default(),
        }
    }

    /// Whether nothing at all is kept of any call, and nobody waits to make one.
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.turns.is_empty()
    }

    /// Whether a single call is about: no other is awaited, and no other's answer is still to be fetched.
    #[inline]
    pub(super) fn has_one(&self) -> bool {
        self.calls.len() == 1
    }

    /// Requests whose slot is taken.
    #[cfg(any(fuzzing, test))]
    pub(super) fn in_flight(&self) -> usize {
        self.live as usize
    }

    /// A message that had to wait is wholly in the link.
    pub(super) fn sent(&mut self, id: u64) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.sent = true;
        }
    }

    /// The connection is over: whoever waits gets an answer that says so.
    pub(super) fn end(&mut self, connection: u32, reason: &CloseReason, last: Last, io: &mut Io) {
        self.calls.retain(|id, call| {
            io.timers.clear(call.deadline.take(), Timer::Call(CallId { connection, id: *id }));
            match &mut call.state {
                State::Waiting(waker) => {
                    io.wakers.extend(waker.take());
                    // What waits here goes out before this side's last word.
                    let maybe_executed = call.sent || last == Last::Ours;
                    call.state = State::Answered(disconnected(reason, maybe_executed));
                    true
                }
                State::Answered(_) | State::Expired => true,
                State::Abandoned => false,
            }
        });
        io.in_flight.calls -= self.live as usize;
        (self.live, self.descriptors) = (0, 0);
        self.turns.wake_all(&mut io.wakers);
    }

    /// Whether a request under this ID has been made.
    fn was_made(&self, role: Role, id: u64) -> bool {
        role.owns(id) && id < self.next
    }
}

pub(super) fn disconnected(reason: &CloseReason, maybe_executed: bool) -> Answer {
    Answer::Disconnected { reason: reason.clone(), maybe_executed }
}

impl Connection {
    /// Sends a request if it may be sent now.
    #[inline]
    pub(super) fn start_call(
        &mut self,
        call: &CallRequest<'_>,
        now: impl FnOnce() -> Instant,
        io: &mut Io,
        out: &mut dyn Transmit,
    ) -> StartCall {
        let declared = match self.channels.plan(call.channels, &self.limits, &io.cells, out) {
            Ok(declared) => declared,
            Err(failure) => return StartCall::Refused(Answer::Failure(failure)),
        };
        let options = Options::of(call.deadline, call.metadata, &declared, now);
        if !call.descriptors.is_empty()
            && let Err(error) = out.check_descriptors(call.descriptors.len())
        {
            return StartCall::Refused(Answer::Failure(Failure::Descriptors(error)));
        }
        if let Some(refused) = refused(call, options.as_ref(), &self.limits) {
            return StartCall::Refused(Answer::Failure(refused));
        }
        let descriptors = call.descriptor_count();
        if self.outgoing.live >= self.limits.requests
            || descriptors > 0 && descriptors > self.free_descriptors()
        {
            return StartCall::Busy;
        }
        let method = call.method.id();
        match self.outgoing.bound.get(&method) {
            None => self.bind(call.method, io, out),
            Some(types) if call.method.differs(*types) => {
                return StartCall::Refused(Answer::Failure(otherwise_bound(call.method)));
            }
            Some(_) => {}
        }
        let id = self.outgoing.next;
        let flags = if options.is_some() { Flags::OPTIONS } else { Flags::NONE };
        let header = Header { id, method, flags, connection: self.id, ..Header::new(Kind::Call) };
        let length = options.map_or(0, |options| options.size()) + call.body.length();
        let write = |place: &mut [u8]| match &options {
            None => call.body.write(place),
            Some(options) => {
                let mut to = Writer::new(place);
                options.encode(&mut to);
                call.body.write(to.rest());
            }
        };
        let along = Along { declared: &declared, descriptors: call.descriptors };
        let sent = match io.outbox.begin(header, along, length, out, write) {
            Ok(sent) => sent,
            Err(NotNow::Never(error)) => {
                return StartCall::Refused(Answer::Failure(Failure::Descriptors(error)));
            }
            Err(why) => {
                io.room.wait_for(length, along, why, &io.outbox, out);
                if !io.room.callers.contains(&self.id) {
                    io.room.callers.push(self.id);
                }
                return StartCall::Busy;
            }
        };
        self.outgoing.next += 2;
        self.outgoing.live += 1;
        self.outgoing.descriptors += descriptors;
        io.in_flight.calls += 1;
        let state = State::Waiting(None);
        let declares = !declared.is_empty();
        let deadline = call.deadline;
        self.outgoing.calls.insert(id, Call { state, deadline, sent, declares, descriptors });
        let call_id = CallId { connection: self.id, id };
        if let Some(at) = call.deadline {
            io.timers.set(at, Timer::Call(call_id));
        }
        let first_channel = self.channels.open(&declared, io, out);
        StartCall::Started(Started { call: call_id, first_channel })
    }

    /// Tells the peer of a method before its first call.
    #[cold]
    fn bind(&mut self, method: Callee<'_>, io: &mut Io, out: &mut dyn Transmit) {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&method.types().to_le_bytes());
        for name in method.names() {
            let name = shortened(name, NAME);
            bytes.extend_from_slice(&short(name.len()));
            bytes.extend_from_slice(name.as_bytes());
        }
        let header = Header { method: method.id(), connection: self.id, ..Header::new(Kind::Bind) };
        io.outbox.send(header, &bytes, out);
        let types = matches!(method, Callee::Forwarded(_)).then(|| method.types());
        self.outgoing.bound.insert(method.id(), types);
    }

    /// Registers a caller that was told to wait; gives its answer instead if its time is over.
    pub(super) fn wait_turn(
        &mut self,
        call: &CallRequest<'_>,
        ticket: &mut Option<u64>,
        waker: &Waker,
        io: &mut Io,
    ) -> Option<Answer> {
        match self.outgoing.turns.wait(call, ticket, waker, &mut io.spent) {
            Wait::Registered(ticket) => {
                if let Some(at) = call.deadline {
                    io.timers.set(at, Timer::Turn(self.id, ticket));
                }
                None
            }
            Wait::Known => None,
            Wait::Expired => Some(Answer::Failure(Failure::DeadlineExceeded)),
        }
    }

    /// A caller waits for its turn no more, because it has had it or is gone.
    pub(super) fn abandon(&mut self, ticket: u64, io: &mut Io) {
        let deadline = self.outgoing.turns.leave(ticket, &mut io.spent);
        io.timers.clear(deadline, Timer::Turn(self.id, ticket));
        self.wake_turns(io);
    }

    /// Wakes as many of those that wait as may call now.
    #[inline]
    pub(super) fn wake_turns(&mut self, io: &mut Io) {
        if self.outgoing.turns.is_empty() {
            return;
        }
        let calls = self.limits.requests.saturating_sub(self.outgoing.live);
        let descriptors = self.free_descriptors();
        self.outgoing.turns.wake(calls, descriptors, &mut io.wakers);
    }

    /// How many descriptors more may be in requests in flight.
    fn free_descriptors(&self) -> u32 {
        self.limits.descriptors().saturating_sub(self.outgoing.descriptors)
    }

    /// The answer to a request, if it is here; else whom to wake when it is, or nobody if its caller is awake.
    #[inline]
    pub(super) fn poll_answer(&mut self, id: u64, waker: Option<&Waker>, io: &mut Io) -> Poll<Answer> {
        let failed = |failure| Poll::Ready(Answer::Failure(failure));
        let over = self.end().is_some();
        let Entry::Occupied(mut entry) = self.outgoing.calls.entry(id) else {
            // Asked again after the answer was given.
            return failed(Failure::Cancelled);
        };
        match &mut entry.get_mut().state {
            State::Waiting(known) => {
                io.spent.extend(register(known, waker));
                Poll::Pending
            }
            State::Expired => {
                entry.get_mut().state = State::Abandoned;
                if over {
                    entry.remove();
                }
                failed(Failure::DeadlineExceeded)
            }
            State::Answered(_) => match entry.remove().state {
                State::Answered(answer) => Poll::Ready(answer),
                State::Waiting(_) | State::Expired | State::Abandoned => failed(Failure::Cancelled),
            },
            State::Abandoned => failed(Failure::Cancelled),
        }
    }

    /// The caller of a request is gone: the peer is told, and its answer is dropped when it comes.
    pub(super) fn cancel(&mut self, id: u64, io: &mut Io, out: &mut dyn Transmit) {
        let over = self.end().is_some();
        let Some(call) = self.outgoing.calls.get_mut(&id) else { return };
        match &mut call.state {
            State::Waiting(waker) => {
                io.spent.extend(waker.take());
                call.state = State::Abandoned;
                self.withdraw(id, io, out);
            }
            State::Expired if !over => call.state = State::Abandoned,
            State::Expired | State::Answered(_) => {
                if let Some(Call { state: State::Answered(Answer::Response(response)), .. }) =
                    self.outgoing.calls.remove(&id)
                {
                    self.refuse(response.attached.as_deref(), io, out);
                }
            }
            State::Abandoned => {}
        }
    }

    /// The caller of a request is out of time.
    pub(super) fn call_expired(&mut self, id: u64, io: &mut Io, out: &mut dyn Transmit) {
        let Some(call) = self.outgoing.calls.get_mut(&id) else { return };
        call.deadline = None;
        if let State::Waiting(waker) = &mut call.state {
            io.wakers.extend(waker.take());
            call.state = State::Expired;
            self.withdraw(id, io, out);
        }
    }

    /// Tells the peer that an answer is not wanted, or takes the request back if nothing of it was sent.
    fn withdraw(&mut self, id: u64, io: &mut Io, out: &mut dyn Transmit) {
        let header = |kind| Header { id, connection: self.id, ..Header::new(kind) };
        // A request that declares channels is not taken back: what their ends have to say to the peer may wait behind it.
        let declares = self.outgoing.calls.get(&id).is_some_and(|call| call.declares);
        if !declares && io.outbox.take_back(header(Kind::Call)) {
            if let Entry::Occupied(call) = self.outgoing.calls.entry(id) {
                let freed = Freed::by(call);
                self.call_ended(id, freed, io);
            }
        } else {
            io.outbox.send(header(Kind::Cancel), &[], out);
        }
    }

    /// A request's slot is free.
    #[inline]
    fn call_ended(&mut self, id: u64, Freed { deadline, descriptors }: Freed, io: &mut Io) {
        io.timers.clear(deadline, Timer::Call(CallId { connection: self.id, id }));
        self.outgoing.live -= 1;
        self.outgoing.descriptors -= descriptors;
        io.in_flight.calls -= 1;
        self.wake_turns(io);
    }

    #[inline]
    pub(super) fn handle_answer(
        &mut self,
        frame: &mut Frame,
        io: &mut Io,
        out: &mut dyn Transmit,
    ) -> Result<(), Rule> {
        let id = frame.header.id;
        let kind = frame.header.kind;
        let options = frame.header.flags.contains(Flags::OPTIONS);
        let payload = std::mem::take(&mut frame.payload);
        // Whatever becomes of the answer, its channels are declared: their IDs are seen.
        let (mut attached, body) = match kind {
            Kind::Response if options => {
                let (attached, body) = self.received(&payload, None, io, out)?;
                (Some(attached), body)
            }
            _ => (None, 0),
        };
        let Entry::Occupied(mut call) = self.outgoing.calls.entry(id) else {
            // Its caller withdrew it before it was sent, or the peer answers twice, which harms nobody.
            let was_made = self.outgoing.was_made(self.role, id);
            self.refuse(attached.as_deref(), io, out);
            return if was_made { Ok(()) } else { Err(Rule::AnswerToNothing) };
        };
        let state = &mut call.get_mut().state;
        match state {
            State::Answered(_) => {
                self.channels.refuse(attached.as_deref().map_or(&[], |all| &all.channels), io, out);
                return Ok(());
            }
            State::Waiting(waker) => {
                if !frame.descriptors.is_empty() {
                    attached.get_or_insert_default().descriptors = std::mem::take(&mut frame.descriptors);
                }
                let answer = match kind {
                    Kind::Response => Answer::Response(Response { payload, body, attached }),
                    _ => Answer::Failure(Failure::decode(payload).map_err(|_| Rule::FailureForm)?),
                };
                io.wakers.extend(waker.take());
                *state = State::Answered(answer);
            }
            State::Abandoned | State::Expired => {
                if kind != Kind::Response {
                    Failure::decode(payload).map_err(|_| Rule::FailureForm)?;
                }
                self.channels.refuse(attached.as_deref().map_or(&[], |all| &all.channels), io, out);
            }
        }
        let freed = Freed::by(call);
        self.call_ended(id, freed, io);
        Ok(())
    }
}

#[cold]
fn otherwise_bound(method: Callee<'_>) -> Failure {
    let [service, name] = method.names();
    Failure::InvalidPayload(format!("others call `{service}.{name}` on this connection with other types"))
}

/// Why a call may not be sent at all.
#[inline]
fn refused(call: &CallRequest<'_>, options: Option<&Options<'_>>, limits: &Limits) -> Option<Failure> {
    if let Some(options) = options {
        if options.expired() {
            return Some(Failure::DeadlineExceeded);
        }
        if let Err(excess) = limits.check_metadata(call.metadata) {
            return Some(excess.into());
        }
    }
    let size = (options.map_or(0, Options::size) + call.body.length()) as u64;
    (size > limits.payload).then_some(Failure::TooLarge { size, limit: limits.payload })
}
