//! Sessions that only call, and have neither a task nor a thread of their own: whoever calls finds what a hostile listener
//! did, whether it sleeps or has just come.

use std::sync::atomic::Ordering::{Acquire, Release};
use std::thread;
use std::time::Duration;

use transom::{CallError, CallOptions, CloseReason, ProtocolError, Rule, Side};

use crate::common::{EchoBlockingClient, EchoClient};
use crate::raw::{ALIGN, Frame, HEAD, Peer, Role, TAIL, call, flags, kind};
use crate::scene::{Api, Case, Duel, Link, Scene, broken, eventually};

/// A scene whose connectors only call.
fn scene(link: Link) -> Scene {
    let mut scene = Scene::new(Case { api: Api::Blocking, link, role: Role::Acceptor });
    scene.serves = false;
    scene
}

fn each_duel(mut run: impl FnMut(Duel)) {
    for link in [Link::Shm, Link::Unix] {
        let scene = scene(link);
        run(scene.duel());
        scene.goes_on();
    }
}

type Answer = Result<Vec<u8>, CallError>;

fn disconnected(reason: CloseReason) -> Answer {
    Err(CallError::Disconnected { reason, maybe_executed: true })
}

/// What a hostile listener does, and why the session ends then.
type Attack = (&'static str, Box<dyn Fn(&mut Peer)>, CloseReason);

/// Sends this frame.
fn sends(frame: Frame) -> Box<dyn Fn(&mut Peer)> {
    Box::new(move |peer| assert!(peer.send(&frame)))
}

fn attacks(link: Link) -> Vec<Attack> {
    let blamed = CloseReason::Protocol(ProtocolError { rule: Rule::RequestOrder, by: Side::Local });
    let answer = Frame::new(kind::RESPONSE, []).with_id(77);
    let mut attacks: Vec<Attack> = vec![
        ("an unknown kind", sends(Frame::new(99, [])), broken(Rule::FrameHeader)),
        ("an answer to nothing", sends(answer), broken(Rule::AnswerToNothing)),
        ("a second welcome", sends(Frame::new(kind::WELCOME, [])), broken(Rule::HandshakeOrder)),
        ("blame", sends(Frame::new(kind::PROTOCOL_ERROR, [12, 0])), blamed),
        ("a goodbye", sends(Frame::new(kind::GOODBYE, [1])), CloseReason::Goodbye),
        ("a hang-up", Box::new(|peer| peer.socket.stop_talking()), CloseReason::PeerDied),
    ];
    if link == Link::Shm {
        let beyond = |peer: &mut Peer| peer.rings().show(u64::MAX - ALIGN + 1);
        let nothing = |peer: &mut Peer| {
            let tail = peer.rings().tail;
            peer.rings().show(tail + ALIGN);
        };
        let words = |peer: &mut Peer| {
            assert!(peer.socket.say(b"unasked"));
            let frame = Frame::new(kind::RESPONSE, []).with_id(1).with_flags(flags::DESCRIPTORS);
            assert!(peer.send(&Frame { descriptors: 1, ..frame }));
        };
        let more: [Attack; 3] = [
            ("a tail beyond the ring", Box::new(beyond), broken(Rule::RingPosition)),
            ("a frame of nothing", Box::new(nothing), broken(Rule::FrameLength)),
            ("words on the lifeline", Box::new(words), broken(Rule::Lifeline)),
        ];
        attacks.extend(more);
    }
    attacks
}

#[test]
fn a_caller_that_sleeps_is_told() {
    for link in [Link::Shm, Link::Unix] {
        let scene = scene(link);
        for (name, attack, reason) in attacks(link) {
            println!("{}: {name}", scene.case);
            let Duel { ours, mut theirs } = scene.duel();
            let calling: Vec<_> = (0..3)
                .map(|_| {
                    let echo = ours.client::<EchoBlockingClient>();
                    thread::spawn(move || echo.echo(b"ours"))
                })
                .collect();
            let mut calls = 0;
            while calls < calling.len() {
                calls += usize::from(theirs.receive().expect("a call").kind == kind::CALL);
            }
            if let Some(rings) = &theirs.rings {
                rings.wait_for_sleep();
            }
            attack(&mut theirs);
            for calling in calling {
                assert_eq!(calling.join().expect("a call does not panic"), disconnected(reason.clone()));
            }
            assert_eq!(ours.close_reason(), Some(reason));
            scene.goes_on();
        }
    }
}

#[test]
fn a_caller_that_comes_later_is_told() {
    for link in [Link::Shm, Link::Unix] {
        let scene = scene(link);
        for (name, attack, reason) in attacks(link) {
            println!("{}: {name}", scene.case);
            let Duel { ours, mut theirs } = scene.duel();
            attack(&mut theirs);
            // Nobody has looked yet: the call is made, and then finds out.
            match ours.client::<EchoBlockingClient>().echo(b"ours") {
                Err(CallError::Disconnected { reason: found, .. }) => assert_eq!(found, reason),
                other => panic!("{other:?}"),
            }
            assert_eq!(ours.close_reason(), Some(reason));
        }
        scene.goes_on();
    }
}

#[test]
fn a_listener_that_calls_whom_serves_nothing_gets_its_answer() {
    each_duel(|Duel { ours, mut theirs }| {
        let calling = thread::spawn(move || (ours.client::<EchoBlockingClient>().echo(b"ours"), ours));
        while theirs.receive().expect("a call").kind != kind::CALL {}
        assert!(theirs.send(&call::<EchoClient>("echo", 2, *b"\x01x")));
        assert_eq!(theirs.receive(), Some(Frame::new(kind::FAILURE, [2]).with_id(2)));
        assert!(theirs.send(&Frame::new(kind::RESPONSE, *b"\x01x").with_id(1)));
        let (answer, _ours) = calling.join().expect("a call does not panic");
        assert_eq!(answer, Ok(b"x".to_vec()));
    });
}

#[test]
fn a_listener_that_never_answers_costs_a_deadline() {
    each_duel(|Duel { ours, mut theirs }| {
        let hasty = CallOptions::new().deadline(Duration::from_millis(50));
        let echo = ours.client::<EchoBlockingClient>().with(hasty);
        assert_eq!(echo.echo(b"ours"), Err(CallError::DeadlineExceeded));
        let mut kinds = Vec::new();
        while kinds.last() != Some(&kind::CANCEL) {
            kinds.push(theirs.receive().expect("a cancellation").kind);
        }
        assert_eq!(kinds, [kind::BIND, kind::CALL, kind::CANCEL]);
    });
}

#[test]
fn a_listener_that_takes_nothing_out_costs_a_deadline() {
    each_duel(|Duel { ours, theirs }| {
        let hasty = CallOptions::new().deadline(Duration::from_millis(200));
        let (echo, large) = (ours.client::<EchoBlockingClient>().with(hasty), vec![b'x'; 2 << 20]);
        for _ in 0..3 {
            assert_eq!(echo.echo(&large), Err(CallError::DeadlineExceeded));
        }
        drop(theirs);
        match echo.echo(b"late") {
            Err(CallError::Disconnected { reason: CloseReason::PeerDied, .. }) => {}
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_head_that_lies_is_found_by_who_wants_room() {
    let scene = scene(Link::Shm);
    let Duel { ours, mut theirs } = scene.duel();
    let echo = ours.client::<EchoBlockingClient>();
    let calling = thread::spawn(move || echo.echo(&vec![b'x'; 2 << 20]));
    let rings = theirs.rings();
    let room = rings.other.ring();
    eventually("the ring is full", || rings.other.word(TAIL).load(Acquire) > room / 2);
    rings.wait_for_sleep();
    rings.own.word(HEAD).store(u64::MAX, Release);
    rings.wake();
    match calling.join().expect("a call does not panic") {
        Err(CallError::Disconnected { reason, .. }) => assert_eq!(reason, broken(Rule::RingPosition)),
        other => panic!("{other:?}"),
    }
    scene.goes_on();
}

#[test]
fn a_flood_keeps_no_caller_from_its_deadline() {
    each_duel(|Duel { ours, mut theirs }| {
        // Answers to a call that was answered once: they harm nobody, and never end.
        let echo = ours.client::<EchoBlockingClient>();
        let first = thread::spawn(move || echo.echo(b"ours"));
        while theirs.receive().expect("a call").kind != kind::CALL {}
        let answer = Frame::new(kind::RESPONSE, *b"\x01x").with_id(1);
        assert!(theirs.send(&answer));
        assert_eq!(first.join().expect("a call does not panic"), Ok(b"x".to_vec()));
        let hasty = CallOptions::new().deadline(Duration::from_millis(50));
        let echo = ours.client::<EchoBlockingClient>().with(hasty);
        let calling = thread::spawn(move || echo.echo(b"ours"));
        // Once the call is over nobody takes them in any more.
        while !calling.is_finished() {
            match &mut theirs.rings {
                Some(rings) => rings.write(&answer),
                None => theirs.socket.say_now(&answer.encode()),
            };
        }
        assert_eq!(calling.join().expect("a call does not panic"), Err(CallError::DeadlineExceeded));
    });
}
