//! Keepalive and idle sessions, with a clock of the test's own: K1, K2 and R8.

use std::time::{Duration, Instant};

use super::simulated::{ECHO, Peer, Shape, deliver, pair, settings};
use super::{CallId, CloseReason, Keepalive, Limits, Outcome, Role, Session, StartCall};

const SILENCE: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(25);
const IDLE: Duration = Duration::from_secs(60);

/// Two open sessions, of which the first asks whether the second is alive, and ends when nothing happens, or either.
fn open(keepalive: bool, idle: bool, now: Instant) -> [Peer; 2] {
    let mut peers = pair(Shape::WIDE, Limits::default());
    let mut settings = settings(Limits::default());
    settings.keepalive = keepalive.then_some(Keepalive { silence: SILENCE, timeout: TIMEOUT });
    settings.idle = idle.then_some(IDLE);
    peers[0].session = Session::new(Role::Initiator, settings);
    for peer in &mut peers {
        peer.session.start(&mut peer.out);
    }
    deliver(&mut peers, now);
    peers
}

/// Goes on to when the next thing is due, and does it; when that was.
fn next(peer: &mut Peer) -> Instant {
    let now = peer.session.next_timeout().expect("something is due");
    peer.session.handle_timeout(now, &mut peer.out);
    peer.settle();
    now
}

#[test]
fn a_peer_that_answers_is_asked_after_each_silence() {
    let begun = Instant::now();
    let mut peers = open(true, false, begun);
    // The handshake was heard.
    let mut last = next(&mut peers[0]);
    for _ in 0..100 {
        let now = next(&mut peers[0]);
        assert_eq!(now - last, SILENCE);
        assert_eq!(peers[1].incoming.lock().unwrap().frames.len(), 1, "it is asked");
        deliver(&mut peers, now);
        last = now;
    }
    assert!(peers.iter().all(|peer| peer.session.close_reason().is_none()));
}

#[test]
fn a_peer_that_does_not_answer_ends_the_session() {
    let mut peers = open(true, false, Instant::now());
    let heard = next(&mut peers[0]);
    let asked = next(&mut peers[0]);
    let ended = next(&mut peers[0]);
    assert_eq!((asked - heard, ended - asked), (SILENCE, TIMEOUT));
    assert_eq!(peers[0].session.close_reason(), Some(&CloseReason::Silent));
}

#[test]
fn whatever_comes_is_a_sign_of_life() {
    let mut peers = open(true, false, Instant::now());
    let mut now = next(&mut peers[0]);
    for _ in 0..10 {
        // Asked or not, in time or just so: what comes are calls, and never an answer.
        peers[1].call(&ECHO, b"alive", None, now);
        while peers[0].receive(now) {}
        peers[1].incoming.lock().unwrap().frames.clear();
        now = next(&mut peers[0]);
        assert_eq!(peers[0].session.close_reason(), None);
    }
}

#[test]
fn without_being_told_so_nobody_asks() {
    let peers = open(false, false, Instant::now());
    assert!(peers.iter().all(|peer| peer.session.next_timeout().is_none()));
}

/// One side calls the other, which does not answer yet.
fn call(peers: &mut [Peer; 2], caller: usize, now: Instant) -> CallId {
    let StartCall::Started(started) = peers[caller].call(&ECHO, b"busy", None, now) else {
        panic!("nobody else calls")
    };
    deliver(peers, now);
    started.call
}

/// The other one answers.
fn answer(peers: &mut [Peer; 2], caller: usize, call: CallId, now: Instant) {
    let other = &mut peers[1 - caller];
    let request = other.session.next_request().expect("a request");
    other.session.respond(request.call, Ok(Outcome::plain(b"")), &mut other.out);
    deliver(peers, now);
    assert!(peers[caller].session.poll_answer(call, None).is_ready());
}

#[test]
fn a_session_ends_when_nothing_happens_and_nothing_is_under_way() {
    for caller in [0, 1] {
        let begun = Instant::now();
        let mut peers = open(false, true, begun);
        let call = call(&mut peers, caller, begun);
        let mut now = begun;
        for _ in 0..10 {
            now = next(&mut peers[0]);
            assert_eq!(peers[0].session.close_reason(), None, "a call is under way");
        }
        answer(&mut peers, caller, call, now);
        let mut ended = now;
        while peers[0].session.close_reason().is_none() {
            ended = next(&mut peers[0]);
        }
        assert!(ended - now >= IDLE && ended - now <= 2 * IDLE, "{:?}", ended - now);
        assert_eq!(peers[0].session.close_reason(), Some(&CloseReason::Idle));
        deliver(&mut peers, ended);
        assert_eq!(peers[1].session.close_reason(), Some(&CloseReason::Goodbye));
    }
}

#[test]
fn what_keeps_a_session_from_being_idle() {
    let mut now = Instant::now();
    let mut peers = open(false, true, now);
    for round in 0..10 {
        // Either side calls.
        let call = call(&mut peers, round % 2, now);
        answer(&mut peers, round % 2, call, now);
        now = next(&mut peers[0]);
        assert_eq!(peers[0].session.close_reason(), None, "round {round}");
    }
}

#[test]
fn that_a_peer_is_alive_keeps_no_session_from_being_idle() {
    let begun = Instant::now();
    let mut peers = open(true, true, begun);
    let mut now = begun;
    while peers[0].session.close_reason().is_none() {
        now = next(&mut peers[0]);
        deliver(&mut peers, now);
    }
    assert_eq!(peers[0].session.close_reason(), Some(&CloseReason::Idle));
    assert!(now - begun >= IDLE && now - begun <= 2 * IDLE, "{:?}", now - begun);
}
