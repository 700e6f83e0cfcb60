//! A session whose peer does as it likes.

mod application;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::script::Script;
use crate::link::{Buffer, Frame, Header};
use crate::session::simulated::{Peer, Shape, Wire, deliver, pair_with, settings};
use crate::session::{CallId, ChannelId, CloseReason, Flow, Keepalive, Limits, Settings};

/// A session whose peer sends whatever it likes, from the first frame or after an honest handshake, while this side makes
/// calls, handles requests, and has connections and channels. Gives back how many requests, answers, items and connections
/// came through.
pub fn session(data: &[u8]) -> usize {
    let mut script = Script(data);
    let setup = script.byte();
    let limits = match setup & TIGHT {
        0 => Limits::default(),
        _ => Limits {
            requests: 2,
            payload: Limits::LEAST_PAYLOAD,
            window: 100,
            channels: 3,
            connections: 2,
            ..Limits::default()
        },
    };
    let shape = if setup & NARROW == 0 { Shape::WIDE } else { Shape::NARROW };
    let shape = Shape { cells: if setup & CELLS == 0 { 0 } else { 4 }, ..shape };
    let (now, millis) = (Instant::now(), Duration::from_millis);
    let timed = |settings| match setup & TIMED {
        0 => settings,
        _ => Settings {
            keepalive: Some(Keepalive { silence: millis(20), timeout: millis(10) }),
            idle: Some(millis(100)),
            ..settings
        },
    };
    let mut peers = pair_with(shape, [timed(settings(limits)), timed(settings(limits))]);
    for peer in &mut peers {
        peer.session.start(&mut peer.out);
    }
    if setup & OPENED != 0 {
        deliver(&mut peers, now);
        assert!(peers.iter().all(|peer| peer.session.negotiated().is_some()), "an honest handshake succeeds");
    }
    let [initiator, acceptor] = peers;
    let (peer, other) = if setup & ACCEPTOR == 0 { (initiator, acceptor) } else { (acceptor, initiator) };
    let mut attacked = Attacked {
        peer,
        sent: other.incoming,
        limits,
        now,
        handling: Vec::new(),
        calls: Vec::new(),
        turn: None,
        ends: Vec::new(),
        asked: Vec::new(),
        held: Vec::new(),
        came_through: 0,
    };
    while let Some(step) = script.next() {
        attacked.step(step, &mut script);
    }
    attacked.finish();
    attacked.came_through
}

/// In a session's setup: it is the acceptor that is attacked, not the initiator.
const ACCEPTOR: u8 = 1;
/// The attack begins after the handshake.
const OPENED: u8 = 2;
/// Two requests at a time, of a kilobyte; few channels with small windows, and few connections.
const TIGHT: u8 = 4;
/// Small frames and little room, so that this side has to wait.
const NARROW: u8 = 8;
/// The link has credit cells, in which the peer stores what it likes.
const CELLS: u8 = 16;
/// The peer is asked whether it is alive, and the session ends when it is idle.
const TIMED: u8 = 32;

/// A session, and what it owes.
struct Attacked {
    peer: Peer,
    /// What it has sent and nobody has read.
    sent: Arc<Mutex<Wire>>,
    limits: Limits,
    now: Instant,
    /// Requests that were handed out and not answered.
    handling: Vec<CallId>,
    /// Calls whose answers are awaited.
    calls: Vec<CallId>,
    /// The ticket of a caller that waits for its turn.
    turn: Option<u64>,
    /// The ends of channels that this side has.
    ends: Vec<(ChannelId, Flow)>,
    /// Connections that the peer has asked for, to decide about.
    asked: Vec<u32>,
    /// Connections that this side holds.
    held: Vec<u32>,
    came_through: usize,
}

impl Attacked {
    fn step(&mut self, step: u8, script: &mut Script<'_>) {
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
        let header = Header::decode(&bytes).expect("only what a header may say was put into it");
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
    fn finish(&mut self) {
        self.peer.session.link_lost(CloseReason::PeerDied);
        self.hand_out();
        self.leave();
        self.check();
        assert!(self.peer.session.is_over());
    }
}
