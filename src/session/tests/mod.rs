//! Sessions against peers that break rules, and by themselves: what simulation, whose sides keep to the rules, cannot show.

mod calls;
mod channels;
mod connections;
mod descriptors;
mod floods;
mod frames;
mod handshake;
mod liveness;
mod order;
mod rules;

use std::task::{Poll, Waker};
use std::time::Instant;

use super::options::Declaration;
use super::simulated::{ECHO, Peer, Shape, deliver, pair, served};
use super::{
    Answer, CallRequest, ChannelId, CloseReason, ConnectionSettings, Entry, Flow, Gone, ItemRun, Limits,
    Lookup, Metadata, Methods, ProtocolError, Rule, Side, StartCall, Started, Wish, Work,
};
use crate::link::{Buffer, Flags, Frame, Header, Kind};
use frames::*;

fn open() -> [Peer; 2] {
    open_with(Limits::default())
}

fn open_with(limits: Limits) -> [Peer; 2] {
    open_on(Shape::WIDE, limits)
}

/// Two sessions whose handshake is done.
fn open_on(shape: Shape, limits: Limits) -> [Peer; 2] {
    let mut peers = pair(shape, limits);
    for peer in &mut peers {
        peer.session.start(&mut peer.out);
    }
    deliver(&mut peers, Instant::now());
    assert!(peers.iter().all(|peer| peer.session.negotiated().is_some()));
    peers
}

/// Serves nothing.
fn nothing() -> Methods {
    Box::new(|_| Lookup::Unknown)
}

/// A virtual connection that the first has opened and the other has taken.
fn connected(peers: &mut [Peer; 2]) -> u32 {
    let [one, _] = peers;
    let (metadata, settings) = (Metadata::empty(), Some(SETTINGS));
    let id = one.session.open_connection("it", metadata, settings, Box::new(served), &mut one.out).unwrap();
    deliver(peers, Instant::now());
    let [_, other] = peers;
    assert!(matches!(other.next_work(), Some(Work::Open(request)) if request.id == id));
    assert!(other.session.accept_connection(id, metadata, None, Box::new(served), &mut other.out));
    deliver(peers, Instant::now());
    id
}

impl Peer {
    fn feed(&mut self, mut frame: Frame) {
        self.session.handle(&mut frame, &mut self.out, &Instant::now);
        self.settle();
    }

    /// Makes a call whose arguments declare channels.
    fn call_with(&mut self, channels: &[Wish]) -> Started {
        self.call_on(0, b"call", channels)
    }

    fn call_on(&mut self, connection: u32, body: &[u8], channels: &[Wish]) -> Started {
        let metadata = Metadata::empty();
        let (method, body, deadline) = ((&ECHO).into(), &body, None);
        let request =
            CallRequest { connection, method, body, metadata, channels, descriptors: &[], deadline };
        match self.session.start_call(&request, Instant::now, &mut self.out) {
            StartCall::Started(started) => started,
            other => panic!("{other:?}"),
        }
    }

    /// Sends one item.
    fn send(&mut self, channel: ChannelId, bytes: &[u8], waker: &Waker) -> Poll<Result<(), Gone>> {
        let run = ItemRun { body: &bytes, count: 1, batch: false, descriptors: &[] };
        self.session.poll_send(channel, &run, Some(waker), &mut self.out)
    }

    fn next_work(&mut self) -> Option<Work> {
        match self.session.poll_work(Some(Waker::noop())) {
            Poll::Ready(work) => Some(work),
            Poll::Pending => None,
        }
    }

    /// The rule that its peer has broken.
    fn broken(&self) -> Option<Rule> {
        match self.session.close_reason() {
            Some(CloseReason::Protocol(ProtocolError { rule, by: Side::Peer })) => Some(*rule),
            None => None,
            other => panic!("{other:?}"),
        }
    }
}

/// Feeds frames to an open acceptor; the rule that ends the session, which both sides must name.
fn broken(frames: impl IntoIterator<Item = Frame>) -> Rule {
    broken_with(Limits::default(), frames)
}

fn broken_with(limits: Limits, frames: impl IntoIterator<Item = Frame>) -> Rule {
    broken_at(open_with(limits), frames)
}

fn broken_at(mut peers: [Peer; 2], frames: impl IntoIterator<Item = Frame>) -> Rule {
    let started = peers[1].call_with(&[]);
    for frame in frames {
        assert_eq!(peers[1].broken(), None, "a rule was broken too early");
        peers[1].feed(frame);
    }
    let answer = peers[1].session.poll_answer(started.call, None);
    assert!(matches!(answer, Poll::Ready(Answer::Disconnected { .. })), "the pending call ends with it");
    let rule = peers[1].broken().expect("a rule is broken");
    assert_eq!(peers[1].session.flaw(), None);
    let held = |work: &Work| matches!(work, Work::Over | Work::Drop(_) | Work::Closed(_));
    assert!(peers[1].next_work().is_some_and(|work| held(&work)), "nothing is served any more");
    deliver(&mut peers, Instant::now());
    let told = CloseReason::Protocol(ProtocolError { rule, by: Side::Local });
    assert_eq!(peers[0].session.close_reason(), Some(&told), "the violator is told");
    rule
}

const SETTINGS: ConnectionSettings = ConnectionSettings { requests: 4, window: 1000, channels: 4 };
