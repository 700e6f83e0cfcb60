//! Calls, and callers that wait.

use std::time::Duration;

use super::*;
use crate::session::{CallId, CallStats, Failure, Outcome, TrafficStats};

const NOTHING: &[u8] = b"";

/// What a caller waits to call.
fn waiting(deadline: Option<Instant>) -> CallRequest<'static> {
    CallRequest { deadline, ..CallRequest::plain((&ECHO).into(), &NOTHING) }
}

#[test]
fn a_caller_waits_for_its_turn_and_gets_it() {
    let mut peers = open_with(Limits { requests: 1, ..Limits::default() });
    let now = Instant::now();
    let StartCall::Started(id) = peers[0].call(&ECHO, b"one", None, now) else { panic!() };
    assert!(matches!(peers[0].call(&ECHO, b"two", None, now), StartCall::Busy));
    let mut ticket = None;
    assert!(peers[0].session.wait_turn(&waiting(None), &mut ticket, Waker::noop()).is_none());
    deliver(&mut peers, now);
    let request = peers[1].session.next_request().unwrap();
    let peer = &mut peers[1];
    peer.session.respond(request.call, Ok(Outcome::plain(b"one")), &mut peer.out);
    assert!(peers[0].receive(now));
    let mut woken = Vec::new();
    peers[0].session.take_wakers(&mut woken);
    assert_eq!(woken.len(), 1, "the one who waits is woken when the slot is free");
    assert!(matches!(peers[0].session.poll_answer(id.call, None), Poll::Ready(Answer::Response(_))));
    assert!(matches!(
        peers[0].call(&ECHO, b"two", None, now),
        StartCall::Started(Started { call: CallId { connection: 0, id: 3 }, .. })
    ));
}

#[test]
fn a_caller_whose_time_is_over_waits_no_more() {
    let mut peers = open_with(Limits { requests: 1, ..Limits::default() });
    let now = Instant::now();
    let deadline = Some(now + Duration::from_millis(1));
    let StartCall::Started(_) = peers[0].call(&ECHO, b"one", None, now) else { panic!() };
    let mut ticket = None;
    assert!(peers[0].session.wait_turn(&waiting(deadline), &mut ticket, Waker::noop()).is_none());
    assert_eq!(peers[0].session.next_timeout(), deadline);
    let peer = &mut peers[0];
    peer.session.handle_timeout(now + Duration::from_millis(2), &mut peer.out);
    let answer = peer.session.wait_turn(&waiting(deadline), &mut ticket, Waker::noop());
    assert!(matches!(answer, Some(Answer::Failure(Failure::DeadlineExceeded))));
}

#[test]
fn nothing_waits_for_room_after_the_end() {
    let mut peers = open_on(Shape::NARROW, Limits::default());
    let now = Instant::now();
    let StartCall::Started(_) = peers[0].call(&ECHO, &[0; 512], None, now) else { panic!() };
    assert!(matches!(peers[0].call(&ECHO, &[0; 64], None, now), StartCall::Busy));
    assert!(peers[0].session.wants_space());
    peers[0].session.link_lost(CloseReason::PeerDied);
    assert!(!peers[0].session.wants_space());
}

#[test]
fn nothing_of_a_message_in_assembly_is_kept_after_the_end() {
    let mut peers = open();
    let first = [&1_000_u64.to_le_bytes()[..], &[7; 900]].concat();
    let peer = &mut peers[1];
    peer.feed(flagged(Flags::MORE, frame(Kind::Call, 1, &first)));
    assert_eq!(peer.session.kept(), 900);
    peer.session.link_lost(CloseReason::PeerDied);
    assert_eq!(peer.session.kept(), 0);
}

#[test]
fn whether_a_call_may_have_run_is_told_as_it_is_when_its_connection_ends() {
    let answer = |peer: &mut Peer, call| match peer.session.poll_answer(call, None) {
        Poll::Ready(Answer::Disconnected { reason, maybe_executed }) => (reason, maybe_executed),
        other => panic!("{other:?}"),
    };
    // In fragments, of which the last is not in the link when the connection ends.
    let begun = || {
        let mut peers = open_on(Shape::NARROW, Limits::default());
        let id = connected(&mut peers);
        let call = peers[0].call_on(id, &[7; 1000], &[]).call;
        peers[0].settle();
        (peers, id, call)
    };
    let ([mut one, _], id, call) = begun();
    one.session.close_connection(id, &mut one.out);
    assert_eq!(answer(&mut one, call), (CloseReason::Local, true), "the rest goes out before the close");
    let ([mut one, _], id, call) = begun();
    one.feed(on(id, frame(Kind::Close, 0, b"")));
    assert_eq!(answer(&mut one, call), (CloseReason::Goodbye, false));
    let ([mut one, _], _, call) = begun();
    one.session.link_lost(CloseReason::PeerDied);
    assert_eq!(answer(&mut one, call), (CloseReason::PeerDied, false));
}

#[test]
fn a_call_that_declared_channels_is_not_taken_back_behind_their_last_frames() {
    let mut peers = open_on(Shape::NARROW, Limits::default());
    let [one, _] = &mut peers;
    let wish = Wish { flow: Flow::Out, window: None };
    let started = one.call_on(0, &[7; 1000], &[wish]);
    let channel = ChannelId { connection: 0, id: started.first_channel };
    one.session.finish_channel(channel, &Metadata::new(), &mut one.out);
    one.session.cancel(started.call, &mut one.out);
    deliver(&mut peers, Instant::now());
    assert!(peers.iter().all(|peer| !peer.session.is_over()), "{:?}", peers[1].session.close_reason());
}

#[test]
fn a_call_counts_once_all_of_it_is_in_the_link() {
    let calls = |peer: &Peer| {
        let CallStats { started, answered, failed, cancelled, in_flight } = peer.session.stats().calls;
        [started, answered, failed, cancelled, in_flight]
    };
    let mut peers = open_on(Shape::NARROW, Limits::default());
    let begun = peers[0].session.stats().sent;
    let call = peers[0].call_on(0, &[7; 1000], &[]).call;
    assert_eq!(calls(&peers[0]), [0, 0, 0, 0, 1], "the rest of it waits for room");
    deliver(&mut peers, Instant::now());
    assert_eq!(calls(&peers[0]), [1, 0, 0, 0, 1]);
    let TrafficStats { frames, bytes, items } = peers[0].session.stats().sent;
    // One has bound the method; the first fragment says how long it all is.
    let (bound, fragments) = (8 + 2 + 3 + 2 + 4, (1008_u64).div_ceil(64));
    assert_eq!((frames - begun.frames, items), (1 + fragments, 0));
    assert_eq!(bytes - begun.bytes, 32 * (1 + fragments) + bound + 1008);
    assert_eq!(peers[0].session.stats().sent, peers[1].session.stats().received);

    peers[0].session.cancel(call, &mut peers[0].out);
    deliver(&mut peers, Instant::now());
    assert_eq!(calls(&peers[0]), [1, 0, 1, 1, 0], "nobody had begun to handle it");
    assert_eq!(peers[1].session.stats().served, peers[0].session.stats().calls);

    // One of which a part has gone when the link ends was none.
    let mut peers = open_on(Shape::NARROW, Limits::default());
    let first = peers[0].call_on(0, &[7; 1000], &[]).call;
    peers[0].session.link_lost(CloseReason::PeerDied);
    assert_eq!(calls(&peers[0]), [0; 5]);
    assert!(peers[0].session.poll_answer(first, None).is_ready());
}
