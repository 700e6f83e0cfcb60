//! Refusals: those that a hostile peer sends, and what it does when it is asked about, or refused.

use std::future::pending;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use transom::{
    CloseReason, Entry, Limits, Metadata, Negotiated, OpenError, Options, Peer, ProtocolError, Refusal,
    RejectReason, Rejection, Rule, Side,
};

use crate::handshake::{breaks, is_told, opener};
use crate::raw::{Frame, Hello, PATIENCE, Role, kind};
use crate::scene::{Case, Scene};

/// Metadata with one entry of no bytes, by its name of two letters.
const NO: &[u8] = b"\x01\0\0\x01\x02\0no\0\0\0\0";
const UM: &[u8] = b"\x01\0\0\x01\x02\0um\0\0\0\0";

fn refused(refusal: impl Into<Refusal>, by: Side) -> OpenError {
    OpenError::Ended(CloseReason::Refused { refusal: refusal.into(), by })
}

fn named(name: &str) -> Metadata {
    let mut metadata = Metadata::new();
    metadata.push(Entry::new(name, Vec::new())).expect("it fits");
    metadata
}

#[test]
fn a_refusal_is_passed_on() {
    let version = Refusal::Version { newest: 4, least: 3, peer_newest: 1, peer_least: 1 };
    let policy = |reason| Rejection::new(reason);
    let refusals: [(&[u8], Refusal); 6] = [
        (&[1, 4, 0, 3, 0, 1, 0, 1, 0], version),
        (b"\x02\x07\0\0\0\0", policy(RejectReason::Unauthenticated).into()),
        (b"\x02\x03\x03\0not\0\0", policy(RejectReason::Forbidden).with_text("not").into()),
        (&[b"\x02\x04\0\0", NO].concat(), policy(RejectReason::NotReady).with_metadata(named("no")).into()),
        // Of a later version, and of one that writes what it likes into others' logs.
        (b"\x02\xc8\x03\0a\nb\0\0", policy(RejectReason::Other).with_text("a\nb").into()),
        (b"\x02\0\0\0\0\0", policy(RejectReason::Other).into()),
    ];
    for case in Case::all() {
        let scene = Scene::new(case);
        for (payload, refusal) in &refusals {
            let (mut peer, opened) = scene.hand_over();
            assert!(peer.send(&Frame::new(kind::REFUSE, *payload)));
            let refused = refused(refusal.clone(), Side::Peer);
            assert!(!refused.to_string().contains('\n'), "{refused}");
            opened.fails_as(refused);
        }
        scene.goes_on();
    }
}

#[test]
fn a_refusal_is_well_formed() {
    let malformed: [&[u8]; 14] = [
        b"",
        b"\0\0\0\0\0\0\0\0\0",
        b"\x03\0\0\0\0\0\0\0\0",
        b"\xff\x07\0\0\0\0",
        b"\x01\x04\0\x03\0\x01\0\x01",
        b"\x01\x04\0\x03\0\x01\0\x01\0\0",
        b"\x02",
        b"\x02\x07",
        b"\x02\x07\0\0\0",
        b"\x02\x07\0\0\0\0\0",
        b"\x02\x07\xff\xff\0\0",
        b"\x02\x07\x01\0\xff\0\0",
        b"\x02\x07\0\0\x01\0",
        b"\x02\x07\0\0\xff\xff",
    ];
    for case in Case::all() {
        let scene = Scene::new(case);
        for payload in malformed {
            breaks(&scene, &[Frame::new(kind::REFUSE, payload)], Rule::HandshakeForm);
        }
    }
}

#[test]
fn a_refusal_says_no_more_than_this_side_takes() {
    for case in Case::all() {
        let limits = {
            let mut limits = Limits::default();
            limits.metadata_entries = 0;
            limits
        };
        let scene = Scene::with(case, Options::new().handshake_timeout(PATIENCE).limits(limits));
        let payload = [b"\x02\x07\0\0", NO].concat();
        breaks(&scene, &[Frame::new(kind::REFUSE, payload)], Rule::MetadataLimit);
    }
}

#[test]
fn who_has_let_somebody_in_does_not_refuse() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let refuse = Frame::new(kind::REFUSE, *b"\x02\x03\0\0\0\0");
        let mut duel = scene.duel();
        assert!(duel.theirs.send(&refuse));
        duel.breaks(Rule::HandshakeOrder);
        if case.role == Role::Initiator {
            // After this side's answer it may: that is when an initiator decides.
            let (mut peer, opened) = scene.hand_over();
            assert!(peer.send(&Hello::of(case.role).frame(kind::HELLO)));
            assert_eq!(peer.receive().expect("a welcome").kind, kind::WELCOME);
            assert!(peer.send(&refuse));
            opened.fails_as(refused(Rejection::new(RejectReason::Forbidden), Side::Peer));
        }
        scene.goes_on();
    }
}

/// Refuses who has an entry `no`, and never decides about who has an entry `um`; says when it is asked about either.
fn policy(asked: Sender<()>) -> Options {
    Options::new().handshake_timeout(PATIENCE).policy(move |_: Peer, agreed: Arc<Negotiated>| {
        let (no, um) = (agreed.peer_metadata.get("no").is_some(), agreed.peer_metadata.get("um").is_some());
        if no || um {
            asked.send(()).expect("the test goes on");
        }
        async move {
            if um {
                pending::<()>().await;
            }
            if no { Err(Rejection::new(RejectReason::Forbidden).with_text("not you")) } else { Ok(()) }
        }
    })
}

fn is_asked(asked: &Receiver<()>) {
    asked.recv_timeout(PATIENCE).expect("it is asked about the peer");
}

#[test]
fn who_is_refused_is_told_and_has_nothing_more_to_say() {
    for case in Case::all() {
        let (sender, asked) = channel();
        let scene = Scene::with(case, policy(sender));
        for persists in [false, true] {
            let (mut peer, opened) = scene.hand_over();
            let hello = Hello { metadata: NO.to_vec(), ..Hello::of(case.role) };
            assert!(peer.send(&hello.frame(opener(case.role))));
            is_asked(&asked);
            if persists {
                // Whether this side is gone by now or not.
                peer.send(&Frame::new(kind::CONFIRM, [1, 0]));
                peer.send(&Frame::new(kind::CALL, [0; 8]));
            } else {
                is_told(&mut peer, kind::REFUSE, b"\x02\x03\x07\0not you\0\0");
                peer.socket.is_closed_by_the_other();
                opened.fails_as(refused(
                    Rejection::new(RejectReason::Forbidden).with_text("not you"),
                    Side::Local,
                ));
                continue;
            }
            // It was refused, or broke a rule before that.
            let refused = refused(Rejection::new(RejectReason::Forbidden).with_text("not you"), Side::Local);
            let broken = crate::scene::broken(Rule::HandshakeOrder);
            opened.fails_as_one_of([refused, OpenError::Ended(broken)]);
        }
        scene.goes_on();
    }
}

#[test]
fn who_is_asked_about_waits() {
    for case in Case::all() {
        let (sender, asked) = channel();
        let scene = Scene::with(case, policy(sender));
        let hello = Hello { metadata: UM.to_vec(), ..Hello::of(case.role) }.frame(opener(case.role));
        let impatient = [
            (hello.clone(), Rule::HandshakeOrder),
            (Frame::new(kind::CONFIRM, [1, 0]), Rule::HandshakeOrder),
            (Frame::new(kind::CALL, [0; 8]), Rule::HandshakeFirst),
            (Frame { kind: 23, ..hello.clone() }, Rule::FrameHeader),
        ];
        for (frame, rule) in impatient {
            let (mut peer, opened) = scene.hand_over();
            assert!(peer.send(&hello));
            is_asked(&asked);
            assert!(peer.send(&frame));
            opened.breaks(rule);
            is_told(&mut peer, kind::PROTOCOL_ERROR, &rule.code().to_le_bytes());
        }
        // Or leaves, or complains.
        let (mut peer, opened) = scene.hand_over();
        assert!(peer.send(&hello));
        is_asked(&asked);
        assert!(peer.send(&Frame::new(kind::PROTOCOL_ERROR, [6, 0])));
        let rule = Rule::HandshakeForm;
        opened.fails_as(OpenError::Ended(CloseReason::Protocol(ProtocolError { rule, by: Side::Local })));
        let (mut peer, opened) = scene.hand_over();
        assert!(peer.send(&hello));
        is_asked(&asked);
        drop(peer);
        opened.fails_as(OpenError::Ended(CloseReason::PeerDied));
        scene.goes_on();
    }
}

#[test]
fn who_is_never_decided_about_takes_no_more_time_than_a_handshake() {
    for case in Case::all() {
        let (sender, asked) = channel();
        let options = policy(sender).handshake_timeout(std::time::Duration::from_millis(200));
        let scene = Scene::with(case, options);
        let (mut peer, opened) = scene.hand_over();
        let hello = Hello { metadata: UM.to_vec(), ..Hello::of(case.role) }.frame(opener(case.role));
        assert!(peer.send(&hello));
        is_asked(&asked);
        opened.fails_as(OpenError::Timeout);
        peer.socket.is_closed_by_the_other();
        scene.goes_on();
    }
}
