//! Peers that provoke all they can and read nothing: what waits for them here is bounded (P2, P3).

use super::*;
use crate::link::Transmit;
use crate::session::simulated::MISSING;
use crate::session::{CallId, Outcome};

/// A session whose link is full, with the rest of a call waiting for room in it. Its peer reads nothing.
fn stuck(limits: Limits) -> Peer {
    let [_, mut peer] = open_on(Shape::NARROW, limits);
    peer.feed(bind());
    peer.call_on(0, &[7; 1000], &[]);
    peer.settle();
    while peer.out.reserve(0).is_ok() {
        peer.out.commit(&Header::new(Kind::Pong));
    }
    assert_eq!(waiting(&peer), 1);
    peer
}

/// How many messages wait for room.
fn waiting(peer: &Peer) -> usize {
    assert_eq!(peer.session.flaw(), None);
    peer.session.io.outbox.count()
}

/// What goes out when the peer reads at last: the last frame of each message.
fn sent(peer: &mut Peer, other: &Peer) -> Vec<(Kind, Vec<u8>)> {
    let mut sent = Vec::new();
    loop {
        peer.settle();
        let frames = std::mem::take(&mut *other.incoming.lock().unwrap()).frames;
        if frames.is_empty() {
            return sent;
        }
        let whole = frames.into_iter().filter(|frame| !frame.header.flags.contains(Flags::MORE));
        sent.extend(whole.map(|frame| (frame.header.kind, frame.payload.to_vec())));
    }
}

#[test]
fn one_answer_to_many_pings_waits_and_it_is_to_the_last() {
    let [other, mut peer] = open_on(Shape::NARROW, Limits::default());
    peer.call_on(0, &[7; 1000], &[]);
    peer.settle();
    (0..1000_u64).for_each(|nonce| peer.feed(frame(Kind::Ping, 0, &nonce.to_le_bytes())));
    assert_eq!(waiting(&peer), 2);
    assert_eq!(sent(&mut peer, &other).last(), Some(&(Kind::Pong, 999_u64.to_le_bytes().to_vec())));
}

#[test]
fn one_grant_waits_for_a_sender_that_starves_and_none_after_its_end() {
    let mut peer = stuck(Limits::default());
    peer.feed(declaring(1, &[declared(1, Flow::Out), declared(3, Flow::Out)]));
    for lie in 1..1000_u64 {
        peer.feed(frame(Kind::Starved, 1, &lie.to_le_bytes()));
        peer.feed(frame(Kind::Starved, 3, &lie.to_le_bytes()));
    }
    assert_eq!(waiting(&peer), 3);
    peer.feed(frame(Kind::End, 1, &[0, 0]));
    peer.feed(frame(Kind::Reset, 3, b""));
    assert_eq!((waiting(&peer), peer.broken()), (1, None));
}

#[test]
fn a_channel_whose_last_frame_waits_counts_as_open() {
    let limits = Limits { channels: 4, ..Limits::default() };
    let mut peer = stuck(limits);
    let channels = [1, 3, 5, 7].map(|id| declared(id, Flow::In));
    peer.feed(declaring(1, &channels));
    for _ in 0..100 {
        channels.iter().for_each(|channel| peer.feed(frame(Kind::Reset, channel.id, b"")));
    }
    assert_eq!((waiting(&peer), peer.broken()), (5, None));
    peer.feed(declaring(3, &[declared(9, Flow::In)]));
    assert_eq!(peer.broken(), Some(Rule::ChannelLimit));
}

#[test]
fn connections_that_are_asked_for_and_closed_at_once_leave_nothing() {
    let mut peer = stuck(Limits { connections: 3, ..Limits::default() });
    for unattended in [false, true] {
        peer.session.io.inbox.unattended = unattended;
        for id in (0..1000).map(|at| 2 * at + 1 + 4000 * u32::from(unattended)) {
            peer.feed(on(id, opening(SETTINGS, &metadata(1, 50))));
            assert_eq!(waiting(&peer), 1 + usize::from(unattended), "a rejection may wait");
            peer.feed(on(id, frame(Kind::Close, 0, b"")));
            assert!(peer.session.connections.is_root_alone());
        }
        assert_eq!((waiting(&peer), peer.broken()), (1, None));
        assert!(peer.next_work().is_none());
    }
}

#[test]
fn a_connection_whose_rejection_waits_counts_as_open() {
    let mut peer = stuck(Limits { connections: 3, ..Limits::default() });
    peer.session.leave_unattended();
    let open = |id| on(id, opening(SETTINGS, &Metadata::new()));
    for id in [1, 3, 5] {
        peer.feed(open(id));
    }
    assert_eq!((waiting(&peer), peer.broken()), (4, None));
    peer.feed(open(7));
    assert_eq!(peer.broken(), Some(Rule::ConnectionLimit));
}

#[test]
fn answers_on_a_connection_that_is_closed_go_nowhere() {
    let mut peer = stuck(Limits { connections: 1, ..Limits::default() });
    for id in (0..100).map(|at| 2 * at + 1) {
        peer.feed(on(id, opening(SETTINGS, &Metadata::new())));
        assert!(matches!(peer.next_work(), Some(Work::Open(_))));
        let metadata = Metadata::empty();
        assert!(peer.session.accept_connection(id, metadata, None, Box::new(served), &mut peer.out));
        peer.feed(on(id, bind()));
        for request in [1, 3, 5] {
            peer.feed(on(id, frame(Kind::Call, request, b"")));
            let Some(Work::Serve(inbound)) = peer.next_work() else { panic!() };
            let wishes = [Wish { flow: Flow::Out, window: None }];
            let outcome = Outcome { body: &[7_u8; 1000], metadata, channels: &wishes, descriptors: &[] };
            let channel = peer.session.respond(inbound.call, Ok(outcome), &mut peer.out).unwrap();
            let channel = ChannelId { connection: id, id: channel };
            peer.session.finish_channel(channel, &super::metadata(1, 1000), &mut peer.out);
        }
        assert_eq!(waiting(&peer), 8, "the verdict, three answers, three ends");
        peer.feed(on(id, frame(Kind::Close, 0, b"")));
        peer.session.release_connection(id, false, &mut peer.out);
        assert_eq!(waiting(&peer), 1);
        assert!(peer.session.connections.is_root_alone());
        while let Some(work) = peer.next_work() {
            assert!(matches!(work, Work::Drop(_) | Work::Closed(_)), "{work:?}");
        }
    }
    assert!(peer.session.io.in_flight.channels == 0 && peer.session.io.in_flight.requests == 0);
    assert_eq!(peer.broken(), None);
}

#[test]
fn a_request_holds_its_slot_until_its_answer_has_gone() {
    let mut peer = stuck(Limits { requests: 4, ..Limits::default() });
    for id in [1, 3, 5, 7] {
        let mut call = frame(Kind::Call, id, b"");
        call.header.method = if id < 4 { MISSING.id } else { ECHO.id };
        peer.feed(call);
        (0..100).for_each(|_| peer.feed(frame(Kind::Cancel, id, b"")));
    }
    assert_eq!((waiting(&peer), peer.broken()), (5, None));
    peer.feed(frame(Kind::Call, 9, b""));
    assert_eq!(peer.broken(), Some(Rule::RequestLimit));
}

#[test]
fn answers_that_come_again_leave_nothing() {
    let mut peer = stuck(Limits { channels: 2, ..Limits::default() });
    let first = 2; // The call that waits: its peer cannot have seen all of it, and answers it all the same.
    for at in 0..500_u64 {
        let channels = [declared(4 * at + 1, Flow::Out), declared(4 * at + 3, Flow::Out)];
        let response = declaring(first, &channels);
        let header = Header { kind: Kind::Response, method: 0, ..response.header };
        peer.feed(Frame::new(header, response.payload));
        if at == 0 {
            let answer = peer.session.poll_answer(CallId { connection: 0, id: first }, None);
            let Poll::Ready(Answer::Response(mut response)) = answer else { panic!("{answer:?}") };
            for channel in response.take_channels() {
                peer.session.reset_channel(ChannelId { connection: 0, id: channel.id }, &mut peer.out);
            }
        }
        assert_eq!(waiting(&peer), 3, "a reset for each channel");
        for channel in channels {
            peer.feed(frame(Kind::End, channel.id, &[0, 0]));
        }
        assert_eq!((waiting(&peer), peer.broken()), (1, None));
    }
    assert!(peer.session.connections.root.channels.is_empty());
}

#[test]
fn a_side_that_is_about_to_leave_rejects_no_more_than_agreed() {
    let mut peer = stuck(Limits { connections: 2, ..Limits::default() });
    peer.session.goodbye(&mut peer.out, None);
    let before = waiting(&peer);
    for id in [1, 3] {
        peer.feed(on(id, opening(SETTINGS, &Metadata::new())));
    }
    assert_eq!((waiting(&peer), peer.broken()), (before + 2, None));
    peer.feed(on(5, opening(SETTINGS, &Metadata::new())));
    assert_eq!(peer.broken(), Some(Rule::ConnectionLimit));
}
