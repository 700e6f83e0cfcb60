//! Virtual connections: verdicts that come twice or too late, closes that cross, limits.

use super::*;
use crate::session::{ConnectionEnd, OpenRefused, Received, RejectReason, Rejection};

fn asked(peer: &mut Peer) -> u32 {
    peer.session.open_connection("it", Metadata::empty(), None, nothing(), &mut peer.out).unwrap()
}

fn verdict(peer: &mut Peer, id: u32) -> Poll<Result<Metadata, ConnectionEnd>> {
    peer.session.poll_connection(id, Waker::noop())
}

fn over(peer: &mut Peer, id: u32) -> Option<CloseReason> {
    match peer.session.poll_connection_over(id, Waker::noop()) {
        Poll::Ready(reason) => Some(reason),
        Poll::Pending => None,
    }
}

fn accept(settings: ConnectionSettings, metadata: &Metadata) -> Frame {
    let open = opening(settings, metadata).payload;
    frame(Kind::Accept, 0, &[&open[..12], &encoded(metadata)].concat())
}

#[test]
fn a_second_verdict_changes_nothing() {
    let [mut one, _] = open();
    let id = asked(&mut one);
    one.feed(on(id, accept(SETTINGS, &metadata(1, 3))));
    let other = ConnectionSettings { requests: 1, window: 7, channels: 1 };
    one.feed(on(id, accept(other, &metadata(2, 3))));
    one.feed(on(id, frame(Kind::Reject, 0, &[1, 0, 0, 0, 0])));
    assert!(matches!(verdict(&mut one, id), Poll::Ready(Ok(said)) if said == metadata(1, 3)));
    assert_eq!(over(&mut one, id), None);
    assert_eq!(one.session.connections.get(id).unwrap().limits.window, SETTINGS.window);
    let rejected = asked(&mut one);
    one.feed(on(rejected, frame(Kind::Reject, 0, &[3, 0, 0, 0, 0])));
    one.feed(on(rejected, accept(SETTINGS, &metadata(1, 3))));
    let Poll::Ready(Err(ConnectionEnd::Rejected(rejection))) = verdict(&mut one, rejected) else { panic!() };
    assert_eq!(rejection.reason, RejectReason::Forbidden);
    assert_eq!(one.broken(), None);
}

#[test]
fn a_verdict_that_comes_after_the_close_is_ignored() {
    let [mut one, _] = open();
    for late in [accept(SETTINGS, &metadata(1, 3)), frame(Kind::Reject, 0, &[3, 0, 0, 0, 0])] {
        let id = asked(&mut one);
        one.session.close_connection(id, &mut one.out);
        one.feed(on(id, late));
        one.feed(on(id, frame(Kind::Call, 2, b"")));
        assert_eq!(over(&mut one, id), Some(CloseReason::Local));
        one.session.release_connection(id, true, &mut one.out);
        assert!(one.session.connections.get(id).is_none());
        one.feed(on(id, frame(Kind::Close, 0, b"")));
        assert!(asked(&mut one) > id, "no ID is used again");
    }
    assert_eq!(one.broken(), None);
}

#[test]
fn a_connection_that_its_opener_has_closed_is_not_taken() {
    let mut peers = open();
    let id = asked(&mut peers[0]);
    deliver(&mut peers, Instant::now());
    let [one, other] = &mut peers;
    assert!(matches!(other.next_work(), Some(Work::Open(request)) if request.id == id));
    one.session.close_connection(id, &mut one.out);
    deliver(&mut peers, Instant::now());
    let [_, other] = &mut peers;
    let taken = other.session.accept_connection(id, Metadata::empty(), None, nothing(), &mut other.out);
    assert!(!taken && other.session.connections.is_root_alone());
    assert!(other.next_work().is_none(), "nothing serves it that might go");
}

#[test]
fn a_rejection_says_why() {
    let mut peers = open();
    let id = asked(&mut peers[0]);
    deliver(&mut peers, Instant::now());
    let rejection = Rejection::new(RejectReason::Other).with_text("too early").with_metadata(metadata(1, 9));
    let [_, other] = &mut peers;
    other.session.reject_connection(id, &rejection, &mut other.out);
    assert!(other.session.connections.is_root_alone());
    deliver(&mut peers, Instant::now());
    let Poll::Ready(Err(ConnectionEnd::Rejected(said))) = verdict(&mut peers[0], id) else { panic!() };
    assert_eq!(said, rejection);
    assert_eq!(over(&mut peers[0], id), Some(CloseReason::Goodbye));
}

#[test]
fn a_side_that_takes_none_or_is_about_to_leave_says_so() {
    let reject = |prepare: fn(&mut Peer)| {
        let mut peers = open();
        prepare(&mut peers[1]);
        let id = asked(&mut peers[0]);
        deliver(&mut peers, Instant::now());
        match verdict(&mut peers[0], id) {
            Poll::Ready(Err(ConnectionEnd::Rejected(rejection))) => rejection.reason,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(reject(|peer| peer.session.leave_unattended()), RejectReason::NoAcceptor);
    let leave = |peer: &mut Peer| {
        // Something is in flight, so that it does not leave at once.
        peer.call_with(&[]);
        peer.session.goodbye(&mut peer.out, None);
    };
    assert_eq!(reject(leave), RejectReason::Draining);
}

#[test]
fn no_more_are_open_than_agreed() {
    let mut peers = open_with(Limits { connections: 2, ..Limits::default() });
    let first = connected(&mut peers);
    let [one, other] = &mut peers;
    let second = asked(one);
    let full = one.session.open_connection("it", Metadata::empty(), None, nothing(), &mut one.out);
    assert_eq!(full, Err(OpenRefused::Limit { limit: 2 }));
    asked(other);
    asked(other);
    other.session.close_connection(first, &mut other.out);
    deliver(&mut peers, Instant::now());
    asked(&mut peers[0]);
    deliver(&mut peers, Instant::now());
    assert!(peers.iter().all(|peer| !peer.session.is_over()), "each side's count for themselves");
    assert!(matches!(verdict(&mut peers[0], second), Poll::Pending));
}

#[test]
fn a_connection_that_both_close_makes_room_for_the_next() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let mut peers = open_on(Shape::NARROW, limits);
    let id = connected(&mut peers);
    let [one, other] = &mut peers;
    // Its close has to wait for room.
    other.call_on(0, &[7; 500], &[]);
    other.settle();
    other.session.close_connection(id, &mut other.out);
    assert_eq!(other.session.io.outbox.count(), 2);
    one.session.close_connection(id, &mut one.out);
    let next = asked(one);
    while other.receive(Instant::now()) {}
    assert_eq!(other.broken(), None);
    assert_eq!(other.session.io.outbox.count(), 1, "nobody listens for that close any more");
    deliver(&mut peers, Instant::now());
    let work = std::iter::from_fn(|| peers[1].next_work()).last();
    assert!(matches!(work, Some(Work::Closed(_))), "{work:?}");
    assert!(peers[1].session.connections.get(next).is_some());
}

#[test]
fn a_close_ends_what_is_under_way_and_follows_what_was_said_before() {
    let mut peers = open_on(Shape::NARROW, Limits::default());
    let id = connected(&mut peers);
    let wishes = [Flow::Out, Flow::In].map(|flow| Wish { flow, window: None });
    let [one, _] = &mut peers;
    let Started { call, first_channel } = one.call_on(id, b"call", &wishes);
    let channels =
        [first_channel, first_channel + 2].map(|channel| ChannelId { connection: id, id: channel });
    deliver(&mut peers, Instant::now());
    let [one, other] = &mut peers;
    assert!(matches!(other.next_work(), Some(Work::Serve(inbound)) if inbound.call == call));
    // An item in fragments, and an end, wait for room.
    assert!(one.send(channels[0], &[7; 500], Waker::noop()).is_ready());
    one.session.finish_channel(channels[0], Metadata::empty(), &mut one.out);
    one.session.release_connection(id, true, &mut one.out);
    let answer = one.session.poll_answer(call, None);
    assert!(matches!(answer, Poll::Ready(Answer::Disconnected { reason: CloseReason::Local, .. })));
    let closed = Gone::Closed(CloseReason::Local);
    let received = one.session.poll_receive(channels[1], 0, &mut Default::default(), None, &mut one.out);
    assert!(matches!(received, Poll::Ready(Err(gone)) if gone == closed));
    one.session.reset_channel(channels[1], &mut one.out);
    deliver(&mut peers, Instant::now());
    let [one, other] = &mut peers;
    assert!(one.session.connections.is_root_alone());
    assert!(matches!(other.next_work(), Some(Work::Drop(dropped)) if dropped == call));
    assert!(matches!(other.next_work(), Some(Work::Closed(closed)) if closed == id));
    let mut items = Default::default();
    let received = other.session.poll_receive(channels[0], 0, &mut items, None, &mut other.out);
    assert!(matches!(received, Poll::Ready(Ok(Received::Items))));
    assert_eq!(items.pop_front().unwrap().payload.as_slice(), [7; 500]);
    let received = other.session.poll_receive(channels[0], 0, &mut items, None, &mut other.out);
    assert!(matches!(received, Poll::Ready(Ok(Received::End(_)))), "the end came before the close");
    let sent = other.send(channels[1], b"", Waker::noop());
    assert_eq!(sent, Poll::Ready(Err(Gone::Closed(CloseReason::Goodbye))));
    for channel in channels {
        other.session.reset_channel(channel, &mut other.out);
    }
    other.session.release_connection(id, false, &mut other.out);
    assert!(other.session.connections.is_root_alone());
}

#[test]
fn what_came_with_requests_that_nobody_handled_goes_with_their_connection() {
    let mut peers = open();
    let id = connected(&mut peers);
    let wishes = [Flow::Out, Flow::In].map(|flow| Wish { flow, window: None });
    peers[0].call_on(id, b"call", &wishes);
    deliver(&mut peers, Instant::now());
    let [one, _] = &mut peers;
    one.session.close_connection(id, &mut one.out);
    deliver(&mut peers, Instant::now());
    let [_, other] = &mut peers;
    other.session.release_connection(id, false, &mut other.out);
    assert!(other.session.connections.is_root_alone());
    assert!(other.session.io.in_flight.is_none());
}

#[test]
fn the_root_is_not_closed_and_each_has_settings_of_its_own() {
    let mut peers = open();
    let id = connected(&mut peers);
    for peer in &mut peers {
        peer.session.close_connection(0, &mut peer.out);
        peer.session.release_connection(0, true, &mut peer.out);
        let limits = peer.session.connections.get(id).unwrap().limits;
        assert_eq!((limits.requests, limits.window, limits.channels), (4, 1000, 4));
        assert_eq!(peer.session.connections.root.limits, Limits::default());
    }
    deliver(&mut peers, Instant::now());
    let [one, _] = &mut peers;
    for _ in 0..4 {
        one.call_on(id, b"", &[]);
    }
    let metadata = Metadata::empty();
    let (method, body, deadline) = ((&ECHO).into(), &[0_u8; 0], None);
    let request =
        CallRequest { connection: id, method, body, metadata, channels: &[], descriptors: &[], deadline };
    assert!(matches!(one.session.start_call(&request, Instant::now, &mut one.out), StartCall::Busy));
    one.call_with(&[]);
}
