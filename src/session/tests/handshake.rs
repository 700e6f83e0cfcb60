//! The opening of a session.

use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use super::{frame, open};
use crate::link::Kind;
use crate::session::simulated::{Peer, Shape, deliver, pair, pair_with, settings};
use crate::session::wire::Reader;
use crate::session::{
    CloseReason, Entry, Limits, Metadata, Negotiated, ProtocolError, Refusal, RejectReason, Rejection, Role,
    Rule, Session, Settings, Side,
};

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
    assert_eq!(
        peers[1].session.close_reason(),
        Some(&CloseReason::Refused { refusal: refusal.clone(), by: Side::Local })
    );
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

/// Two sessions of which one has a policy, when it is asked.
fn asked(who: usize) -> [Peer; 2] {
    let both = [0, 1].map(|at| Settings {
        has_policy: at == who,
        metadata: named(at as u64),
        ..settings(Limits { requests: 3 + at as u32, ..Limits::default() })
    });
    let mut peers = pair_with(Shape::WIDE, both);
    for peer in &mut peers {
        assert!(introduced(peer).is_pending(), "nobody has said anything");
        peer.session.start(&mut peer.out);
    }
    deliver(&mut peers, Instant::now());
    peers
}

fn named(number: u64) -> Metadata {
    let mut metadata = Metadata::new();
    metadata.push(Entry::new("number", number)).unwrap();
    metadata
}

fn introduced(peer: &mut Peer) -> Poll<Option<std::sync::Arc<Negotiated>>> {
    peer.session.poll_introduced(Waker::noop())
}

fn is_open(peer: &mut Peer) -> bool {
    matches!(peer.session.poll_open(Waker::noop()), Poll::Ready(Ok(_)))
}

#[test]
fn a_side_with_a_policy_is_asked_before_there_is_a_session() {
    for who in [0, 1] {
        let mut peers = asked(who);
        assert!(!is_open(&mut peers[0]) && !is_open(&mut peers[1]));
        let Poll::Ready(Some(agreed)) = introduced(&mut peers[who]) else { panic!("it is asked") };
        assert_eq!((agreed.limits.requests, &agreed.peer_metadata), (3, &named(1 - who as u64)));
        let admitted = &mut peers[who];
        admitted.session.admit(&mut admitted.out, &Instant::now);
        deliver(&mut peers, Instant::now());
        for peer in &mut peers {
            assert!(is_open(peer));
            assert!(matches!(introduced(peer), Poll::Ready(None)), "nothing is to be decided any more");
            // Too late.
            peer.session.refuse(RejectReason::Forbidden.into(), &mut peer.out);
            assert!(!peer.session.is_over());
        }
    }
}

#[test]
fn who_is_not_let_in_is_told_why_and_by_whom() {
    for who in [0, 1] {
        for reason in [RejectReason::Unauthenticated, RejectReason::NotReady, RejectReason::Other] {
            let mut peers = asked(who);
            let rejection = Rejection::new(reason).with_text("no\nway").with_metadata(named(7));
            let refusing = &mut peers[who];
            refusing.session.refuse(rejection.clone(), &mut refusing.out);
            assert_eq!(refusing.session.flaw(), None);
            deliver(&mut peers, Instant::now());
            for (at, by) in [(who, Side::Local), (1 - who, Side::Peer)] {
                let refused = CloseReason::Refused { refusal: rejection.clone().into(), by };
                assert_eq!(peers[at].session.close_reason(), Some(&refused));
                assert_eq!(refused.is_final(), reason != RejectReason::NotReady);
                assert!(refused.to_string().contains("no\\nway"), "on one line: {refused}");
            }
            let late = &mut peers[who];
            late.session.admit(&mut late.out, &Instant::now);
            assert!(late.session.is_over());
        }
    }
}

#[test]
fn while_a_side_is_asked_its_peer_says_nothing() {
    let broken = |who: usize, kind, payload: &[u8]| {
        let peer = &mut asked(who)[who];
        peer.feed(frame(kind, 0, payload));
        peer.broken()
    };
    let hello = asked(1)[0].session.hello(1, 1).encode();
    let welcome = asked(0)[1].session.hello(1, 0).encode();
    assert_eq!(broken(1, Kind::Hello, &hello), Some(Rule::HandshakeOrder));
    assert_eq!(broken(1, Kind::Confirm, &[1, 0]), Some(Rule::HandshakeOrder));
    assert_eq!(broken(0, Kind::Welcome, &welcome), Some(Rule::HandshakeOrder));
    for who in [0, 1] {
        assert_eq!(broken(who, Kind::Call, b""), Some(Rule::HandshakeFirst));
    }
}

#[test]
fn a_policy_has_as_much_time_as_the_handshake() {
    let now = Instant::now();
    for who in [0, 1] {
        let until = now + Duration::from_secs(5);
        let both = [0, 1].map(|at| Settings {
            has_policy: at == who,
            open_until: Some(until),
            ..settings(Limits::default())
        });
        let mut peers = pair_with(Shape::WIDE, both);
        for peer in &mut peers {
            peer.session.start(&mut peer.out);
        }
        deliver(&mut peers, now);
        let slow = &mut peers[who];
        slow.session.handle_timeout(until, &mut slow.out);
        assert_eq!(slow.session.close_reason(), Some(&CloseReason::HandshakeTimeout));
        assert!(matches!(introduced(slow), Poll::Ready(None)));
    }
}

#[test]
fn a_refusal_is_cut_to_what_may_be_said() {
    let limits = Limits::default();
    let decoded = |bytes: &[u8]| match Refusal::decode(bytes) {
        Ok(Refusal::Policy(rejection)) => *rejection,
        other => panic!("{other:?}"),
    };
    let rejection =
        Rejection::new(RejectReason::Forbidden).with_text("x".repeat(600)).with_metadata(named(1));
    let refusal = Refusal::from(rejection.clone());
    let whole = refusal.encode(&limits, 4096);
    assert_eq!(decoded(&whole), rejection.clone().with_text("x".repeat(512)));
    // Less room, or stricter limits: without metadata.
    let strict = Limits { metadata_entries: 0, ..limits };
    for bytes in [refusal.encode(&limits, whole.len() - 1), refusal.encode(&strict, 4096)] {
        assert_eq!(decoded(&bytes), Rejection::new(RejectReason::Forbidden).with_text("x".repeat(512)));
    }
    for length in 0..whole.len() {
        assert!(Refusal::decode(&whole[..length]).is_err());
    }
    assert!(Refusal::decode(&[&whole[..], b"x"].concat()).is_err());
    // Of a later version.
    let mut later = whole.clone();
    later[1] = 200;
    assert_eq!(decoded(&later).reason, RejectReason::Other);
    later[0] = 3;
    assert!(Refusal::decode(&later).is_err());
}

#[test]
fn every_reason_keeps_its_number() {
    use RejectReason::*;
    let reasons = [NoAcceptor, UnknownService, Forbidden, NotReady, Draining, Other, Unauthenticated];
    for (reason, code) in reasons.into_iter().zip(1..) {
        let bytes = Rejection::new(reason).encode(&Limits::default());
        assert_eq!(bytes[0], code);
        assert_eq!(Rejection::decode(&mut Reader::new(&bytes)).unwrap(), reason.into());
        assert_eq!(reason.can_retry(), [NotReady, Draining].contains(&reason));
        // As somebody is told who was not part of it.
        let refused = CloseReason::Refused { refusal: Rejection::new(reason).into(), by: Side::Peer };
        let [code, by, low, high] = refused.encode();
        assert_eq!(CloseReason::decode(code, by, u16::from_le_bytes([low, high])).unwrap(), refused);
    }
}
