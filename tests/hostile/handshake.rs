//! Handshakes that go wrong, after a hand-over by the rules.

use transom::{CloseReason, Limits, OpenError, ProtocolError, Refusal, Rule, Side};

use crate::common::EchoClient;
use crate::raw::{Frame, Hello, Peer, Role, bind, call, flags, kind};
use crate::scene::{Case, Scene};

/// The frame that a peer of this role begins its handshake with.
pub fn opener(role: Role) -> u8 {
    if role == Role::Initiator { kind::HELLO } else { kind::WELCOME }
}

/// Sends these frames instead of a handshake, and waits until this side says which rule they broke.
pub fn breaks(scene: &Scene, frames: &[Frame], rule: Rule) {
    let (mut peer, opened) = scene.hand_over_with(1 << 20);
    for frame in frames {
        // This side may have had enough before the last of them.
        peer.send(frame);
    }
    opened.breaks(rule);
    is_told(&mut peer, kind::PROTOCOL_ERROR, &rule.code().to_le_bytes());
    peer.socket.is_closed_by_the_other();
    scene.goes_on();
}

/// The hostile peer receives these last words.
pub fn is_told(peer: &mut Peer, kind: u8, payload: &[u8]) {
    loop {
        let frame = peer.receive().expect("last words");
        if frame.kind == kind {
            assert_eq!(frame.payload, payload);
            return;
        }
        assert!([kind::HELLO, kind::WELCOME].contains(&frame.kind), "{frame:?}");
    }
}

#[test]
fn nothing_comes_before_the_handshake() {
    for case in Case::all() {
        let scene = Scene::new(case);
        for kind in [kind::BIND, kind::CALL, kind::RESPONSE, kind::FAILURE, kind::CANCEL] {
            println!("{case}: kind {kind}");
            breaks(&scene, &[Frame::new(kind, [0; 8])], Rule::HandshakeFirst);
        }
        if case.role == Role::Initiator {
            // Nor before its end.
            let hello = Hello::of(case.role).frame(kind::HELLO);
            breaks(&scene, &[hello.clone(), bind::<EchoClient>("echo")], Rule::HandshakeFirst);
            breaks(&scene, &[hello, call::<EchoClient>("echo", 1, *b"\x01x")], Rule::HandshakeFirst);
        }
    }
}

#[test]
fn the_handshakes_frames_come_once_and_in_order() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let hello = |kind| Hello::of(case.role).frame(kind);
        let orders = match case.role {
            Role::Initiator => vec![
                vec![hello(kind::WELCOME)],
                vec![Frame::new(kind::CONFIRM, [1, 0])],
                vec![hello(kind::HELLO), hello(kind::HELLO)],
                vec![hello(kind::HELLO), hello(kind::WELCOME)],
            ],
            Role::Acceptor => vec![vec![hello(kind::HELLO)], vec![Frame::new(kind::CONFIRM, [1, 0])]],
        };
        for frames in orders {
            println!("{case}: {frames:?}");
            breaks(&scene, &frames, Rule::HandshakeOrder);
        }
    }
}

#[test]
fn a_hello_is_well_formed() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let kind = opener(case.role);
        let good = Hello::of(case.role);
        let bytes = good.encode();
        for length in 0..bytes.len() {
            breaks(&scene, &[Frame::new(kind, &bytes[..length])], Rule::HandshakeForm);
        }
        let metadata: [&[u8]; 8] = [
            b"\0\0\0",                                        // a byte too many
            b"\x01\0",                                        // an entry that is not there
            b"\xff\xff",                                      // many that are not
            b"\x01\0\x04\0\x01\0k\0\0\0\0",                   // a flag that nobody knows
            b"\x01\0\0\x03\x01\0k\0\0\0\0",                   // a type that nobody knows
            b"\x01\0\0\x00\x01\0\xff\0\0\0\0",                // a key that is no text
            b"\x01\0\0\x02\x01\0k\x04\0\0\0\x01\x02\x03\x04", // a number of four bytes
            b"\x01\0\0\x01\x01\0k\xff\xff\xff\xff",           // a value longer than all there is
        ];
        for metadata in metadata {
            let hello = Hello { metadata: metadata.to_vec(), ..good.clone() };
            breaks(&scene, &[hello.frame(kind)], Rule::HandshakeForm);
        }
        breaks(&scene, &[Hello { role: 2, ..good.clone() }.frame(kind)], Rule::HandshakeForm);
        breaks(&scene, &[Hello { role: 1 - good.role, ..good.clone() }.frame(kind)], Rule::HandshakeRole);
        for senseless in [
            Hello { payload: Limits::LEAST_PAYLOAD - 1, ..good.clone() },
            Hello { payload: 0, ..good.clone() },
            Hello { requests: 0, ..good.clone() },
            Hello { window: 0, ..good.clone() },
        ] {
            breaks(&scene, &[senseless.frame(kind)], Rule::HandshakeLimit);
        }
    }
}

#[test]
fn a_confirmation_is_of_the_version_chosen() {
    for case in Case::all().filter(|case| case.role == Role::Initiator) {
        let scene = Scene::new(case);
        for confirmed in [&[][..], &[1], &[2, 0], &[0, 0], &[1, 0, 0]] {
            let frames = [Hello::of(case.role).frame(kind::HELLO), Frame::new(kind::CONFIRM, confirmed)];
            breaks(&scene, &frames, Rule::HandshakeForm);
        }
    }
}

#[test]
fn a_hello_is_bounded() {
    let (total, most) = (65 * 1024_u64, 64 * 1024);
    for case in Case::all() {
        let scene = Scene::new(case);
        let kind = opener(case.role);
        // Announced in fragments: refused before the rest comes.
        let announced = Frame::new(kind, total.to_le_bytes()).with_flags(flags::MORE);
        breaks(&scene, &[announced], Rule::PayloadLimit);
        let absurd = Frame::new(kind, u64::MAX.to_le_bytes()).with_flags(flags::MORE);
        breaks(&scene, &[absurd], Rule::PayloadLimit);
        // In one frame, as large as it can be: what a socket carries in one frame, a ring carries in half of itself.
        let mut hello = Hello::of(case.role).encode();
        hello.resize(most + 1, 0);
        let rule = if case.link == crate::scene::Link::Shm { Rule::PayloadLimit } else { Rule::FrameLength };
        breaks(&scene, &[Frame::new(kind, hello)], rule);
    }
}

#[test]
fn fragments_of_a_hello_add_up() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let kind = opener(case.role);
        let hello = Hello::of(case.role).encode();
        let size = (hello.len() as u64).to_le_bytes();
        let more = |payload: Vec<u8>| Frame::new(kind, payload).with_flags(flags::MORE);
        breaks(&scene, &[more(size[..7].to_vec())], Rule::FragmentSize);
        breaks(&scene, &[more([&size[..], &hello].concat())], Rule::FragmentSize);
        let begun = more([&size[..], &hello[..5]].concat());
        breaks(&scene, &[begun.clone(), Frame::new(kind, &hello[6..])], Rule::FragmentSize);
        breaks(&scene, &[begun.clone(), more(hello[5..].to_vec())], Rule::FragmentSize);
        // By the rules it does no harm.
        let (mut peer, opened) = scene.hand_over();
        peer.send(&begun);
        peer.send(&Frame::new(kind, &hello[5..]));
        if case.role == Role::Initiator {
            assert_eq!(peer.receive().expect("a welcome").kind, kind::WELCOME);
            peer.send(&Frame::new(kind::CONFIRM, [1, 0]));
        }
        assert!(opened.session().is_open());
    }
}

#[test]
fn another_session_version_is_refused_and_both_are_named() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let versions: &[(u16, u16)] = match case.role {
            Role::Initiator => &[(9, 9), (u16::MAX, 2), (0, 0), (1, 2)],
            // A welcome names the one that was chosen.
            Role::Acceptor => &[(9, 9), (0, 0), (u16::MAX, u16::MAX)],
        };
        for &(newest, least) in versions {
            println!("{case}: {least} to {newest}");
            let (mut peer, opened) = scene.hand_over();
            let said = if case.role == Role::Initiator { least } else { 0 };
            assert!(
                peer.send(&Hello { newest, least: said, ..Hello::of(case.role) }.frame(opener(case.role)))
            );
            let refusal = Refusal::Version { newest: 1, least: 1, peer_newest: newest, peer_least: least };
            opened.fails_as(OpenError::Ended(CloseReason::Refused { refusal, by: Side::Local }));
            let mut told = vec![1, 1, 0, 1, 0];
            told.extend_from_slice(&newest.to_le_bytes());
            told.extend_from_slice(&least.to_le_bytes());
            is_told(&mut peer, kind::REFUSE, &told);
            peer.socket.is_closed_by_the_other();
            scene.goes_on();
        }
    }
}

#[test]
fn a_peer_may_leave_or_complain_before_it_is_done() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let (mut peer, opened) = scene.hand_over();
        assert!(peer.send(&Frame::new(kind::GOODBYE, [0])));
        opened.fails_as(OpenError::Ended(CloseReason::Goodbye));
        for (payload, rule) in
            [(&[6, 0][..], Rule::HandshakeForm), (&[0xff, 0xff], Rule::Unknown), (&[], Rule::Unknown)]
        {
            let (mut peer, opened) = scene.hand_over();
            assert!(peer.send(&Frame::new(kind::PROTOCOL_ERROR, payload)));
            let ours = CloseReason::Protocol(ProtocolError { rule, by: Side::Local });
            opened.fails_as(OpenError::Ended(ours));
        }
        scene.goes_on();
    }
}

#[test]
fn a_frame_of_the_handshake_is_one_of_this_version() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let good = Hello::of(case.role).frame(opener(case.role));
        breaks(&scene, &[Frame { kind: 23, ..good.clone() }], Rule::FrameHeader);
        breaks(&scene, &[Frame { kind: 255, ..good.clone() }], Rule::FrameHeader);
        breaks(&scene, &[Frame { flags: 64, ..good.clone() }], Rule::FrameHeader);
        breaks(&scene, &[Frame { flags: flags::OPTIONS, ..good.clone() }], Rule::Flags);
        breaks(&scene, &[Frame { descriptors: 1, ..good.clone() }], Rule::FrameHeader);
        breaks(&scene, &[Frame { sequence: 1 << 31, ..good.clone() }], Rule::FrameHeader);
        breaks(&scene, &[Frame { connection: 1, ..good }], Rule::Connection);
    }
}
