//! The frames that open and end a session.

use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Instant;

use super::handshake::{Hello, LEAST, NEWEST, Refusal};
use super::machine::{Farewell, Opening, Phase};
use super::timers::Timer;
use super::wire::Reader;
use super::{CloseReason, Limits, Metadata, Negotiated, ProtocolError, Rejection, Role, Rule, Session, Side};
use crate::link::{Frame, Header, Kind, Transmit};

/// The one byte of a goodbye: those in flight may finish.
const POLITE: u8 = 0;
/// The one byte of a goodbye: it is over now.
const AT_ONCE: u8 = 1;

impl Session {
    pub(super) fn handle_hello(
        &mut self,
        frame: &Frame,
        out: &mut dyn Transmit,
        now: &dyn Fn() -> Instant,
    ) -> Result<(), Rule> {
        let hello = self.read_hello(frame)?;
        match hello.choose() {
            Ok(version) => self.introduced(self.agree(version, hello.limits, hello.metadata), out, now),
            Err(refusal) => self.end_refusing(refusal, out),
        }
        Ok(())
    }

    pub(super) fn handle_welcome(
        &mut self,
        frame: &Frame,
        out: &mut dyn Transmit,
        now: &dyn Fn() -> Instant,
    ) -> Result<(), Rule> {
        let welcome = self.read_hello(frame)?;
        let version = welcome.newest;
        if (LEAST..=NEWEST).contains(&version) {
            self.introduced(self.agree(version, welcome.limits, welcome.metadata), out, now);
        } else {
            let refusal =
                Refusal::Version { newest: NEWEST, least: LEAST, peer_newest: version, peer_least: version };
            self.end_refusing(refusal, out);
        }
        Ok(())
    }

    pub(super) fn handle_confirm(&mut self, frame: &Frame, now: &dyn Fn() -> Instant) -> Result<(), Rule> {
        let Phase::Opening(Opening::Answered { agreed }) = &self.phase else {
            return Err(Rule::HandshakeOrder);
        };
        if *frame.payload != agreed.version.to_le_bytes() {
            return Err(Rule::HandshakeForm);
        }
        let agreed = Arc::clone(agreed);
        self.opened(agreed, now());
        Ok(())
    }

    pub(super) fn handle_refuse(&mut self, frame: &Frame) -> Result<(), Rule> {
        let refusal = Refusal::decode(&frame.payload).map_err(|_| Rule::HandshakeForm)?;
        if let Refusal::Policy(rejection) = &refusal {
            self.settings.limits.check_metadata(&rejection.metadata)?;
        }
        self.end(CloseReason::Refused { refusal, by: Side::Peer });
        Ok(())
    }

    /// What the peer says of itself, for the first time.
    fn read_hello(&self, frame: &Frame) -> Result<Hello, Rule> {
        let Phase::Opening(Opening::Begun) = &self.phase else { return Err(Rule::HandshakeOrder) };
        let hello = Hello::decode(&frame.payload).map_err(|_| Rule::HandshakeForm)?;
        if hello.role != self.role.other() {
            return Err(Rule::HandshakeRole);
        }
        hello.limits.check().map_err(|_| Rule::HandshakeLimit)?;
        Ok(hello)
    }

    /// The peer has introduced itself, and both sides could do with these terms.
    fn introduced(&mut self, agreed: Arc<Negotiated>, out: &mut dyn Transmit, now: &dyn Fn() -> Instant) {
        if self.settings.has_policy {
            self.phase = Phase::Opening(Opening::Asked { agreed });
            self.io.wakers.append(&mut self.waiting);
        } else {
            self.let_in(agreed, out, now);
        }
    }

    fn let_in(&mut self, agreed: Arc<Negotiated>, out: &mut dyn Transmit, now: &dyn Fn() -> Instant) {
        match self.role {
            Role::Acceptor => {
                let welcome = self.hello(agreed.version, 0).encode();
                self.io.outbox.send(Header::new(Kind::Welcome), &welcome, out);
                self.phase = Phase::Opening(Opening::Answered { agreed });
            }
            Role::Initiator => {
                self.io.outbox.send(Header::new(Kind::Confirm), &agreed.version.to_le_bytes(), out);
                self.opened(agreed, now());
            }
        }
    }

    /// Ready when the peer has introduced itself, on a session with a policy: with what both sides would agree on. `None` if
    /// nothing is to be decided any more.
    pub(crate) fn poll_introduced(&mut self, waker: &Waker) -> Poll<Option<Arc<Negotiated>>> {
        match &self.phase {
            Phase::Opening(Opening::Begun) => {
                self.wait(waker);
                Poll::Pending
            }
            Phase::Opening(Opening::Asked { agreed }) => Poll::Ready(Some(Arc::clone(agreed))),
            Phase::Opening(Opening::Answered { .. }) | Phase::Open { .. } | Phase::Over { .. } => {
                Poll::Ready(None)
            }
        }
    }

    /// Lets a peer in that has introduced itself.
    pub(crate) fn admit(&mut self, out: &mut dyn Transmit, now: &dyn Fn() -> Instant) {
        if let Phase::Opening(Opening::Asked { agreed }) = &self.phase {
            self.let_in(Arc::clone(agreed), out, now);
        }
    }

    /// Does not let a peer in that has introduced itself.
    pub(crate) fn refuse(&mut self, rejection: Rejection, out: &mut dyn Transmit) {
        if let Phase::Opening(Opening::Asked { .. }) = &self.phase {
            self.end_refusing(rejection.into(), out);
        }
    }

    fn end_refusing(&mut self, refusal: Refusal, out: &mut dyn Transmit) {
        let limits = match &self.phase {
            Phase::Opening(Opening::Asked { agreed }) => agreed.limits,
            _ => self.settings.limits,
        };
        self.last_words(Kind::Refuse, &refusal.encode(&limits, out.max_payload()), out);
        self.end(CloseReason::Refused { refusal, by: Side::Local });
    }

    fn agree(&self, version: u16, limits: Limits, peer_metadata: Metadata) -> Arc<Negotiated> {
        Arc::new(Negotiated {
            version,
            role: self.role,
            transport: self.settings.transport.clone(),
            limits: self.settings.limits.stricter(limits),
            peer_metadata,
        })
    }

    /// Ends politely: no call is made any more on either side, and it is over when those in flight have finished, at
    /// the latest at `deadline`.
    pub(crate) fn goodbye(&mut self, out: &mut dyn Transmit, deadline: Option<Instant>) {
        match &mut self.phase {
            Phase::Over { .. } => return,
            Phase::Opening(_) => return self.close(CloseReason::Local, out),
            Phase::Open { farewell, .. } => {
                if *farewell == Farewell::None {
                    *farewell = Farewell::Said;
                    self.io.outbox.send(Header::new(Kind::Goodbye), &[POLITE], out);
                    self.wake_all_turns();
                }
            }
        }
        if let Some(at) = deadline {
            self.io.timers.set(at, Timer::Goodbye);
        }
    }

    /// No more calls are made: those who wait for their turn are refused.
    fn wake_all_turns(&mut self) {
        for connection in self.connections.all() {
            connection.outgoing.turns.wake_all(&mut self.io.wakers);
        }
    }

    /// Ends at once.
    pub(crate) fn close(&mut self, reason: CloseReason, out: &mut dyn Transmit) {
        if !self.is_over() {
            self.last_words(Kind::Goodbye, &[AT_ONCE], out);
            self.end(reason);
        }
    }

    pub(super) fn handle_goodbye(&mut self, frame: &Frame, out: &mut dyn Transmit) -> Result<(), Rule> {
        let Phase::Open { farewell, .. } = &mut self.phase else { return Ok(()) };
        match (frame.payload.as_slice(), *farewell) {
            ([POLITE], Farewell::Said) => *farewell = Farewell::Answered,
            ([POLITE], Farewell::None) => {
                *farewell = Farewell::Heard;
                self.io.outbox.send(Header::new(Kind::Goodbye), &[POLITE], out);
                self.wake_all_turns();
            }
            ([AT_ONCE], _) => self.end(CloseReason::Goodbye),
            _ => return Err(Rule::GoodbyeForm),
        }
        Ok(())
    }

    /// After both goodbyes it is over when nothing is in flight. Asked after each step, once the link has taken all that
    /// was written: what would be lost with this side is not with the peer.
    #[inline]
    pub(crate) fn end_if_done(&mut self) {
        let Some(reason) = self.parted() else { return };
        if self.io.in_flight.is_none() && self.io.outbox.is_empty() {
            self.end(reason);
        }
    }

    /// What the session ends with if both sides have said goodbye.
    #[inline]
    pub(super) fn parted(&self) -> Option<CloseReason> {
        match &self.phase {
            Phase::Open { farewell: Farewell::Answered, .. } => Some(CloseReason::Local),
            Phase::Open { farewell: Farewell::Heard, .. } => Some(CloseReason::Goodbye),
            Phase::Open { .. } | Phase::Opening(_) | Phase::Over { .. } => None,
        }
    }

    /// Whether the peer has said that it makes no more calls.
    pub(super) fn peer_said_goodbye(&self) -> bool {
        matches!(&self.phase, Phase::Open { farewell: Farewell::Answered | Farewell::Heard, .. })
    }

    pub(super) fn handle_protocol_error(&mut self, frame: &Frame) -> Result<(), Rule> {
        let rule = Reader::new(&frame.payload).u16().map_or(Rule::Unknown, Rule::from_code);
        self.end(CloseReason::Protocol(ProtocolError { rule, by: Side::Local }));
        Ok(())
    }
}
