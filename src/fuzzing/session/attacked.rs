//! A session under attack: what its peer does to it, and what must hold after each step.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use transom_shm_layout::ring::words;

use super::Script;
use crate::link::{Buffer, Frame, Header};
use crate::session::simulated::{Peer, Wire};
use crate::session::{CallId, ChannelId, CloseReason, Flow, Limits};

/// A session, and what it owes.
pub(super) struct Attacked {
    pub(super) peer: Peer,
    /// What it has sent and nobody has read.
    pub(super) sent: Arc<Mutex<Wire>>,
    pub(super) limits: Limits,
    pub(super) now: Instant,
    /// Requests that were handed out and not answered.
    pub(super) handling: Vec<CallId>,
    /// Calls whose answers are awaited.
    pub(super) calls: Vec<CallId>,
    /// The ticket of a caller that waits for its turn.
    pub(super) turn: Option<u64>,
    /// The ends of channels that this side has.
    pub(super) ends: Vec<(ChannelId, Flow)>,
    /// Connections that the peer has asked for, to decide about.
    pub(super) asked: Vec<u32>,
    /// Connections that this side holds.
    pub(super) held: Vec<u32>,
    pub(super) came_through: usize,
}

impl Attacked {
    pub(super) fn step(&mut self, step: u8, script: &mut Script<'_>) {
        let over = self.peer.session.close_reason().cloned();
        let sent = self.sent_frames();
        match step % 16 {
            0..=3 => self.receive(script),
            4 => self.call(script),
            5 => self.respond(script),
            6 => self.give_up(script),
            7 => self.pass_time(script),
            8 => self.take_all(),
            9 => self.peer.session.goodbye(&mut self.peer.out, Some(self.now + Duration::from_millis(9))),
            10 => self.declare(script),
            11 => self.send(script),
            12 => self.take_items(script),
            13 => self.let_go(script),
            14 => self.connect(script),
            _ => self.decide(script),
        }
        self.peer.settle();
        self.hand_out();
        self.check();
        if over.is_some() {
            assert_eq!(self.peer.session.close_reason(), over.as_ref(), "the end has one reason");
            assert!(self.sent_frames() <= sent, "nothing is sent after the end");
        }
    }

    fn sent_frames(&self) -> usize {
        self.sent.lock().unwrap().frames.len()
    }

    /// A frame from the peer: `kind, flags and connection, id, method, length, payload`.
    fn receive(&mut self, script: &mut Script<'_>) {
        let mut bytes = [0; Header::LEN];
        bytes[4] = 1 + script.byte() % 22;
        let flags = script.byte();
        bytes[5] = flags & 7;
        bytes[8] = flags >> 4;
        bytes[16..24].copy_from_slice(&script.number().to_le_bytes());
        bytes[24..32].copy_from_slice(&script.number().to_le_bytes());
        let length = match script.byte() {
            u8::MAX => script.short().into(),
            short => short.into(),
        };
        let payload = Buffer::copy_of(script.bytes(length));
        bytes[..4].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        let header = Header::decode(words(&bytes)).expect("only what a header may say was put into it");
        let now = self.now;
        self.peer.session.handle(&mut Frame::new(header, payload), &mut self.peer.out, &|| now);
    }

    fn check(&self) {
        let session = &self.peer.session;
        assert_eq!(session.flaw(), None);
        for call in &self.handling {
            let handled = self.handling.iter().filter(|other| other.connection == call.connection).count();
            assert!(handled <= self.limits.requests as usize, "more is handled than agreed");
        }
        if session.is_over() {
            assert!(self.calls.is_empty(), "calls without an answer after the end");
            assert!(self.handling.is_empty(), "handlers that nobody cancelled after the end");
        }
    }

    /// The link ends, and with it everything.
    pub(super) fn finish(&mut self) {
        self.peer.session.link_lost(CloseReason::PeerDied);
        self.hand_out();
        self.leave();
        self.check();
        assert!(self.peer.session.is_over());
    }
}
