//! A session whose peer does as it likes.

mod application;
mod attacked;

use std::time::{Duration, Instant};

use super::script::Script;
use crate::session::simulated::{Shape, deliver, pair_with, settings};
use crate::session::{Keepalive, Limits, Settings};
use attacked::Attacked;

/// A session whose peer sends whatever it likes, from the first frame or after an honest handshake, while this side does all
/// that it can. Gives back how many requests, answers, items and connections came through.
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
    let attacked = usize::from(setup & ACCEPTOR != 0);
    let both = [0, 1].map(|at| Settings {
        has_policy: at == attacked && setup & (POLICY | OPENED) == POLICY,
        ..timed(settings(limits))
    });
    let mut peers = pair_with(shape, both);
    for peer in &mut peers {
        peer.session.start(&mut peer.out);
    }
    if setup & OPENED != 0 {
        deliver(&mut peers, now);
        assert!(peers.iter().all(|peer| peer.session.negotiated().is_some()), "an honest handshake succeeds");
    }
    let [initiator, acceptor] = peers;
    let (peer, other) = if attacked == 0 { (initiator, acceptor) } else { (acceptor, initiator) };
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
/// The peer is let in when this side decides so, or is not.
const POLICY: u8 = 64;
