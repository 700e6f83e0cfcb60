//! The opening of a session.

use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use super::{frame, open};
use crate::link::Kind;
use crate::session::simulated::{Shape, deliver, pair, settings};
use crate::session::{CloseReason, Limits, ProtocolError, Refusal, Role, Rule, Session, Side};

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
    let mut settings = settings(Limits::default());
    settings.open_until = Some(now + Duration::from_secs(5));
    initiator.session = Session::new(Role::Initiator, settings);
    initiator.session.start(&mut initiator.out);
    assert_eq!(initiator.session.next_timeout(), Some(now + Duration::from_secs(5)));
    initiator.session.handle_timeout(now + Duration::from_secs(4), &mut initiator.out);
    assert!(!initiator.session.is_over());
    initiator.session.handle_timeout(now + Duration::from_secs(5), &mut initiator.out);
    assert_eq!(initiator.session.close_reason(), Some(&CloseReason::HandshakeTimeout));
}
