//! The machine: its state, its phases and its end.

use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Instant;

use super::assembly::Assembly;
use super::connection::{Connection, ConnectionEnd, Last, Stage};
use super::connections::Connections;
use super::handshake::{Hello, LEAST, MAX_HELLO, NEWEST};
use super::io::{Io, Room};
use super::liveness::Liveness;
use super::timers::Timer;
use super::{CloseReason, Lookup, Negotiated, ProtocolError, Role, Rule, Settings, Side};
use crate::link::{Corrupt, Frame, Header, Kind, Peer, Quota, Transmit, Transport};

/// A session: frames, commands and time in; frames, wake-ups and a deadline out.
pub(crate) struct Session {
    pub(super) role: Role,
    pub(super) settings: Settings,
    pub(super) phase: Phase,
    pub(super) connections: Connections,
    pub(super) io: Io,
    pub(super) assembly: Assembly,
    pub(super) liveness: Liveness,
    /// How many descriptors of the peer's may wait here.
    pub(super) quota: Quota,
    /// Those that wait for the opening or the end.
    pub(super) waiting: Vec<Waker>,
}

/// Where a session is in its life.
pub(super) enum Phase {
    /// The handshake's frames are on their way.
    Opening(Opening),
    /// Calls may be made.
    Open {
        agreed: Arc<Negotiated>,
        /// Who has said goodbye.
        farewell: Farewell,
    },
    /// It is over.
    Over { agreed: Option<Arc<Negotiated>>, reason: CloseReason },
}

/// How far a handshake has come.
pub(super) enum Opening {
    /// The peer has not introduced itself.
    Begun,
    /// It has, and this side is to say whether it lets the peer in.
    Asked { agreed: Arc<Negotiated> },
    /// The acceptor has answered and waits for the confirmation.
    Answered { agreed: Arc<Negotiated> },
}

/// Who has said goodbye. Whoever hears one that it has not said itself answers with its own at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    /// Nobody.
    None,
    /// This side.
    Said,
    /// This side, and then the peer.
    Answered,
    /// The peer, and then this side.
    Heard,
}

impl Session {
    /// A session that has not begun.
    pub(crate) fn new(role: Role, settings: Settings) -> Self {
        let mut settings = settings;
        let mut io = Io::new(role);
        if let Some(at) = settings.open_until {
            io.timers.set(at, Timer::Handshake);
        }
        let methods = std::mem::replace(&mut settings.methods, Box::new(|_| Lookup::Unknown));
        let root = Connection::new(0, role, Stage::Opening, settings.limits, methods);
        Self {
            role,
            phase: Phase::Opening(Opening::Begun),
            connections: Connections::new(role, root),
            io,
            assembly: Assembly::default(),
            liveness: Liveness::default(),
            quota: Quota::new(settings.descriptors),
            waiting: Vec::new(),
            settings,
        }
    }

    /// Begins: the initiator says hello.
    pub(crate) fn start(&mut self, out: &mut dyn Transmit) {
        if self.role == Role::Initiator {
            let hello = self.hello(NEWEST, LEAST).encode();
            self.io.outbox.send(Header::new(Kind::Hello), &hello, out);
        }
    }

    /// What this side says in its hello or its welcome.
    pub(super) fn hello(&self, newest: u16, least: u16) -> Hello {
        let (limits, metadata) = (self.settings.limits, self.settings.metadata.clone());
        Hello { newest, least, role: self.role, limits, metadata }
    }

    /// Takes in a frame that the peer sent.
    #[inline]
    pub(crate) fn handle(&mut self, frame: &mut Frame, out: &mut dyn Transmit, now: &dyn Fn() -> Instant) {
        self.liveness.heard = true;
        self.io.received.count(frame.header.kind, frame.header.flags, frame.payload.len());
        let broken = match &self.phase {
            Phase::Open { .. } | Phase::Opening(_) if !frame.header.has_known_flags() => Err(Rule::Flags),
            Phase::Open { agreed, .. } => {
                let limit = agreed.limits.message_length(frame.header.kind);
                self.handle_open(frame, limit, out, now)
            }
            Phase::Opening(_) => self.handle_opening(frame, out, now),
            Phase::Over { .. } => Ok(()),
        };
        if let Err(rule) = broken {
            self.violated(rule, out);
        }
    }

    #[inline]
    fn handle_open(
        &mut self,
        frame: &mut Frame,
        limit: usize,
        out: &mut dyn Transmit,
        now: &dyn Fn() -> Instant,
    ) -> Result<(), Rule> {
        let Header { kind, connection: id, .. } = frame.header;
        if !frame.descriptors.is_empty() {
            frame.descriptors.wait_within(&self.quota);
        }
        if kind == Kind::Call && !self.assembly.is_continued_by(&frame.header) {
            let goodbye = self.peer_said_goodbye();
            if let Some(connection) = self.connections.get(id) {
                connection.admit(frame, goodbye, &mut self.io)?;
            }
        }
        if !self.assembly.accept(frame, limit)? {
            return Ok(());
        }
        if frame.payload.len() > limit {
            return Err(Rule::PayloadLimit);
        }
        match kind {
            Kind::Ping => return self.handle_ping(frame, out),
            Kind::Pong => return self.handle_pong(frame, now),
            Kind::Goodbye => return self.handle_goodbye(frame, out),
            Kind::ProtocolError => return self.handle_protocol_error(frame),
            Kind::Hello | Kind::Welcome | Kind::Confirm | Kind::Refuse => return Err(Rule::HandshakeOrder),
            _ => self.liveness.busy = true,
        }
        match kind {
            Kind::Open => return self.handle_open_connection(frame, out),
            Kind::Accept | Kind::Reject => return self.handle_verdict(frame),
            Kind::Close => return self.handle_close_connection(frame),
            _ => {}
        }
        let Some(connection) = self.connections.get(id) else { return self.stale_connection(id) };
        match connection.stage {
            Stage::Open => {}
            Stage::Over { .. } => return Ok(()),
            Stage::Opening | Stage::Asked => return Err(Rule::Connection),
        }
        let io = &mut self.io;
        match kind {
            Kind::Response | Kind::Failure => connection.handle_answer(frame, io, out),
            Kind::Call => connection.handle_call(frame, io, out, now),
            Kind::Bind => connection.handle_bind(frame),
            // It would be answered, and run all the same once all of it is here.
            Kind::Cancel if self.assembly.is_request(id, frame.header.id) => Err(Rule::CancelOfNothing),
            Kind::Cancel => connection.handle_cancel(frame, io, out),
            _ => connection.channels.handle(frame, &connection.limits, io, out),
        }
    }

    fn handle_opening(
        &mut self,
        frame: &mut Frame,
        out: &mut dyn Transmit,
        now: &dyn Fn() -> Instant,
    ) -> Result<(), Rule> {
        if frame.header.connection != 0 {
            return Err(Rule::Connection);
        }
        if !self.assembly.accept(frame, MAX_HELLO)? {
            return Ok(());
        }
        if frame.payload.len() > MAX_HELLO {
            return Err(Rule::PayloadLimit);
        }
        match (frame.header.kind, self.role) {
            (Kind::Hello, Role::Acceptor) => self.handle_hello(frame, out, now),
            (Kind::Welcome, Role::Initiator) => self.handle_welcome(frame, out, now),
            (Kind::Confirm, Role::Acceptor) => self.handle_confirm(frame, now),
            (Kind::Refuse, _) => self.handle_refuse(frame),
            (Kind::ProtocolError, _) => self.handle_protocol_error(frame),
            (Kind::Goodbye, _) => {
                self.end(CloseReason::Goodbye);
                Ok(())
            }
            (Kind::Hello | Kind::Welcome | Kind::Confirm, _) => Err(Rule::HandshakeOrder),
            _ => Err(Rule::HandshakeFirst),
        }
    }

    /// The link found that the peer wrote what its layout forbids.
    pub(crate) fn corrupt(&mut self, corrupt: Corrupt, out: &mut dyn Transmit) {
        self.violated(corrupt.into(), out);
    }

    /// The peer broke `rule`: it is told, and the session ends.
    #[cold]
    fn violated(&mut self, rule: Rule, out: &mut dyn Transmit) {
        if self.is_over() {
            return;
        }
        self.last_words(Kind::ProtocolError, &rule.code().to_le_bytes(), out);
        self.end(CloseReason::Protocol(ProtocolError { rule, by: Side::Peer }));
    }

    /// A frame that goes out before the end if there is room for it; whatever else waits does not.
    pub(super) fn last_words(&mut self, kind: Kind, bytes: &[u8], out: &mut dyn Transmit) {
        self.io.outbox.clear();
        // Without room the peer sees the end of the link instead.
        let _untold = self
            .io
            .outbox
            .try_send(Header::new(kind), bytes.len(), out, |place| place.copy_from_slice(bytes));
    }

    /// The link is gone.
    pub(crate) fn link_lost(&mut self, reason: CloseReason) {
        // A peer that has said goodbye may leave once nothing is in flight.
        match self.parted() {
            Some(polite) if self.io.in_flight.is_none() && reason == CloseReason::PeerDied => {
                self.end(polite)
            }
            _ => self.end(reason),
        }
    }

    /// It is over: every call has its answer, every handler is cancelled.
    pub(super) fn end(&mut self, reason: CloseReason) {
        let agreed = match &self.phase {
            Phase::Over { .. } => return,
            Phase::Opening(_) => None,
            Phase::Open { agreed, .. } => Some(Arc::clone(agreed)),
        };
        self.io.outbox.clear();
        for connection in self.connections.all() {
            connection.finish(ConnectionEnd::Closed(reason.clone()), Last::Said, &mut self.io);
        }
        self.connections.reap_all();
        self.io.inbox.requests.clear();
        self.io.inbox.opens.clear();
        self.io.inbox.closed.clear();
        self.io.inbox.wake(&mut self.io.wakers);
        self.assembly = Assembly::default();
        self.io.room = Room::default();
        self.io.timers.clear_all();
        self.io.wakers.append(&mut self.waiting);
        self.phase = Phase::Over { agreed, reason };
    }

    /// The handshake is done.
    pub(super) fn opened(&mut self, agreed: Arc<Negotiated>, now: Instant) {
        self.io.timers.clear(self.settings.open_until, Timer::Handshake);
        self.io.wakers.append(&mut self.waiting);
        let root = &mut self.connections.root;
        root.limits = agreed.limits;
        root.stage = Stage::Open;
        root.wake_turns(&mut self.io);
        self.phase = Phase::Open { agreed, farewell: Farewell::None };
        self.watch(now);
    }

    /// Writes what waits for room in the link.
    pub(crate) fn flush(&mut self, out: &mut dyn Transmit) {
        while let Some(header) = self.io.outbox.next_sent(out) {
            let Some(connection) = self.connections.get(header.connection) else { continue };
            match header.kind {
                Kind::Call => connection.outgoing.sent(header.id),
                Kind::Response | Kind::Failure => connection.answered(header.id, &mut self.io),
                Kind::End | Kind::Reset => connection.channels.said_last(header.id, &mut self.io),
                Kind::Reject | Kind::Close => self.said_last(header.connection),
                _ => {}
            }
        }
        if self.io.room.is_there(&self.io.outbox, out) {
            self.wake_those_without_room();
        }
    }

    /// There is room again, for which callers and senders wait.
    fn wake_those_without_room(&mut self) {
        for id in std::mem::take(&mut self.io.room.callers) {
            if let Some(connection) = self.connections.get(id) {
                connection.wake_turns(&mut self.io);
            }
        }
        for channel in std::mem::take(&mut self.io.room.senders) {
            if let Some(connection) = self.connections.get(channel.connection) {
                connection.channels.room(channel.id, &mut self.io);
            }
        }
    }

    /// Whether something waits for room in the link.
    #[inline]
    pub(crate) fn wants_space(&self) -> bool {
        !self.io.outbox.is_empty() || self.io.room.is_waited_for()
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called.
    #[inline]
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.io.timers.next()
    }

    /// Does whatever is due at `now`.
    pub(crate) fn handle_timeout(&mut self, now: Instant, out: &mut dyn Transmit) {
        while let Some(timer) = self.io.timers.take_due(now) {
            let (connections, io) = (&mut self.connections, &mut self.io);
            match timer {
                Timer::Handshake => self.end(CloseReason::HandshakeTimeout),
                Timer::Goodbye => self.close(CloseReason::Local, out),
                Timer::Keepalive => self.check_alive(now, out),
                Timer::Idle => self.check_idle(now, out),
                Timer::Call(call) => {
                    if let Some(connection) = connections.get(call.connection) {
                        connection.call_expired(call.id, io, out);
                    }
                }
                Timer::Request(call) => {
                    if let Some(connection) = connections.get(call.connection) {
                        connection.request_expired(call.id, io, out);
                    }
                }
                Timer::Turn(id, ticket) => {
                    if let Some(connection) = connections.get(id) {
                        connection.outgoing.turns.expire(ticket, &mut io.wakers);
                    }
                }
            }
        }
    }

    /// Those to wake after this step.
    #[inline]
    pub(crate) fn take_wakers(&mut self, into: &mut Vec<Waker>) {
        if !self.io.wakers.is_empty() {
            into.append(&mut self.io.wakers);
        }
    }

    /// Whether there are wakers to drop after this step.
    #[inline]
    pub(crate) fn has_spent(&self) -> bool {
        !self.io.spent.is_empty()
    }

    /// Wakers to drop after this step.
    pub(crate) fn take_spent(&mut self, into: &mut Vec<Waker>) {
        into.append(&mut self.io.spent);
    }

    /// What carries the frames.
    pub(crate) fn transport(&self) -> &Transport {
        &self.settings.transport
    }

    /// Who is at the other end.
    pub(crate) fn peer(&self) -> Peer {
        self.settings.peer
    }

    /// What both sides agreed on, once they have.
    pub(crate) fn negotiated(&self) -> Option<Arc<Negotiated>> {
        match &self.phase {
            Phase::Opening(_) => None,
            Phase::Open { agreed, .. } => Some(Arc::clone(agreed)),
            Phase::Over { agreed, .. } => agreed.clone(),
        }
    }

    /// Why it is over, if it is.
    pub(crate) fn close_reason(&self) -> Option<&CloseReason> {
        match &self.phase {
            Phase::Over { reason, .. } => Some(reason),
            Phase::Opening(_) | Phase::Open { .. } => None,
        }
    }

    /// Whether it is open, and nobody has said goodbye.
    #[inline]
    pub(crate) fn takes_calls(&self) -> bool {
        matches!(self.phase, Phase::Open { farewell: Farewell::None, .. })
    }

    /// Whether it is over.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over { .. })
    }

    /// Ready when it is over.
    pub(crate) fn poll_closed(&mut self, waker: &Waker) -> Poll<CloseReason> {
        match self.close_reason() {
            Some(reason) => Poll::Ready(reason.clone()),
            None => {
                self.wait(waker);
                Poll::Pending
            }
        }
    }

    /// Ready when the handshake is done, or never will be.
    pub(crate) fn poll_open(&mut self, waker: &Waker) -> Poll<Result<Arc<Negotiated>, CloseReason>> {
        match &self.phase {
            // A session that is over by now has been open all the same: that it has ended is told by the end.
            Phase::Open { agreed, .. } | Phase::Over { agreed: Some(agreed), .. } => {
                Poll::Ready(Ok(Arc::clone(agreed)))
            }
            Phase::Over { agreed: None, reason } => Poll::Ready(Err(reason.clone())),
            Phase::Opening(_) => {
                self.wait(waker);
                Poll::Pending
            }
        }
    }

    pub(super) fn wait(&mut self, waker: &Waker) {
        if !self.waiting.iter().any(|known| known.will_wake(waker)) {
            self.waiting.push(waker.clone());
        }
    }
}

/// Has `waker` woken in place of whoever was to be; nobody, if whoever waits is awake and will ask again. Gives the waker
/// that is of no use any more.
#[inline]
#[must_use]
pub(super) fn register(known: &mut Option<Waker>, waker: Option<&Waker>) -> Option<Waker> {
    match (known, waker) {
        (Some(known), Some(waker)) if known.will_wake(waker) => None,
        (known, waker) => std::mem::replace(known, waker.cloned()),
    }
}
