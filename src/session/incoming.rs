//! The requests that the peer makes.

use std::collections::VecDeque;
use std::task::{Poll, Waker};
use std::time::Instant;

use rustc_hash::FxHashMap;

use super::machine::{Phase, register};
use super::options::Received;
use super::timers::{Timer, Timers};
use super::wire::Reader;
use super::{Failure, Inbound, Rule, Session, Work};
use crate::codec::Body;
use crate::link::{Buffer, Flags, Frame, Header, Kind, Transmit};

/// The requests that the peer makes.
#[derive(Default)]
pub(super) struct Incoming {
    /// The highest ID seen.
    highest: u64,
    /// Requests that are not answered yet: each is one of those in flight.
    requests: FxHashMap<u64, Request>,
    /// What is to be handled, in the order in which it came.
    queue: VecDeque<Inbound>,
    /// Requests that are being handled and are not wanted any more.
    cancelled: Vec<u64>,
    /// Whoever serves, and waits for something to do.
    server: Option<Waker>,
    /// The methods that the peer has bound.
    bindings: FxHashMap<u64, Binding>,
}

/// A request in flight.
struct Request {
    deadline: Option<Instant>,
    /// Its caller is out of time.
    expired: bool,
    /// Its answer waits for room in the link.
    answered: bool,
}

/// What is known of a method that the peer calls.
enum Binding {
    /// Both sides mean the same.
    Same,
    /// This side does not serve it.
    Unknown,
    /// Its types differ; the text names it.
    Differs(String),
}

impl Incoming {
    /// Requests that are not wholly answered.
    #[inline]
    pub(super) fn in_flight(&self) -> usize {
        self.requests.len()
    }

    /// The bytes of the requests that wait to be handled.
    #[cfg(any(fuzzing, test))]
    pub(super) fn kept(&self) -> usize {
        self.queue.iter().map(|inbound| inbound.payload.len()).sum()
    }

    /// An answer that had to wait is wholly in the link.
    pub(super) fn answered(&mut self, id: u64, timers: &mut Timers) {
        if let Some(request) = self.requests.remove(&id) {
            timers.clear(request.deadline, Timer::Request(id));
        }
    }

    /// The session is over: nothing more is handled, and what is being handled is dropped.
    pub(super) fn end(&mut self, wakers: &mut Vec<Waker>) {
        wakers.extend(self.server.take());
        self.queue.clear();
        self.cancelled.clear();
        self.cancelled.extend(self.requests.drain().map(|(id, _)| id));
    }
}

impl Session {
    pub(super) fn handle_bind(&mut self, frame: &Frame) -> Result<(), Rule> {
        let id = frame.header.method;
        let mut from = Reader::new(&frame.payload);
        let mut read = || -> Result<_, super::wire::Malformed> {
            let types = from.u64()?;
            let names = (from.text()?, from.text()?);
            Ok((types, names))
        };
        let (types, (service, name)) = read().map_err(|_| Rule::BindingForm)?;
        from.end().map_err(|_| Rule::BindingForm)?;
        let binding = match (self.settings.methods)(id) {
            None => Binding::Unknown,
            Some(method) if (method.types)() == types => Binding::Same,
            Some(method) => Binding::Differs(format!(
                "the types of `{}.{}` here differ from those of `{service}.{name}` at the caller",
                method.service, method.name
            )),
        };
        // Unknown methods cost no memory: a call of one that is not listed is looked up again.
        if !matches!(binding, Binding::Unknown) && self.incoming.bindings.insert(id, binding).is_some() {
            return Err(Rule::BindingForm);
        }
        Ok(())
    }

    /// A request begins: its slot is taken from its first fragment on.
    #[inline]
    pub(super) fn admit(&mut self, header: &Header) -> Result<(), Rule> {
        let Phase::Open { agreed, .. } = &self.phase else { return Ok(()) };
        let id = header.id;
        if !self.role.other().owns(id) {
            return Err(Rule::RequestParity);
        }
        if id <= self.incoming.highest {
            return Err(Rule::RequestOrder);
        }
        if self.incoming.in_flight() >= usize::try_from(agreed.limits.requests).unwrap_or(usize::MAX) {
            return Err(Rule::RequestLimit);
        }
        if self.peer_said_goodbye() {
            return Err(Rule::CallAfterGoodbye);
        }
        self.incoming.highest = id;
        self.incoming.requests.insert(id, Request { deadline: None, expired: false, answered: false });
        Ok(())
    }

    /// An admitted request is here.
    pub(super) fn handle_call(
        &mut self,
        frame: &mut Frame,
        out: &mut dyn Transmit,
        now: &dyn Fn() -> Instant,
    ) -> Result<(), Rule> {
        let Phase::Open { agreed, .. } = &self.phase else { return Ok(()) };
        let (id, method) = (frame.header.id, frame.header.method);
        let received = if frame.header.flags.contains(Flags::OPTIONS) {
            let received = Received::decode(&frame.payload).map_err(|_| Rule::OptionsForm)?;
            if received.metadata.len() > usize::from(agreed.limits.metadata_entries)
                || received.metadata_size > agreed.limits.metadata_length()
            {
                return Err(Rule::MetadataLimit);
            }
            received
        } else {
            Received::none()
        };
        // A time too far ahead to be told is no limit.
        let deadline = received.left.and_then(|left| now().checked_add(left));
        let failure = match self.incoming.bindings.get(&method) {
            Some(Binding::Same) => {
                if let Some(at) = deadline {
                    self.timers.set(at, Timer::Request(id));
                    if let Some(request) = self.incoming.requests.get_mut(&id) {
                        request.deadline = deadline;
                    }
                }
                let Received { metadata, body, .. } = received;
                self.wakers.extend(self.incoming.server.take());
                self.incoming.queue.push_back(Inbound {
                    id,
                    method,
                    payload: std::mem::take(&mut frame.payload),
                    body,
                    metadata,
                    deadline,
                });
                return Ok(());
            }
            Some(Binding::Differs(text)) => Failure::InvalidPayload(text.clone()),
            Some(Binding::Unknown) => Failure::UnknownMethod,
            None if (self.settings.methods)(method).is_none() => Failure::UnknownMethod,
            None => return Err(Rule::BindingFirst),
        };
        self.respond(id, Err(failure), out);
        Ok(())
    }

    pub(super) fn handle_cancel(&mut self, frame: &Frame, out: &mut dyn Transmit) -> Result<(), Rule> {
        let id = frame.header.id;
        if !self.role.other().owns(id) || id > self.incoming.highest {
            return Err(Rule::CancelOfNothing);
        }
        self.stop(id, Failure::Cancelled, out);
        Ok(())
    }

    /// The peer's caller of a request is out of time, whether or not its cancellation has come yet.
    pub(super) fn request_expired(&mut self, id: u64, out: &mut dyn Transmit) {
        if let Some(request) = self.incoming.requests.get_mut(&id) {
            request.deadline = None;
            request.expired = true;
            self.stop(id, Failure::DeadlineExceeded, out);
        }
    }

    /// A request is not wanted any more: answered at once if nobody handles it yet, else its handler is dropped.
    fn stop(&mut self, id: u64, failure: Failure, out: &mut dyn Transmit) {
        let Some(request) = self.incoming.requests.get(&id) else { return };
        if request.answered {
            return;
        }
        match self.incoming.queue.iter().position(|inbound| inbound.id == id) {
            Some(at) => {
                self.incoming.queue.remove(at);
                self.respond(id, Err(failure), out);
            }
            None => {
                if !self.incoming.cancelled.contains(&id) {
                    self.wakers.extend(self.incoming.server.take());
                    self.incoming.cancelled.push(id);
                }
            }
        }
    }

    /// What is to be done next for the peer's requests; else whom to wake when there is something, or nobody if whoever
    /// serves is awake.
    #[inline]
    pub(crate) fn poll_work(&mut self, waker: Option<&Waker>) -> Poll<Work> {
        if let Some(id) = self.next_cancelled() {
            return Poll::Ready(Work::Drop(id));
        }
        if let Some(inbound) = self.next_request() {
            return Poll::Ready(Work::Serve(inbound));
        }
        if self.is_over() {
            return Poll::Ready(Work::Over);
        }
        // A driver's own.
        drop(register(&mut self.incoming.server, waker));
        Poll::Pending
    }

    /// The next request to handle.
    #[inline]
    pub(super) fn next_request(&mut self) -> Option<Inbound> {
        self.incoming.queue.pop_front()
    }

    /// The next request whose handler is to be dropped.
    #[inline]
    pub(super) fn next_cancelled(&mut self) -> Option<u64> {
        self.incoming.cancelled.pop()
    }

    /// Whether a request waits to be handled, or a handler to be dropped.
    #[cfg(test)]
    pub(super) fn has_requests(&self) -> bool {
        !self.incoming.queue.is_empty() || !self.incoming.cancelled.is_empty()
    }

    /// Whether no request is in flight.
    #[cfg(test)]
    pub(crate) fn is_serving_none(&self) -> bool {
        self.incoming.in_flight() == 0
    }

    /// Answers a request. Does nothing if it has been answered, or the session is over.
    #[inline]
    pub(crate) fn respond(&mut self, id: u64, result: Result<&dyn Body, Failure>, out: &mut dyn Transmit) {
        let Phase::Open { agreed, .. } = &self.phase else { return };
        let limit = agreed.limits.payload;
        let Some(request) = self.incoming.requests.get(&id).filter(|request| !request.answered) else {
            return;
        };
        let failure = match result {
            Ok(body) if body.length() as u64 <= limit => {
                return self.answer(id, Kind::Response, body.length(), |place| body.write(place), out);
            }
            Ok(body) => Failure::TooLarge { size: body.length() as u64, limit },
            Err(Failure::Cancelled) if request.expired => Failure::DeadlineExceeded,
            Err(failure) if failure.encoded_size() as u64 > limit => {
                Failure::TooLarge { size: failure.encoded_size() as u64, limit }
            }
            Err(failure) => failure,
        };
        self.answer(id, Kind::Failure, failure.encoded_size(), |place| failure.encode(place), out);
    }

    #[inline]
    fn answer(
        &mut self,
        id: u64,
        kind: Kind,
        length: usize,
        write: impl Fn(&mut [u8]),
        out: &mut dyn Transmit,
    ) {
        let header = Header { id, ..Header::new(kind) };
        if self.outbox.try_send(header, length, out, &write).is_ok() {
            self.incoming.answered(id, &mut self.timers);
            return;
        }
        // Its place is its request's: there are never more answers here than requests in flight.
        let mut bytes = Buffer::new();
        bytes.resize(length, 0);
        write(&mut bytes);
        self.outbox.keep(header, bytes);
        if let Some(request) = self.incoming.requests.get_mut(&id) {
            request.answered = true;
        }
        self.flush(out);
    }
}
