//! Whether a peer is alive, and whether anything happens, by a clock that the tests set.

use std::time::Duration;

use super::*;
use crate::session::simulated::{pair_with, settings};
use crate::session::{Keepalive, Outcome, Settings};

const SECOND: Duration = Duration::from_secs(1);

/// Two sessions, the first with a clock; both begin at the same moment.
struct Timed {
    peers: [Peer; 2],
    now: Instant,
}

impl Timed {
    fn new(keepalive: Option<Keepalive>, idle: Option<Duration>) -> Self {
        let now = Instant::now();
        let limits = Limits::default();
        let mut peers =
            pair_with(Shape::WIDE, [Settings { keepalive, idle, ..settings(limits) }, settings(limits)]);
        peers.iter_mut().for_each(|peer| peer.session.start(&mut peer.out));
        deliver(&mut peers, now);
        Self { peers, now }
    }

    /// Asks after 10 seconds of silence, and waits for 5 more.
    fn asking() -> Self {
        Self::new(Some(Keepalive { silence: 10 * SECOND, timeout: 5 * SECOND }), None)
    }

    /// Time passes for the first, to the next thing that is due; how many seconds that are.
    fn pass(&mut self) -> u64 {
        let at = self.peers[0].session.next_timeout().expect("something is due");
        let passed = at.duration_since(self.now).as_secs();
        self.now = at;
        let peer = &mut self.peers[0];
        peer.session.handle_timeout(at, &mut peer.out);
        passed
    }

    fn deliver(&mut self) {
        deliver(&mut self.peers, self.now);
    }

    fn end(&self) -> Option<&CloseReason> {
        self.peers[0].session.close_reason()
    }

    /// The kinds and the nonces of what is on its way to the second.
    fn sent(&self) -> Vec<(Kind, u64)> {
        let frames = &self.peers[1].incoming.lock().unwrap().frames;
        let nonce = |frame: &Frame| frame.payload.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        frames.iter().map(|frame| (frame.header.kind, nonce(frame))).collect()
    }
}

#[test]
fn a_silent_peer_is_asked_and_given_up_if_it_does_not_answer() {
    let mut timed = Timed::asking();
    // The handshake was heard since.
    assert_eq!((timed.pass(), timed.sent().len()), (10, 0));
    assert_eq!((timed.pass(), timed.sent()), (10, vec![(Kind::Ping, 1)]));
    assert_eq!(timed.end(), None);
    assert_eq!(timed.pass(), 5);
    assert_eq!(timed.end(), Some(&CloseReason::Silent));
}

#[test]
fn an_answer_and_anything_else_count_as_life() {
    let mut timed = Timed::asking();
    timed.pass();
    for nonce in 1..4 {
        assert_eq!((timed.pass(), timed.sent()), (10, vec![(Kind::Ping, nonce)]));
        // From the answer on it may be silent anew.
        timed.deliver();
    }
    // Another frame does as well as an answer, even one that means nothing.
    timed.peers[0].feed(frame(Kind::Pong, 0, &77_u64.to_le_bytes()));
    timed.pass();
    timed.peers[1].call_with(&[]);
    timed.peers[0].receive(timed.now);
    timed.pass();
    assert_eq!(timed.end(), None);
}

#[test]
fn keepalive_ends_nothing_while_the_peer_only_sends() {
    let mut timed = Timed::asking();
    for _ in 0..20 {
        let [_, other] = &mut timed.peers;
        other.call_on(0, b"", &[]);
        timed.peers[0].receive(timed.now);
        timed.pass();
    }
    assert_eq!((timed.end(), timed.sent()), (None, vec![]), "nobody needs to be asked");
}

#[test]
fn an_idle_session_ends_and_asking_does_not_count() {
    let keepalive = Keepalive { silence: SECOND, timeout: SECOND };
    let mut timed = Timed::new(Some(keepalive), Some(10 * SECOND));
    let begun = timed.now;
    while timed.end().is_none() {
        timed.pass();
        timed.deliver();
    }
    assert_eq!(timed.end(), Some(&CloseReason::Idle));
    assert_eq!(timed.now.duration_since(begun).as_secs(), 10);
    assert_eq!(timed.peers[1].session.close_reason(), Some(&CloseReason::Goodbye));
}

#[test]
fn a_session_is_not_idle_before_all_that_is_under_way_has_ended() {
    let mut timed = Timed::new(None, Some(10 * SECOND));
    let wish = Wish { flow: Flow::Out, window: None };
    let Started { call, first_channel: id } = timed.peers[0].call_with(&[wish]);
    timed.deliver();
    (0..3).for_each(|_| assert_eq!(timed.pass(), 10));
    let [_, other] = &mut timed.peers;
    other.session.respond(call, Ok(Outcome::plain(b"")), &mut other.out);
    timed.deliver();
    (0..3).for_each(|_| assert_eq!(timed.pass(), 10));
    assert_eq!(timed.end(), None, "the channel is open");
    let [one, _] = &mut timed.peers;
    one.session.finish_channel(ChannelId { connection: 0, id }, Metadata::empty(), &mut one.out);
    timed.deliver();
    assert_eq!((timed.pass(), timed.end()), (10, None), "not before it has been idle for as long");
    assert_eq!((timed.pass(), timed.end()), (10, Some(&CloseReason::Idle)));
}
