//! Channels: credit, ends, resets, and the cells that they use.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Wake;

use super::*;
use crate::session::simulated::{DIFFERS, MISSING};
use crate::session::{Failure, Items, Outcome, Received};

const OUT: Wish = Wish { flow: Flow::Out, window: None };
const IN: Wish = Wish { flow: Flow::In, window: None };

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Count {
    fn taken(&self) -> u32 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// Two sessions, and channels between them that a call of the first has declared.
struct Open {
    peers: [Peer; 2],
    started: Started,
    channels: Vec<ChannelId>,
}

impl Open {
    fn new(shape: Shape, limits: Limits, wishes: &[Wish]) -> Self {
        let mut peers = open_on(shape, limits);
        let (started, channels) = declare(&mut peers, wishes);
        assert!(matches!(peers[1].next_work(), Some(Work::Serve(_))));
        Self { peers, started, channels }
    }

    fn deliver(&mut self) {
        deliver(&mut self.peers, Instant::now());
    }

    /// Sends an item of this length on the first channel.
    fn send(&mut self, length: usize, waker: &Waker) -> Poll<Result<(), Gone>> {
        self.peers[0].send(self.channels[0], &vec![7; length], waker)
    }

    fn receive(&mut self, consumed: u64) -> Poll<Result<(Received, VecDeque<Items>), Gone>> {
        receive(&mut self.peers[1], self.channels[0], consumed)
    }

    /// How many frames are on their way to the first.
    fn under_way(&self) -> usize {
        self.peers[0].incoming.lock().unwrap().frames.len()
    }
}

fn declare(peers: &mut [Peer; 2], wishes: &[Wish]) -> (Started, Vec<ChannelId>) {
    let started = peers[0].call_with(wishes);
    deliver(peers, Instant::now());
    let id = |at| ChannelId { connection: 0, id: started.first_channel + 2 * at as u64 };
    (started, (0..wishes.len()).map(id).collect())
}

fn receive(
    peer: &mut Peer,
    channel: ChannelId,
    consumed: u64,
) -> Poll<Result<(Received, VecDeque<Items>), Gone>> {
    let mut items = VecDeque::new();
    let waker = Some(Waker::noop());
    let received = peer.session.poll_receive(channel, consumed, &mut items, waker, &mut peer.out);
    received.map_ok(|received| (received, items))
}

fn wake(peer: &mut Peer) {
    let mut woken = Vec::new();
    peer.session.take_wakers(&mut woken);
    woken.into_iter().for_each(Waker::wake);
}

fn window(window: u32) -> Limits {
    Limits { window, ..Limits::default() }
}

#[test]
fn a_sender_waits_at_zero_and_is_woken_by_a_grant() {
    let mut open = Open::new(Shape::WIDE, window(200), &[OUT]);
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    for _ in 0..3 {
        let sent = (0..9).take_while(|_| open.send(18, &waker).is_ready()).count();
        assert_eq!(sent, 4, "each costs 50");
        open.deliver();
        let Poll::Ready(Ok((Received::Items, items))) = open.receive(0) else { panic!() };
        assert_eq!(items.iter().map(Items::cost).sum::<u64>(), 200);
        assert_eq!((count.taken(), open.under_way()), (0, 0));
        assert!(matches!(open.receive(200), Poll::Pending));
        assert_eq!(open.under_way(), 1);
        open.peers[0].receive(Instant::now());
        wake(&mut open.peers[0]);
        assert_eq!(count.taken(), 1);
    }
}

#[test]
fn less_than_half_a_window_is_granted_only_before_the_receiver_waits() {
    let mut open = Open::new(Shape::WIDE, window(200), &[OUT]);
    assert!(open.send(18, Waker::noop()).is_ready());
    open.deliver();
    assert!(matches!(open.receive(0), Poll::Ready(Ok(_))));
    assert!(open.send(18, Waker::noop()).is_ready());
    open.deliver();
    assert!(matches!(open.receive(50), Poll::Ready(Ok(_))));
    assert_eq!(open.under_way(), 0);
    assert!(open.send(18, Waker::noop()).is_ready());
    open.deliver();
    assert!(matches!(open.receive(50), Poll::Ready(Ok(_))));
    assert_eq!(open.under_way(), 1, "that makes half a window");
    open.deliver();
    assert!(matches!(open.receive(50), Poll::Pending));
    assert_eq!(open.under_way(), 1);
}

#[test]
fn an_item_larger_than_the_window_goes_when_nothing_is_unacknowledged() {
    let mut open = Open::new(Shape::NARROW, window(50), &[OUT]);
    assert!(open.send(500, Waker::noop()).is_ready());
    assert!(open.send(0, Waker::noop()).is_pending());
    open.deliver();
    assert!(matches!(open.receive(0), Poll::Ready(Ok(_))));
    assert!(matches!(open.receive(531), Poll::Pending));
    open.deliver();
    assert_eq!(open.send(500, Waker::noop()), Poll::Pending, "one byte is not back");
    assert_eq!(open.send(0, Waker::noop()), Poll::Ready(Ok(())));
    open.deliver();
    assert!(matches!(open.receive(1), Poll::Ready(Ok(_))));
    assert!(matches!(open.receive(32), Poll::Pending));
    open.deliver();
    assert_eq!(open.send(500, Waker::noop()), Poll::Ready(Ok(())));
    let limit = Limits { payload: 1024, ..window(50) };
    let mut open = Open::new(Shape::NARROW, limit, &[OUT]);
    let too_large = Gone::TooLarge { size: 1025, limit: 1024 };
    assert_eq!(open.send(1025, Waker::noop()), Poll::Ready(Err(too_large)));
    assert_eq!(open.send(1024, Waker::noop()), Poll::Ready(Ok(())), "the channel goes on");
}

#[test]
fn an_end_comes_once_after_all_items() {
    let mut open = Open::new(Shape::NARROW, Limits::default(), &[OUT]);
    assert!(open.send(500, Waker::noop()).is_ready());
    let (channel, said) = (open.channels[0], metadata(1, 200));
    let one = &mut open.peers[0];
    one.session.finish_channel(channel, &said, &mut one.out);
    one.session.finish_channel(channel, &Metadata::new(), &mut one.out);
    one.session.reset_channel(channel, &mut one.out);
    assert_eq!(one.session.io.in_flight.channels, 1, "it is live until its end is in the link");
    assert_eq!(one.session.io.outbox.count(), 2);
    open.deliver();
    assert_eq!(open.peers[0].session.io.in_flight.channels, 0);
    // Nothing comes after an end.
    open.peers[1].feed(frame(Kind::Item, channel.id, b"late"));
    open.peers[1].feed(frame(Kind::Reset, channel.id, b""));
    let Poll::Ready(Ok((Received::Items, items))) = open.receive(0) else { panic!() };
    assert_eq!(items.len(), 1);
    assert!(matches!(open.receive(532), Poll::Ready(Ok((Received::End(metadata), _))) if metadata == said));
    assert_eq!(open.under_way(), 0, "no credit and no reset after the end");
    let other = &mut open.peers[1];
    other.session.reset_channel(channel, &mut other.out);
    open.peers[1].feed(frame(Kind::Item, channel.id, b"late"));
    assert!(open.peers.iter().all(|peer| peer.session.connections.root.channels.is_empty()));
    assert_eq!(open.peers[1].broken(), None);
}

#[test]
fn a_receiver_that_is_gone_is_told_to_its_sender_once() {
    let mut open = Open::new(Shape::WIDE, window(50), &[OUT]);
    let channel = open.channels[0];
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    assert!(open.peers[0].session.poll_gone(channel, &waker).is_pending());
    assert!(open.send(18, &waker).is_ready());
    assert!(open.send(18, &waker).is_pending());
    let other = &mut open.peers[1];
    other.session.reset_channel(channel, &mut other.out);
    other.session.reset_channel(channel, &mut other.out);
    assert_eq!(open.under_way(), 1);
    // What is on its way meanwhile is dropped, and takes no credit.
    open.peers[1].receive(Instant::now());
    open.peers[0].receive(Instant::now());
    wake(&mut open.peers[0]);
    assert_eq!(count.taken(), 2, "whoever sends, and whoever watches");
    assert_eq!(open.send(18, &waker), Poll::Ready(Err(Gone::Reset)));
    assert_eq!(open.peers[0].session.poll_gone(channel, &waker), Poll::Ready(Gone::Reset));
    let one = &mut open.peers[0];
    one.session.finish_channel(channel, &metadata(1, 1), &mut one.out);
    let frames = &open.peers[1].incoming.lock().unwrap().frames;
    let kinds: Vec<_> = frames.iter().map(|frame| frame.header.kind).collect();
    assert_eq!(kinds, [Kind::Reset], "the last frame is said once");
    drop(kinds);
}

#[test]
fn a_sender_that_gives_up_takes_back_what_has_not_gone() {
    let mut open = Open::new(Shape::NARROW, Limits::default(), &[OUT]);
    let channel = open.channels[0];
    let one = &mut open.peers[0];
    // A large call is going out; the item behind it has not begun.
    one.call_on(0, &[7; 500], &[]);
    one.settle();
    assert!(open.send(500, Waker::noop()).is_pending(), "it is behind the call");
    open.deliver();
    assert!(open.send(10, Waker::noop()).is_ready());
    assert!(open.send(500, Waker::noop()).is_ready());
    let one = &mut open.peers[0];
    one.session.reset_channel(channel, &mut one.out);
    assert_eq!(one.session.io.outbox.kept(), 0, "nothing of it waits");
    open.deliver();
    assert!(matches!(open.receive(0), Poll::Ready(Err(Gone::Reset))), "what had come is dropped, too");
    assert!(open.peers[0].session.connections.root.channels.is_empty());
}

#[test]
fn items_are_kept_until_somebody_asks_for_them() {
    let mut peers = open_with(window(100));
    let (_, channels) = declare(&mut peers, &[OUT]);
    assert!(peers[0].send(channels[0], b"early", Waker::noop()).is_ready());
    let one = &mut peers[0];
    one.session.finish_channel(channels[0], Metadata::empty(), &mut one.out);
    deliver(&mut peers, Instant::now());
    assert_eq!(peers[1].session.connections.root.channels.kept(), 5);
    assert!(matches!(peers[1].next_work(), Some(Work::Serve(_))));
    let received = receive(&mut peers[1], channels[0], 0);
    assert!(matches!(received, Poll::Ready(Ok((Received::Items, items))) if items.len() == 1));
}

#[test]
fn the_channels_of_a_call_that_nobody_serves_are_refused() {
    for method in [&MISSING, &DIFFERS] {
        let mut peers = open();
        let [one, _] = &mut peers;
        let (metadata, body) = (Metadata::empty(), &[0_u8; 0]);
        let channels = &[OUT, IN];
        let (method, deadline) = (method.into(), None);
        let request =
            CallRequest { connection: 0, method, body, metadata, channels, descriptors: &[], deadline };
        let started = one.session.start_call(&request, Instant::now, &mut one.out);
        let StartCall::Started(Started { call, first_channel: first }) = started else { panic!() };
        deliver(&mut peers, Instant::now());
        let [one, other] = &mut peers;
        assert!(other.session.connections.root.channels.is_empty());
        let channel = |id| ChannelId { connection: 0, id };
        assert_eq!(one.send(channel(first), b"", Waker::noop()), Poll::Ready(Err(Gone::Reset)));
        assert!(matches!(receive(one, channel(first + 2), 0), Poll::Ready(Err(Gone::Reset))));
        assert!(matches!(one.session.poll_answer(call, None), Poll::Ready(Answer::Failure(_))));
        assert!(one.session.io.in_flight.is_none());
    }
}

#[test]
fn the_channels_of_a_result_that_nobody_takes_are_refused() {
    let mut peers = open();
    let call = peers[0].call_with(&[]).call;
    deliver(&mut peers, Instant::now());
    let [one, other] = &mut peers;
    assert!(matches!(other.next_work(), Some(Work::Serve(_))));
    one.session.cancel(call, &mut one.out);
    let outcome =
        Outcome { body: &[0_u8; 0], metadata: Metadata::empty(), channels: &[OUT, IN], descriptors: &[] };
    let first = other.session.respond(call, Ok(outcome), &mut other.out).expect("it goes out");
    deliver(&mut peers, Instant::now());
    let [one, other] = &mut peers;
    assert!(one.session.connections.root.channels.is_empty());
    let channel = |id| ChannelId { connection: 0, id };
    assert_eq!(other.send(channel(first), b"", Waker::noop()), Poll::Ready(Err(Gone::Reset)));
    assert!(matches!(receive(other, channel(first + 2), 0), Poll::Ready(Err(Gone::Reset))));
    for id in [first, first + 2] {
        other.session.reset_channel(channel(id), &mut other.out);
    }
    assert!(other.session.connections.root.channels.is_empty());
    assert!(peers.iter().all(|peer| peer.session.io.in_flight.is_none()));
}

#[test]
fn a_channel_outlives_its_call_and_counts_until_its_last_frame_has_passed() {
    let limits = Limits { channels: 1, ..Limits::default() };
    let mut open = Open::new(Shape::WIDE, limits, &[IN]);
    let (call, channel) = (open.started.call, open.channels[0]);
    let other = &mut open.peers[1];
    assert!(other.session.respond(call, Ok(Outcome::plain(b"")), &mut other.out).is_some());
    open.deliver();
    let [one, other] = &mut open.peers;
    assert!(matches!(one.session.poll_answer(call, None), Poll::Ready(Answer::Response(_))));
    assert!(other.send(channel, b"late", Waker::noop()).is_ready());
    let more = |one: &mut Peer| {
        let (metadata, body, deadline) = (Metadata::empty(), &[0_u8; 0], None);
        let (method, channels) = ((&ECHO).into(), &[OUT]);
        let request =
            CallRequest { connection: 0, method, body, metadata, channels, descriptors: &[], deadline };
        one.session.start_call(&request, Instant::now, &mut one.out)
    };
    let full =
        |started| matches!(started, StartCall::Refused(Answer::Failure(Failure::Channels { limit: 1 })));
    assert!(full(more(one)));
    one.session.reset_channel(channel, &mut one.out);
    assert!(full(more(one)), "its sender has the last word");
    open.deliver();
    assert!(matches!(more(&mut open.peers[0]), StartCall::Started(_)));
}

#[test]
fn a_cell_is_used_again_with_another_generation() {
    let shape = Shape { cells: 2, ..Shape::WIDE };
    let mut open = Open::new(shape, window(50), &[OUT, IN]);
    let cells = |peer: &Peer| (peer.session.io.cells.lost(), peer.out.own_cells[0].load(Ordering::Relaxed));
    assert_eq!(cells(&open.peers[0]), (1, 0), "there is but one of its parity");
    assert!(open.send(18, Waker::noop()).is_ready());
    open.deliver();
    assert!(matches!(open.receive(0), Poll::Ready(Ok(_))));
    assert!(matches!(open.receive(50), Poll::Pending));
    assert_eq!((cells(&open.peers[1]).1, open.under_way()), (50, 0), "what is granted needs no frame");
    let one = &mut open.peers[0];
    one.session.finish_channel(open.channels[0], Metadata::empty(), &mut one.out);
    assert_eq!(cells(one).0, 0);
    let (_, channels) = declare(&mut open.peers, &[OUT]);
    let [one, other] = &mut open.peers;
    assert_eq!(cells(other).1, 1 << 48, "another generation, and nothing granted");
    assert_eq!(one.session.credit(channels[0], &one.out), Ok(50));
    assert!(one.send(channels[0], &[7; 18], Waker::noop()).is_ready());
    // A grant of the generation before comes late, or is a lie.
    other.out.own_cells[0].store(7_000, Ordering::Relaxed);
    assert_eq!(one.session.credit(channels[0], &one.out), Ok(0));
}

#[test]
fn a_starving_sender_with_a_cell_is_told_of_the_next_grant() {
    let shape = Shape { cells: 2, ..Shape::WIDE };
    let mut open = Open::new(shape, window(50), &[OUT]);
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    assert!(open.send(18, &waker).is_ready());
    for _ in 0..3 {
        assert!(open.send(18, &waker).is_pending());
    }
    let starved = open.peers[1].incoming.lock().unwrap().frames.back().unwrap().header.kind;
    assert_eq!(starved, Kind::Starved);
    assert_eq!(open.peers[1].incoming.lock().unwrap().frames.len(), 2, "it is said once");
    open.deliver();
    assert_eq!(count.taken(), 0);
    assert!(matches!(open.receive(0), Poll::Ready(Ok(_))));
    assert!(matches!(open.receive(50), Poll::Pending));
    assert_eq!(open.under_way(), 1);
    open.peers[0].receive(Instant::now());
    wake(&mut open.peers[0]);
    assert_eq!(count.taken(), 1);
    assert!(open.send(18, &waker).is_ready());
}

#[test]
fn the_cells_of_a_side_are_the_same_on_every_connection() {
    let mut peers = open_on(Shape { cells: 8, ..Shape::WIDE }, Limits::default());
    // The acceptor of the session opens a connection.
    peers.swap(0, 1);
    let id = connected(&mut peers);
    for (side, connection) in [(0, 0), (0, id), (1, id), (1, 0)] {
        peers[side].call_on(connection, b"", &[OUT, IN]);
        deliver(&mut peers, Instant::now());
    }
    assert!(peers.iter().all(|peer| !peer.session.is_over()), "{:?}", peers[0].session.close_reason());
    assert!(peers.iter().all(|peer| peer.session.io.cells.lost() == 4));
}
