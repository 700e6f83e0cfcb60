//! What goes out in which order, when messages go in fragments or wait for room.

use super::*;
use crate::session::Outcome;
use crate::session::options::Declaration;
use crate::session::outbox::{Along, NotNow, Outbox};
use crate::session::simulated::Sender;

/// A link with room for small frames, and an outbox from which one message goes out in fragments.
fn begun(header: Header, declared: &[Declaration]) -> (Outbox, Sender) {
    // Three fragments fit, and a small frame.
    let capacity = 3 * (Header::LEN + 64) + Header::LEN + 16;
    let [Peer { mut out, .. }, _] = pair(Shape { capacity, ..Shape::NARROW }, Limits::default());
    let mut outbox = Outbox::default();
    outbox.keep(header, declared, Buffer::copy_of(&[7; 500]), Vec::new());
    assert!(outbox.next_sent(&mut out).is_none());
    (outbox, out)
}

fn header(kind: Kind, connection: u32, id: u64) -> Header {
    Header { connection, id, ..Header::new(kind) }
}

const CHANNELS: [Declaration; 2] = [
    Declaration { id: 5, flow: Flow::Out, cell: None, window: 9 },
    Declaration { id: 7, flow: Flow::In, cell: None, window: 9 },
];

#[test]
fn a_message_in_fragments_lets_pass_what_does_not_depend_on_it() {
    let all = |connection, id| {
        [Kind::Call, Kind::Response, Kind::Failure, Kind::Item, Kind::Credit, Kind::Starved]
            .map(|kind| header(kind, connection, id))
    };
    let passes = |fragments, declared: &[Declaration], later, declares: &[Declaration]| {
        let (mut outbox, mut out) = begun(fragments, declared);
        let along = Along { declared: declares, ..Along::default() };
        let tried = outbox.try_send_with(later, along, 8, &mut out, |place| place.fill(1));
        assert!(matches!(tried, Ok(()) | Err(NotNow::Behind)), "there is room: {tried:?}");
        tried.is_ok()
    };
    let ping = [header(Kind::Ping, 0, 0), header(Kind::Pong, 0, 0)];
    for kind in [Kind::Open, Kind::Accept, Kind::Bind, Kind::Call, Kind::Response, Kind::Item, Kind::End] {
        for later in all(4, 5).into_iter().chain(ping) {
            assert!(passes(header(kind, 2, 5), &CHANNELS, later, &CHANNELS), "other connections do not wait");
        }
    }
    // Whatever tells of a connection or a method is known first.
    for kind in [Kind::Open, Kind::Accept, Kind::Bind] {
        assert!(all(2, 9).iter().all(|later| !passes(header(kind, 2, 0), &[], *later, &[])));
    }
    for kind in [Kind::Call, Kind::Response] {
        let fragments = header(kind, 2, 1);
        assert!(all(2, 9).iter().all(|later| passes(fragments, &CHANNELS, *later, &[])));
        assert!(all(2, 5).iter().all(|later| passes(fragments, &[], *later, &CHANNELS)));
        for id in [5, 7] {
            let waits = |kind| !passes(fragments, &CHANNELS, header(kind, 2, id), &[]);
            assert!([Kind::Item, Kind::Credit, Kind::Starved].into_iter().all(waits), "not declared yet");
        }
        let declaring = |later| passes(fragments, &CHANNELS, header(later, 2, 3), &CHANNELS);
        assert!(![Kind::Call, Kind::Response].into_iter().any(declaring), "channels' IDs rise");
    }
    for kind in [Kind::Item, Kind::End] {
        let fragments = header(kind, 2, 5);
        assert!(!passes(fragments, &[], header(Kind::Item, 2, 5), &[]), "items keep their order");
        assert!(passes(fragments, &[], header(Kind::Item, 2, 7), &[]));
        for answer in [Kind::Response, Kind::Failure] {
            assert!(!passes(fragments, &[], header(answer, 2, 1), &[]), "an answer comes after the items");
        }
        assert!(passes(fragments, &[], header(Kind::Call, 2, 1), &CHANNELS));
    }
}

#[test]
fn nothing_overtakes_more_than_one_message_or_one_that_has_not_begun() {
    let small = header(Kind::Call, 4, 1);
    let (mut outbox, mut out) = begun(header(Kind::Call, 0, 1), &[]);
    outbox.keep(header(Kind::Cancel, 0, 1), &[], Buffer::new(), Vec::new());
    assert_eq!(outbox.try_send(small, 0, &mut out, |_| {}), Err(NotNow::Behind));
    let [Peer { mut out, .. }, _] = pair(Shape::NARROW, Limits::default());
    let mut outbox = Outbox::default();
    assert_eq!(outbox.try_send(small, 65, &mut out, |_| {}), Err(NotNow::TooLong));
    outbox.keep(header(Kind::Call, 0, 1), &[], Buffer::copy_of(&[7; 500]), Vec::new());
    assert_eq!(outbox.try_send(small, 65, &mut out, |_| {}), Err(NotNow::Behind));
    assert_eq!(outbox.try_send(small, 0, &mut out, |_| {}), Err(NotNow::Behind));
    assert!(outbox.take_back(header(Kind::Call, 0, 1)) && outbox.is_empty());
    assert_eq!(outbox.try_send(small, 0, &mut out, |_| {}), Ok(()));
}

#[test]
fn what_has_begun_is_not_taken_back() {
    let (mut outbox, _) = begun(header(Kind::Item, 2, 5), &[]);
    outbox.keep(header(Kind::Item, 2, 5), &[], Buffer::new(), Vec::new());
    outbox.keep(header(Kind::End, 2, 5), &[], Buffer::new(), Vec::new());
    outbox.keep(header(Kind::Item, 4, 5), &[], Buffer::new(), Vec::new());
    assert!(outbox.take_back(header(Kind::Item, 2, 5)));
    assert!(!outbox.take_back(header(Kind::Item, 2, 5)));
    assert_eq!(outbox.count(), 3);
    outbox.take_back_connection(2);
    assert_eq!(outbox.count(), 2, "the rest of the first, and what is of another connection");
}

/// The kinds of all frames that one side sends, in order; each fragment of a message counts.
fn kinds(peers: &mut [Peer; 2]) -> Vec<Kind> {
    let mut kinds = Vec::new();
    loop {
        let [one, other] = &mut *peers;
        one.settle();
        let front = other.incoming.lock().unwrap().frames.front().map(|frame| frame.header.kind);
        let Some(kind) = front else { return kinds };
        kinds.push(kind);
        other.receive(Instant::now());
    }
}

#[test]
fn a_call_comes_before_the_items_of_its_channels_and_those_before_their_end() {
    let mut peers = open_on(Shape::NARROW, Limits::default());
    peers[0].call_with(&[]);
    kinds(&mut peers);
    let [one, _] = &mut peers;
    let wish = Wish { flow: Flow::Out, window: None };
    let id = one.call_on(0, &[7; 200], &[wish]).first_channel;
    let channel = ChannelId { connection: 0, id };
    one.settle();
    assert!(one.send(channel, b"", Waker::noop()).is_pending(), "the call is not all there");
    let mut seen = kinds(&mut peers);
    let [one, _] = &mut peers;
    assert!(one.send(channel, &[7; 200], Waker::noop()).is_ready());
    one.session.finish_channel(channel, Metadata::empty(), &mut one.out);
    seen.extend(kinds(&mut peers));
    seen.dedup();
    assert_eq!(seen, [Kind::Call, Kind::Item, Kind::End]);
}

#[test]
fn what_a_handler_has_sent_comes_before_its_answer() {
    let mut peers = open_on(Shape::NARROW, Limits::default());
    let wish = Wish { flow: Flow::In, window: None };
    let Started { call, first_channel: id } = peers[0].call_with(&[wish]);
    deliver(&mut peers, Instant::now());
    peers.swap(0, 1);
    let [handler, _] = &mut peers;
    assert!(handler.send(ChannelId { connection: 0, id }, &[7; 200], Waker::noop()).is_ready());
    handler.settle();
    handler.session.respond(call, Ok(Outcome::plain(b"")), &mut handler.out);
    let mut seen = kinds(&mut peers);
    seen.dedup();
    assert_eq!(seen, [Kind::Item, Kind::Response]);
}

#[test]
fn a_sender_behind_its_own_item_is_not_woken_by_room_that_it_cannot_use() {
    let mut peers =
        open_on(Shape { capacity: 4 * (Header::LEN + 64) - 10, ..Shape::NARROW }, Limits::default());
    let wish = Wish { flow: Flow::Out, window: None };
    let id = peers[0].call_with(&[wish]).first_channel;
    deliver(&mut peers, Instant::now());
    let [one, _] = &mut peers;
    let channel = ChannelId { connection: 0, id };
    assert!(one.send(channel, &[7; 500], Waker::noop()).is_ready());
    one.settle();
    let mut woken = Vec::new();
    for _ in 0..3 {
        // A small frame would fit, but the rest of the large item goes first.
        assert!(one.send(channel, b"", Waker::noop()).is_pending());
        assert!(one.session.wants_space());
        one.session.flush(&mut one.out);
        one.session.take_wakers(&mut woken);
        assert!(woken.is_empty());
    }
    kinds(&mut peers);
    assert!(peers[0].send(channel, b"", Waker::noop()).is_ready());
}
