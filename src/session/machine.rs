//! The machine: its state, its phases and its end.

use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Instant;

use super::assembly::Assembly;
use super::handshake::{Hello, LEAST, MAX_HELLO, NEWEST};
use super::incoming::Incoming;
use super::outbox::Outbox;
use super::outgoing::Outgoing;
use super::timers::{Timer, Timers};
use super::{CloseReason, Negotiated, ProtocolError, Role, Rule, Settings, Side};
use crate::link::{Corrupt, Frame, Header, Kind, Peer, Transmit, Transport};

/// A session: frames, commands and time in; frames, wake-ups and a deadline out.
pub(crate) struct Session {
    pub(super) role: Role,
    pub(super) settings: Settings,
    pub(super) phase: Phase,
    pub(super) outgoing: Outgoing,
    pub(super) incoming: Incoming,
    pub(super) assembly: Assembly,
    pub(super) outbox: Outbox,
    pub(super) timers: Timers,
    /// Those to wake once the step is over.
    pub(super) wakers: Vec<Waker>,
    /// Wakers that are of no use any more. They are dropped once the step is over, too: that may run anything.
    pub(super) spent: Vec<Waker>,
    /// Those that wait for the opening or the end.
    waiting: Vec<Waker>,
}

/// Where a session is in its life.
pub(super) enum Phase {
    /// The handshake's frames are on their way.
    Opening {
        /// What was agreed, once the acceptor has answered and waits for the confirmation.
        agreed: Option<Arc<Negotiated>>,
    },
    /// Calls may be made.
    Open {
        agreed: Arc<Negotiated>,
        /// Who has said goodbye.
        farewell: Farewell,
    },
    /// It is over.
    Over { agreed: Option<Arc<Negotiated>>, reason: CloseReason },
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
        let mut timers = Timers::default();
        if let Some(at) = settings.open_until {
            timers.set(at, Timer::Handshake);
        }
        Self {
            role,
            phase: Phase::Opening { agreed: None },
            outgoing: Outgoing::new(role),
            incoming: Incoming::default(),
            assembly: Assembly::default(),
            outbox: Outbox::default(),
            timers,
            wakers: Vec::new(),
            spent: Vec::new(),
            waiting: Vec::new(),
            settings,
        }
    }

    /// Begins: the initiator says hello.
    pub(crate) fn start(&mut self, out: &mut dyn Transmit) {
        if self.role == Role::Initiator {
            let hello = self.hello(NEWEST, LEAST).encode();
            self.outbox.send(Header::new(Kind::Hello), &hello, out);
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
        let broken = match &self.phase {
            Phase::Open { .. } | Phase::Opening { .. } if !frame.header.has_known_flags() => Err(Rule::Flags),
            Phase::Open { agreed, .. } => {
                let limit = agreed.limits.payload_length();
                self.handle_open(frame, limit, out, now)
            }
            Phase::Opening { .. } => self.handle_opening(frame, out),
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
        if frame.header.connection != 0 {
            return Err(Rule::Connection);
        }
        if frame.header.kind == Kind::Call && !self.assembly.is_continued_by(&frame.header) {
            self.admit(&frame.header)?;
        }
        if !self.assembly.accept(frame, limit)? {
            return Ok(());
        }
        if frame.payload.len() > limit {
            return Err(Rule::PayloadLimit);
        }
        match frame.header.kind {
            Kind::Response | Kind::Failure => self.handle_answer(frame),
            Kind::Call => self.handle_call(frame, out, now),
            Kind::Bind => self.handle_bind(frame),
            Kind::Cancel => self.handle_cancel(frame, out),
            Kind::Goodbye => self.handle_goodbye(frame, out),
            Kind::ProtocolError => self.handle_protocol_error(frame),
            Kind::Hello | Kind::Welcome | Kind::Confirm | Kind::Refuse => Err(Rule::HandshakeOrder),
        }
    }

    fn handle_opening(&mut self, frame: &mut Frame, out: &mut dyn Transmit) -> Result<(), Rule> {
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
            (Kind::Hello, Role::Acceptor) => self.handle_hello(frame, out),
            (Kind::Welcome, Role::Initiator) => self.handle_welcome(frame, out),
            (Kind::Confirm, Role::Acceptor) => self.handle_confirm(frame),
            (Kind::Refuse, _) => self.handle_refuse(frame),
            (Kind::ProtocolError, _) => self.handle_protocol_error(frame),
            (Kind::Goodbye, _) => {
                self.end(CloseReason::Goodbye);
                Ok(())
            }
            (Kind::Hello | Kind::Welcome | Kind::Confirm, _) => Err(Rule::HandshakeOrder),
            (Kind::Bind | Kind::Call | Kind::Response | Kind::Failure | Kind::Cancel, _) => {
                Err(Rule::HandshakeFirst)
            }
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
        self.outbox.clear();
        // Without room the peer sees the end of the link instead.
        let _untold =
            self.outbox.try_send(Header::new(kind), bytes.len(), out, |place| place.copy_from_slice(bytes));
    }

    /// The link is gone.
    pub(crate) fn link_lost(&mut self, reason: CloseReason) {
        // A peer that has said goodbye may leave once it has all its answers.
        match self.parted() {
            Some(polite) if self.outgoing.is_idle() && reason == CloseReason::PeerDied => self.end(polite),
            _ => self.end(reason),
        }
    }

    /// It is over: every call has its answer, every handler is cancelled.
    pub(super) fn end(&mut self, reason: CloseReason) {
        let agreed = match &self.phase {
            Phase::Over { .. } => return,
            Phase::Opening { .. } => None,
            Phase::Open { agreed, .. } => Some(Arc::clone(agreed)),
        };
        self.outgoing.end(&reason, &mut self.wakers);
        self.incoming.end(&mut self.wakers);
        self.assembly = Assembly::default();
        self.outbox.clear();
        self.timers.clear_all();
        self.wakers.append(&mut self.waiting);
        self.phase = Phase::Over { agreed, reason };
    }

    /// Wakes those that wait for the opening.
    pub(super) fn opened(&mut self, agreed: Arc<Negotiated>) {
        self.timers.clear(self.settings.open_until, Timer::Handshake);
        self.wakers.append(&mut self.waiting);
        self.phase = Phase::Open { agreed, farewell: Farewell::None };
        self.wake_turns();
        self.wake_turns();
    }

    /// Writes what waits for room in the link.
    pub(crate) fn flush(&mut self, out: &mut dyn Transmit) {
        let Self { outbox, outgoing, incoming, timers, .. } = self;
        outbox.flush(out, |header| match header.kind {
            Kind::Call => outgoing.sent(header.id),
            Kind::Response | Kind::Failure => incoming.answered(header.id, timers),
            _ => {}
        });
        if self.outgoing.starves_no_more(&self.outbox, out) {
            self.wake_turns();
        }
    }

    /// Whether something waits for room in the link.
    #[inline]
    pub(crate) fn wants_space(&self) -> bool {
        !self.outbox.is_empty() || self.outgoing.is_starved()
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called.
    #[inline]
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Does whatever is due at `now`.
    pub(crate) fn handle_timeout(&mut self, now: Instant, out: &mut dyn Transmit) {
        while let Some(timer) = self.timers.take_due(now) {
            match timer {
                Timer::Handshake => self.end(CloseReason::HandshakeTimeout),
                Timer::Goodbye => self.close(CloseReason::Local, out),
                Timer::Call(id) => self.call_expired(id, out),
                Timer::Request(id) => self.request_expired(id, out),
                Timer::Turn(ticket) => self.outgoing.turns.expire(ticket, &mut self.wakers),
            }
        }
    }

    /// Those to wake after this step.
    #[inline]
    pub(crate) fn take_wakers(&mut self, into: &mut Vec<Waker>) {
        if !self.wakers.is_empty() {
            into.append(&mut self.wakers);
        }
    }

    /// Wakers to drop after this step.
    #[inline]
    pub(crate) fn take_spent(&mut self) -> Vec<Waker> {
        if self.spent.is_empty() { Vec::new() } else { std::mem::take(&mut self.spent) }
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
            Phase::Opening { .. } => None,
            Phase::Open { agreed, .. } => Some(Arc::clone(agreed)),
            Phase::Over { agreed, .. } => agreed.clone(),
        }
    }

    /// Why it is over, if it is.
    pub(crate) fn close_reason(&self) -> Option<&CloseReason> {
        match &self.phase {
            Phase::Over { reason, .. } => Some(reason),
            Phase::Opening { .. } | Phase::Open { .. } => None,
        }
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
            Phase::Opening { .. } => {
                self.wait(waker);
                Poll::Pending
            }
        }
    }

    fn wait(&mut self, waker: &Waker) {
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
