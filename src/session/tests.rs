//! What a peer must not do, and what becomes of it: each rule broken once.

use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use super::simulated::{ECHO, Peer, Shape, deliver, pair};
use super::{
    Answer, CallId, CloseReason, Failure, Limits, Outcome, ProtocolError, Refusal, Rule, Side, StartCall,
    Started,
};
use crate::link::{Buffer, Corrupt, Flags, Frame, Header, Kind};

fn open() -> [Peer; 2] {
    open_with(Limits::default())
}

fn open_with(limits: Limits) -> [Peer; 2] {
    let mut peers = pair(Shape::WIDE, limits);
    for peer in &mut peers {
        peer.session.start(&mut peer.out);
    }
    deliver(&mut peers, Instant::now());
    assert!(peers.iter().all(|peer| peer.session.negotiated().is_some()));
    peers
}

fn frame(kind: Kind, id: u64, payload: &[u8]) -> Frame {
    let method = if matches!(kind, Kind::Call | Kind::Bind) { ECHO.id } else { 0 };
    let length = u32::try_from(payload.len()).unwrap();
    Frame::new(Header { length, id, method, ..Header::new(kind) }, Buffer::copy_of(payload))
}

fn bind() -> Frame {
    frame(Kind::Bind, 0, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
}

/// Feeds frames to an open acceptor; the rule that ends the session, which both sides must name.
fn broken(frames: impl IntoIterator<Item = Frame>) -> Rule {
    broken_with(Limits::default(), frames)
}

fn broken_with(limits: Limits, frames: impl IntoIterator<Item = Frame>) -> Rule {
    let mut peers = open_with(limits);
    let now = Instant::now();
    let Answer::Disconnected { .. } = ({
        let started = peers[1].call(&ECHO, b"pending", None, now);
        let StartCall::Started(id) = started else { panic!("{started:?}") };
        for mut frame in frames {
            let peer = &mut peers[1];
            peer.session.handle(&mut frame, &mut peer.out, &|| now);
        }
        match peers[1].session.poll_answer(id.call, None) {
            Poll::Ready(answer) => answer,
            Poll::Pending => panic!("no rule was broken"),
        }
    }) else {
        panic!("the pending call did not end with the session")
    };
    let Some(CloseReason::Protocol(ProtocolError { rule, by: Side::Peer })) = peers[1].session.close_reason()
    else {
        panic!("{:?}", peers[1].session.close_reason())
    };
    let rule = *rule;
    deliver(&mut peers, now);
    let told = CloseReason::Protocol(ProtocolError { rule, by: Side::Local });
    assert_eq!(peers[0].session.close_reason(), Some(&told), "the violator was not told");
    rule
}

#[test]
fn a_session_that_ended_was_open_if_its_handshake_was_done() {
    let mut peers = open();
    let [one, _] = &mut peers;
    one.session.goodbye(&mut one.out, None);
    deliver(&mut peers, Instant::now());
    for peer in &mut peers {
        assert!(peer.session.is_over());
        assert!(matches!(peer.session.poll_open(Waker::noop()), Poll::Ready(Ok(_))));
    }
    let [mut one, _] = pair(Shape::WIDE, Limits::default());
    one.session.link_lost(CloseReason::PeerDied);
    let open = one.session.poll_open(Waker::noop()).map_ok(drop);
    assert_eq!(open, Poll::Ready(Err(CloseReason::PeerDied)));
}

#[test]
fn each_broken_rule_ends_the_session_and_is_named() {
    let call = |id| frame(Kind::Call, id, b"x");
    let flagged = |kind, id, flags, payload: &[u8]| {
        let mut frame = frame(kind, id, payload);
        frame.header.flags = flags;
        frame
    };
    assert_eq!(broken([call(1)]), Rule::BindingFirst);
    assert_eq!(broken([bind(), call(2)]), Rule::RequestParity);
    assert_eq!(broken([bind(), call(0)]), Rule::RequestParity);
    assert_eq!(broken([bind(), call(3), call(3)]), Rule::RequestOrder);
    assert_eq!(broken([bind(), call(3), call(1)]), Rule::RequestOrder);
    assert_eq!(broken(std::iter::once(bind()).chain((0..65).map(|at| call(2 * at + 1)))), Rule::RequestLimit);
    assert_eq!(broken([frame(Kind::Response, 4, b"")]), Rule::AnswerToNothing);
    assert_eq!(broken([frame(Kind::Response, 1, b"")]), Rule::AnswerToNothing);
    assert_eq!(broken([frame(Kind::Failure, 2, &[99])]), Rule::FailureForm);
    assert_eq!(broken([frame(Kind::Cancel, 1, b"")]), Rule::CancelOfNothing);
    assert_eq!(broken([frame(Kind::Bind, 0, b"short")]), Rule::BindingForm);
    assert_eq!(broken([bind(), bind()]), Rule::BindingForm);
    assert_eq!(broken([bind(), flagged(Kind::Call, 1, Flags::OPTIONS, &[9, 0, 0, 0, 1])]), Rule::OptionsForm);
    assert_eq!(broken([frame(Kind::Goodbye, 0, &[])]), Rule::GoodbyeForm);
    assert_eq!(broken([frame(Kind::Goodbye, 0, &[0]), frame(Kind::Goodbye, 0, &[0])]), Rule::GoodbyeForm);
    assert_eq!(broken([bind(), frame(Kind::Goodbye, 0, &[0]), call(1)]), Rule::CallAfterGoodbye);
    for kind in [Kind::Hello, Kind::Welcome, Kind::Confirm, Kind::Refuse] {
        assert_eq!(broken([frame(kind, 0, &[])]), Rule::HandshakeOrder);
    }
    let mut elsewhere = call(1);
    elsewhere.header.connection = 4;
    assert_eq!(broken([elsewhere]), Rule::Connection);
}

#[test]
fn fragments_that_do_not_add_up_end_the_session() {
    let part = |id, flags, payload: &[u8]| {
        let mut frame = frame(Kind::Call, id, payload);
        frame.header.flags = flags;
        frame
    };
    let size = |size: u64| size.to_le_bytes();
    let first = |total: u64| part(1, Flags::MORE, &[&size(total)[..], b"abc"].concat());
    assert_eq!(broken([part(1, Flags::MORE, b"abc")]), Rule::FragmentSize);
    assert_eq!(broken([first(3)]), Rule::FragmentSize);
    assert_eq!(broken([first(u64::MAX)]), Rule::PayloadLimit);
    assert_eq!(broken([first(6), part(1, Flags::NONE, b"ab")]), Rule::FragmentSize);
    assert_eq!(broken([first(6), part(1, Flags::NONE, b"abcd")]), Rule::FragmentSize);
    assert_eq!(broken([first(6), part(1, Flags::MORE, b"")]), Rule::FragmentSize);
    assert_eq!(broken([first(6), part(3, Flags::MORE, &[&size(9)[..], b"x"].concat())]), Rule::FragmentOrder);
    assert_eq!(broken([first(6), part(1, Flags::OPTIONS, b"abc")]), Rule::FragmentOrder);
    let limits = Limits { payload: Limits::LEAST_PAYLOAD, ..Limits::default() };
    assert_eq!(broken_with(limits, [bind(), frame(Kind::Call, 1, &[0; 1025])]), Rule::PayloadLimit);
}

#[test]
fn metadata_beyond_the_agreed_limit_ends_the_session() {
    let limits = Limits { metadata_entries: 0, ..Limits::default() };
    // Options: one entry with the key `k` and an empty text, and no channels.
    let metadata = [1, 0, 0, 0, 1, 0, b'k', 0, 0, 0, 0];
    let mut payload = vec![10 + u8::try_from(metadata.len()).unwrap(), 0, 0, 0];
    payload.extend([0xFF; 8]);
    payload.extend(metadata);
    payload.extend([0, 0]);
    let mut call = frame(Kind::Call, 1, &payload);
    call.header.flags = Flags::OPTIONS;
    assert_eq!(broken_with(limits, [bind(), call]), Rule::MetadataLimit);
}

#[test]
fn what_the_link_finds_is_a_broken_rule_too() {
    let mut peers = open();
    let corrupt = Corrupt::Position { position: 9, from: 0, to: 8 };
    let peer = &mut peers[0];
    peer.session.corrupt(corrupt, &mut peer.out);
    let expected = CloseReason::Protocol(ProtocolError { rule: Rule::RingPosition, by: Side::Peer });
    assert_eq!(peers[0].session.close_reason(), Some(&expected));
}

#[test]
fn nothing_but_the_handshake_comes_first() {
    for kind in [Kind::Bind, Kind::Call, Kind::Response, Kind::Failure, Kind::Cancel] {
        let [_, mut acceptor] = pair(Shape::WIDE, Limits::default());
        acceptor.session.handle(&mut frame(kind, 1, b""), &mut acceptor.out, &Instant::now);
        let expected = CloseReason::Protocol(ProtocolError { rule: Rule::HandshakeFirst, by: Side::Peer });
        assert_eq!(acceptor.session.close_reason(), Some(&expected));
    }
}

#[test]
fn another_version_is_refused_and_both_are_named() {
    let mut peers = pair(Shape::WIDE, Limits::default());
    let mut hello = peers[0].session.hello(9, 7).encode();
    hello.truncate(hello.len());
    let acceptor = &mut peers[1];
    acceptor.session.handle(&mut frame(Kind::Hello, 0, &hello), &mut acceptor.out, &Instant::now);
    let refusal = Refusal::Version { newest: 1, least: 1, peer_newest: 9, peer_least: 7 };
    assert_eq!(peers[1].session.close_reason(), Some(&CloseReason::Refused { refusal, by: Side::Local }));
    deliver(&mut peers, Instant::now());
    assert_eq!(peers[0].session.close_reason(), Some(&CloseReason::Refused { refusal, by: Side::Peer }));
    let text = peers[0].session.close_reason().unwrap().to_string();
    assert!(text.contains("1 to 1") && text.contains("7 to 9"), "{text}");
}

#[test]
fn a_malformed_hello_ends_it() {
    let [mut initiator, _] = pair(Shape::WIDE, Limits::default());
    let good = initiator.session.hello(1, 1).encode();
    let rule = |payload: &[u8]| {
        let [_, mut acceptor] = pair(Shape::WIDE, Limits::default());
        acceptor.session.handle(&mut frame(Kind::Hello, 0, payload), &mut acceptor.out, &Instant::now);
        match acceptor.session.close_reason() {
            Some(CloseReason::Protocol(error)) => Some(error.rule),
            None => None,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(rule(&good), None);
    for length in 0..good.len() {
        assert_eq!(rule(&good[..length]), Some(Rule::HandshakeForm));
    }
    assert_eq!(rule(&[&good[..], b"x"].concat()), Some(Rule::HandshakeForm));
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = good.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        rule(&changed)
    };
    assert_eq!(with(4, &[1]), Some(Rule::HandshakeRole));
    assert_eq!(with(4, &[2]), Some(Rule::HandshakeForm));
    assert_eq!(with(5, &[0; 8]), Some(Rule::HandshakeLimit));
    assert_eq!(with(13, &[0; 4]), Some(Rule::HandshakeLimit));
    let _unused = initiator.receive(Instant::now());
}

#[test]
fn the_handshake_must_be_done_in_time() {
    let now = Instant::now();
    let [mut initiator, _] = pair(Shape::WIDE, Limits::default());
    let mut settings = super::simulated::settings(Limits::default());
    settings.open_until = Some(now + Duration::from_secs(5));
    initiator.session = super::Session::new(super::Role::Initiator, settings);
    initiator.session.start(&mut initiator.out);
    assert_eq!(initiator.session.next_timeout(), Some(now + Duration::from_secs(5)));
    initiator.session.handle_timeout(now + Duration::from_secs(4), &mut initiator.out);
    assert!(!initiator.session.is_over());
    initiator.session.handle_timeout(now + Duration::from_secs(5), &mut initiator.out);
    assert_eq!(initiator.session.close_reason(), Some(&CloseReason::HandshakeTimeout));
}

#[test]
fn a_caller_waits_for_its_turn_and_gets_it() {
    let mut peers = open_with(Limits { requests: 1, ..Limits::default() });
    let now = Instant::now();
    let StartCall::Started(id) = peers[0].call(&ECHO, b"one", None, now) else { panic!() };
    assert!(matches!(peers[0].call(&ECHO, b"two", None, now), StartCall::Busy));
    let mut ticket = None;
    assert!(peers[0].session.wait_turn(0, &mut ticket, None, Waker::noop()).is_none());
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
    assert!(peers[0].session.wait_turn(0, &mut ticket, deadline, Waker::noop()).is_none());
    assert_eq!(peers[0].session.next_timeout(), deadline);
    let peer = &mut peers[0];
    peer.session.handle_timeout(now + Duration::from_millis(2), &mut peer.out);
    let answer = peer.session.wait_turn(0, &mut ticket, deadline, Waker::noop());
    assert!(matches!(answer, Some(Answer::Failure(Failure::DeadlineExceeded))));
}

#[test]
fn nothing_waits_for_room_after_the_end() {
    let mut peers = pair(Shape::NARROW, Limits::default());
    let now = Instant::now();
    for peer in &mut peers {
        peer.session.start(&mut peer.out);
    }
    deliver(&mut peers, now);
    let StartCall::Started(_) = peers[0].call(&ECHO, &[0; 512], None, now) else { panic!() };
    assert!(matches!(peers[0].call(&ECHO, &[0; 64], None, now), StartCall::Busy));
    assert!(peers[0].session.wants_space());
    peers[0].session.link_lost(CloseReason::PeerDied);
    assert!(!peers[0].session.wants_space());
}

#[test]
fn nothing_of_a_message_in_assembly_is_kept_after_the_end() {
    let mut peers = open();
    let mut first = frame(Kind::Call, 1, &[&1_000_u64.to_le_bytes()[..], &[7; 900]].concat());
    first.header.flags = Flags::MORE;
    let peer = &mut peers[1];
    peer.session.handle(&mut first, &mut peer.out, &Instant::now);
    assert_eq!(peer.session.kept(), 900);
    peer.session.link_lost(CloseReason::PeerDied);
    assert_eq!(peer.session.kept(), 0);
}
