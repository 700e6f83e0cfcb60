//! The requests that the peer makes on a connection.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use rustc_hash::FxHashMap;

use super::connection::{Connection, Stage};
use super::io::Io;
use super::method::{Binding, Bound, Lookup};
use super::options::{Options, Received};
use super::outbox::{Along, NotNow};
use super::timers::Timer;
use super::wire::{Reader, Writer};
use super::{Attached, CallId, Declared, Failure, Inbound, Limits, Outcome, Rule};
use crate::link::{Buffer, Descriptors, FdError, Flags, Frame, Header, Kind, Transmit};

/// The most methods that a peer may bind on a connection whose calls are forwarded.
const BINDINGS: usize = 4096;

/// The requests that the peer makes on a connection.
#[derive(Default)]
pub(super) struct Incoming {
    /// The highest ID seen.
    highest: u64,
    /// How many descriptors have come with those below.
    descriptors: u32,
    /// Requests that are not answered yet: each is one of those in flight.
    requests: FxHashMap<u64, Request>,
    /// The methods that the peer has bound.
    bindings: FxHashMap<u64, Known>,
}

/// A request in flight.
struct Request {
    deadline: Option<Instant>,
    /// How many descriptors have come with it.
    descriptors: u32,
    /// Its caller is out of time.
    expired: bool,
    /// Its answer waits for room in the link.
    answered: bool,
}

/// What is known of a method that the peer calls.
enum Known {
    /// Both sides mean the same.
    Same,
    /// Its types differ; the text names it.
    Differs(String),
    /// This side forwards it.
    Forwarded(Binding),
}

impl Incoming {
    /// Requests that are not wholly answered.
    #[inline]
    pub(super) fn in_flight(&self) -> usize {
        self.requests.len()
    }

    /// The connection is over: nothing more is handled, and what is being handled is dropped. Gives the channels that came
    /// with requests that nobody has handled.
    pub(super) fn end(&mut self, connection: u32, io: &mut Io) -> Vec<Declared> {
        io.in_flight.requests -= self.requests.len();
        self.descriptors = 0;
        let mut unhandled = Vec::new();
        io.inbox.requests.retain_mut(|inbound| {
            let goes = inbound.call.connection == connection;
            if goes {
                unhandled.extend(inbound.attached.take().into_iter().flat_map(|attached| attached.channels));
            }
            !goes
        });
        let (timers, inbox) = (&mut io.timers, &mut io.inbox);
        inbox.cancelled.retain(|call| call.connection != connection);
        inbox.cancelled.extend(self.requests.drain().map(|(id, request)| {
            let call = CallId { connection, id };
            timers.clear(request.deadline, Timer::Request(call));
            call
        }));
        unhandled
    }
}

impl Connection {
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
        let known = match (self.methods)(id) {
            // Unknown methods cost no memory: a call of one that is not listed is looked up again.
            Lookup::Unknown => return Ok(()),
            Lookup::Served(method) if (method.types)() == types => Known::Same,
            Lookup::Served(method) => Known::Differs(format!(
                "the types of `{}.{}` here differ from those of `{service}.{name}` at the caller",
                method.service, method.name
            )),
            Lookup::Forwarded if self.incoming.bindings.len() >= BINDINGS => return Err(Rule::BindingForm),
            Lookup::Forwarded => {
                let (service, name) = (service.to_owned(), name.to_owned());
                Known::Forwarded(Binding::new(Bound { id, service, name, types }))
            }
        };
        if self.incoming.bindings.insert(id, known).is_some() {
            return Err(Rule::BindingForm);
        }
        Ok(())
    }

    /// A request begins: its slot is taken from its first fragment on.
    #[inline]
    pub(super) fn admit(&mut self, frame: &Frame, goodbye: bool, io: &mut Io) -> Result<(), Rule> {
        match self.stage {
            Stage::Open => {}
            Stage::Over { .. } => return Ok(()),
            Stage::Opening | Stage::Asked => return Err(Rule::Connection),
        }
        // At most what goes with one frame.
        let (id, descriptors) = (frame.header.id, frame.descriptors.sent() as u32);
        if !self.role.other().owns(id) {
            return Err(Rule::RequestParity);
        }
        if id <= self.incoming.highest {
            return Err(Rule::RequestOrder);
        }
        if self.incoming.in_flight() >= usize::try_from(self.limits.requests).unwrap_or(usize::MAX) {
            return Err(Rule::RequestLimit);
        }
        if descriptors > 0 && self.incoming.descriptors + descriptors > self.limits.descriptors() {
            return Err(Rule::DescriptorLimit);
        }
        if goodbye {
            return Err(Rule::CallAfterGoodbye);
        }
        self.incoming.highest = id;
        io.in_flight.requests += 1;
        self.incoming.descriptors += descriptors;
        let request = Request { deadline: None, descriptors, expired: false, answered: false };
        self.incoming.requests.insert(id, request);
        Ok(())
    }

    /// An admitted request is here.
    #[inline]
    pub(super) fn handle_call(
        &mut self,
        frame: &mut Frame,
        io: &mut Io,
        out: &mut dyn Transmit,
        now: &dyn Fn() -> Instant,
    ) -> Result<(), Rule> {
        let (id, method) = (frame.header.id, frame.header.method);
        let (mut attached, body) = match frame.header.flags.contains(Flags::OPTIONS) {
            false => (None, 0),
            true => {
                let (attached, body) = self.received(&frame.payload, Some(now), io, out)?;
                (Some(attached), body)
            }
        };
        let call = CallId { connection: self.id, id };
        let failure = match self.incoming.bindings.get(&method) {
            Some(Known::Same) => None,
            Some(Known::Forwarded(binding)) => {
                attached.get_or_insert_default().binding = Some(Binding::clone(binding));
                None
            }
            Some(Known::Differs(text)) => Some(Failure::InvalidPayload(text.clone())),
            None if matches!((self.methods)(method), Lookup::Unknown) => Some(Failure::UnknownMethod),
            None => {
                let channels = attached.map_or_else(Vec::new, |attached| attached.channels);
                self.channels.forget(&channels, io);
                return Err(Rule::BindingFirst);
            }
        };
        if let Some(failure) = failure {
            self.refuse(attached.as_deref(), io, out);
            self.respond(id, Err(failure), io, out);
            return Ok(());
        }
        let deadline = attached.as_ref().and_then(|attached| attached.deadline);
        if let Some(at) = deadline {
            io.timers.set(at, Timer::Request(call));
            if let Some(request) = self.incoming.requests.get_mut(&id) {
                request.deadline = deadline;
            }
        }
        if !frame.descriptors.is_empty() {
            attached.get_or_insert_default().descriptors = std::mem::take(&mut frame.descriptors);
        }
        io.inbox.wake(&mut io.wakers);
        let payload = std::mem::take(&mut frame.payload);
        io.inbox.requests.push_back(Inbound { call, method, payload, body, attached });
        Ok(())
    }

    pub(super) fn handle_cancel(
        &mut self,
        frame: &Frame,
        io: &mut Io,
        out: &mut dyn Transmit,
    ) -> Result<(), Rule> {
        let id = frame.header.id;
        if !self.role.other().owns(id) || id > self.incoming.highest {
            return Err(Rule::CancelOfNothing);
        }
        self.stop(id, Failure::Cancelled, io, out);
        Ok(())
    }

    /// The peer's caller of a request is out of time, whether or not its cancellation has come yet.
    pub(super) fn request_expired(&mut self, id: u64, io: &mut Io, out: &mut dyn Transmit) {
        if let Some(request) = self.incoming.requests.get_mut(&id) {
            request.deadline = None;
            request.expired = true;
            self.stop(id, Failure::DeadlineExceeded, io, out);
        }
    }

    /// A request is not wanted any more: answered at once if nobody handles it yet, else its handler is dropped.
    fn stop(&mut self, id: u64, failure: Failure, io: &mut Io, out: &mut dyn Transmit) {
        let Some(request) = self.incoming.requests.get(&id) else { return };
        if request.answered {
            return;
        }
        let call = CallId { connection: self.id, id };
        let queued = io.inbox.requests.iter().position(|inbound| inbound.call == call);
        match queued.and_then(|at| io.inbox.requests.remove(at)) {
            Some(inbound) => {
                self.refuse(inbound.attached.as_deref(), io, out);
                self.respond(id, Err(failure), io, out);
            }
            None => {
                if !io.inbox.cancelled.contains(&call) {
                    io.inbox.wake(&mut io.wakers);
                    io.inbox.cancelled.push(call);
                }
            }
        }
    }

    /// Answers a request, and gives the ID of the first channel that the answer declares. Nothing is declared if the request
    /// has been answered, the connection is over, or the answer cannot be sent: then a failure is.
    #[inline]
    pub(super) fn respond(
        &mut self,
        id: u64,
        result: Result<Outcome<'_>, Failure>,
        io: &mut Io,
        out: &mut dyn Transmit,
    ) -> Option<u64> {
        let request = self.incoming.requests.get(&id).filter(|request| !request.answered)?;
        let expired = request.expired;
        let limit = self.limits.payload;
        let failure = match result {
            Ok(outcome) => match self.respond_well(id, outcome, io, out) {
                Ok(first_channel) => return Some(first_channel),
                Err(failure) => failure,
            },
            Err(Failure::Cancelled) if expired => Failure::DeadlineExceeded,
            Err(failure) if failure.encoded_size() as u64 > limit => {
                Failure::TooLarge { size: failure.encoded_size() as u64, limit }
            }
            Err(failure) => failure,
        };
        let header = Header { id, connection: self.id, ..Header::new(Kind::Failure) };
        // Without descriptors nothing hinders it.
        let write = |place: &mut [u8]| failure.encode(place);
        let _told = self.answer(header, Along::default(), failure.encoded_size(), write, io, out);
        None
    }

    #[inline]
    fn respond_well(
        &mut self,
        id: u64,
        outcome: Outcome<'_>,
        io: &mut Io,
        out: &mut dyn Transmit,
    ) -> Result<u64, Failure> {
        let Outcome { body, metadata, channels, descriptors } = outcome;
        if !descriptors.is_empty() {
            out.check_descriptors(descriptors.len())?;
        }
        let declared = self.channels.plan(channels, &self.limits, &io.cells, out).map_err(|_| {
            Failure::InvalidPayload("the result has more channels than may be open".to_owned())
        })?;
        let options = Options::of(None, metadata, &declared, Instant::now);
        let header = Header { id, connection: self.id, ..Header::new(Kind::Response) };
        let Some(options) = options else {
            self.limits.check_size(body.length())?;
            let along = Along { declared: &[], descriptors };
            self.answer(header, along, body.length(), |place| body.write(place), io, out)?;
            return Ok(0);
        };
        self.limits.check_metadata(metadata)?;
        let length = options.size() + body.length();
        self.limits.check_size(length)?;
        let write = |place: &mut [u8]| {
            let mut to = Writer::new(place);
            options.encode(&mut to);
            body.write(to.rest());
        };
        let header = Header { flags: Flags::OPTIONS, ..header };
        let along = Along { declared: &declared, descriptors };
        self.answer(header, along, length, write, io, out)?;
        Ok(self.channels.open(&declared, io, out))
    }

    /// Sends an answer, or keeps it until there is room.
    ///
    /// # Errors
    /// [`FdError`] if its descriptors do not go: nothing has been sent or kept.
    #[inline]
    fn answer(
        &mut self,
        header: Header,
        along: Along<'_>,
        length: usize,
        write: impl Fn(&mut [u8]),
        io: &mut Io,
        out: &mut dyn Transmit,
    ) -> Result<(), FdError> {
        match io.outbox.try_send_with(header, along, length, out, &write) {
            Ok(()) => {
                self.answered(header.id, io);
                return Ok(());
            }
            Err(NotNow::Never(error)) => return Err(error),
            Err(_) => {}
        }
        // Its place is its request's: there are never more answers here than requests in flight.
        let own = along.descriptors.iter().map(BorrowedFd::try_clone_to_owned);
        let own = own.collect::<std::io::Result<_>>().map_err(|error| FdError::refused(&error))?;
        let mut bytes = Buffer::new();
        bytes.resize(length, 0);
        write(&mut bytes);
        io.outbox.keep(header, along.declared, bytes, own);
        if let Some(request) = self.incoming.requests.get_mut(&header.id) {
            request.answered = true;
        }
        Ok(())
    }

    /// An answer is wholly in the link.
    #[inline]
    pub(super) fn answered(&mut self, id: u64, io: &mut Io) {
        if let Some(request) = self.incoming.requests.remove(&id) {
            io.in_flight.requests -= 1;
            self.incoming.descriptors -= request.descriptors;
            io.timers.clear(request.deadline, Timer::Request(CallId { connection: self.id, id }));
        }
    }
}

impl Connection {
    /// Reads what precedes the body of a message, and opens the channels that it declares. Gives where the body begins, too.
    #[cold]
    pub(super) fn received(
        &mut self,
        payload: &[u8],
        now: Option<&dyn Fn() -> Instant>,
        io: &mut Io,
        out: &mut dyn Transmit,
    ) -> Result<(Box<Attached>, usize), Rule> {
        let Received { metadata, left, channels, body, metadata_size } =
            Received::decode(payload).map_err(|_| Rule::OptionsForm)?;
        if metadata.len() > usize::from(self.limits.metadata_entries)
            || metadata_size > self.limits.metadata_length()
        {
            return Err(Rule::MetadataLimit);
        }
        let channels = self.channels.admit(&channels, &self.limits, io, out)?;
        // A time too far ahead to be told is no limit.
        let deadline = left.zip(now).and_then(|(left, now)| now().checked_add(left));
        let descriptors = Descriptors::default();
        Ok((Box::new(Attached { metadata, channels, descriptors, deadline, binding: None }), body))
    }

    /// Nobody takes the channels that came along with a message.
    pub(super) fn refuse(&mut self, attached: Option<&Attached>, io: &mut Io, out: &mut dyn Transmit) {
        if let Some(attached) = attached {
            self.channels.refuse(&attached.channels, io, out);
        }
    }
}

impl From<FdError> for Failure {
    fn from(error: FdError) -> Self {
        Self::Descriptors(error)
    }
}

impl Limits {
    /// Whether a message of this length may be sent.
    #[inline]
    fn check_size(&self, length: usize) -> Result<(), Failure> {
        let (size, limit) = (length as u64, self.payload);
        if size > limit { Err(Failure::TooLarge { size, limit }) } else { Ok(()) }
    }
}
