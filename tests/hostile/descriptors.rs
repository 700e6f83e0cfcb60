//! Descriptors that nobody asked for, that are missing, or that come in another way than they should.

use std::io::{PipeReader, PipeWriter};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use transom::{CloseReason, Rule};

use crate::common::EchoClient;
use crate::raw::{Frame, Peer, bind, call, flags, kind, wait_for};
use crate::scene::{Api, Case, Duel, Link, Scene, closed, eventually};

/// A session with `echo` bound.
fn duel(scene: &Scene) -> Duel {
    let mut duel = scene.duel();
    assert!(duel.theirs.send(&bind::<EchoClient>("echo")));
    duel
}

/// A call of `echo` with one letter.
fn echo(id: u64) -> Frame {
    call::<EchoClient>("echo", id, *b"\x01x")
}

/// The call of `echo` with this ID is answered.
fn is_answered(duel: &mut Duel, id: u64) {
    let answer = duel.theirs.receive().expect("an answer");
    assert_eq!((answer.kind, answer.id, &answer.payload[..]), (kind::RESPONSE, id, &b"\x01x"[..]));
}

fn pipe() -> (PipeReader, PipeWriter) {
    std::io::pipe().expect("a pipe")
}

#[test]
fn descriptors_that_nobody_wants_are_closed_at_once() {
    for case in Case::local() {
        println!("{case}");
        let scene = Scene::new(case);
        let mut duel = duel(&scene);
        let mut id = case.role.first_id();
        for number in 0..100 {
            let count = if number % 10 == 0 { 64 } else { 1 };
            let (reader, writer) = pipe();
            assert!(duel.theirs.pass(&echo(id), &vec![writer.as_fd(); count], number));
            drop(writer);
            is_answered(&mut duel, id);
            // Its end, since nobody writes.
            wait_for(&[reader.as_fd()]);
            assert!(duel.theirs.send(&echo(id + 2)));
            is_answered(&mut duel, id + 2);
            id += 4;
        }
        scene.goes_on();
    }
}

/// A way to break the rules with one descriptor, or many.
type Lie = (&'static str, Rule, fn(&mut Peer, &Frame, BorrowedFd<'_>));

/// A frame that announces so many, in the message of this number.
fn announcing(frame: &Frame, descriptors: u16, sequence: u32) -> Frame {
    Frame { descriptors, sequence, ..frame.clone().with_flags(frame.flags | flags::DESCRIPTORS) }
}

const ANYWHERE: [Lie; 4] = [
    ("some are missing", Rule::Descriptors, |peer, frame, _| {
        peer.send(&announcing(frame, 1, 0));
    }),
    ("none are announced", Rule::Descriptors, |peer, frame, _| {
        peer.send(&announcing(frame, 0, 0));
    }),
    ("more are announced than may go", Rule::Descriptors, |peer, frame, _| {
        peer.send(&announcing(frame, 65, 0));
    }),
    ("their frame is none that carries any", Rule::Descriptors, |peer, frame, with| {
        peer.pass(&Frame { kind: kind::CANCEL, payload: Vec::new(), ..frame.clone() }, &[with], 0);
    }),
];

const ON_A_LIFELINE: [Lie; 7] = [
    ("their number is a later one", Rule::Descriptors, |peer, frame, with| {
        peer.socket.hand(&1_u32.to_le_bytes(), &[with]);
        peer.send(&announcing(frame, 1, 0));
    }),
    ("their number is an earlier one", Rule::Descriptors, |peer, frame, with| {
        peer.socket.hand(&7_u32.to_le_bytes(), &[with]);
        peer.send(&announcing(frame, 1, 8));
    }),
    ("too few come", Rule::Descriptors, |peer, frame, with| {
        peer.socket.hand(&0_u32.to_le_bytes(), &[with; 2]);
        peer.send(&announcing(frame, 3, 0));
    }),
    ("too many come", Rule::Descriptors, |peer, frame, with| {
        peer.socket.hand(&0_u32.to_le_bytes(), &[with; 64]);
        peer.send(&announcing(frame, 63, 0));
    }),
    ("their message is cut short", Rule::Lifeline, |peer, frame, with| {
        peer.socket.hand(&[0; 3], &[with]);
        peer.send(&announcing(frame, 1, 0));
    }),
    ("their message has none", Rule::Lifeline, |peer, frame, _| {
        peer.socket.hand(&[0; 4], &[]);
        peer.send(&announcing(frame, 1, 0));
    }),
    ("words come in between", Rule::Lifeline, |peer, frame, with| {
        peer.pass(frame, &[with], 0);
        peer.socket.hand(b"words", &[]);
        peer.pass(&frame.clone().with_id(frame.id + 2), &[with], 1);
    }),
];

const ON_A_STREAM: [Lie; 4] = [
    ("they come with a frame that announces none", Rule::Descriptors, |peer, frame, with| {
        peer.socket.hand(&frame.encode()[..1], &[with]);
        peer.socket.say(&frame.encode()[1..]);
    }),
    ("they come with the payload", Rule::Descriptors, |peer, frame, with| {
        let bytes = announcing(frame, 1, 0).encode();
        peer.socket.say(&bytes[..Frame::HEADER]);
        peer.socket.hand(&bytes[Frame::HEADER..], &[with]);
    }),
    ("too many come", Rule::Descriptors, |peer, frame, with| {
        let bytes = announcing(frame, 1, 0).encode();
        peer.socket.hand(&bytes[..1], &[with; 64]);
        peer.socket.say(&bytes[1..]);
    }),
    ("they come with every byte", Rule::Descriptors, |peer, frame, with| {
        // With the third byte it is enough.
        for byte in announcing(frame, 1, 0).encode().iter().take(3) {
            peer.socket.hand(&[*byte], &[with; 64]);
        }
    }),
];

#[test]
fn descriptors_that_are_not_those_announced_end_the_session() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let of_the_link = match case.link {
            Link::Shm => &ON_A_LIFELINE[..],
            Link::Unix => &ON_A_STREAM,
            // None come at all.
            Link::Tcp => &[],
        };
        for (name, rule, lie) in ANYWHERE.iter().chain(of_the_link) {
            println!("{case}: {name}");
            let mut duel = duel(&scene);
            let (reader, writer) = pipe();
            lie(&mut duel.theirs, &echo(case.role.first_id()), writer.as_fd());
            drop(writer);
            duel.breaks(*rule);
            wait_for(&[reader.as_fd()]);
            scene.goes_on();
        }
    }
}

#[test]
fn what_no_frame_names_is_nobody_s_business() {
    for case in Case::over(Link::Shm) {
        println!("{case}");
        let scene = Scene::new(case);
        let mut duel = duel(&scene);
        let (reader, writer) = pipe();
        // Numbers before those of frames, and more than would ever be passed over at a time.
        for round in 0..20_u32 {
            for number in 100 * round..100 * round + 10 {
                duel.theirs.socket.hand(&number.to_le_bytes(), &[writer.as_fd(); 3]);
            }
            let id = case.role.first_id() + 2 * u64::from(round);
            let (wanted, with) = pipe();
            assert!(duel.theirs.pass(&echo(id), &[with.as_fd()], 100 * round + 50));
            drop(with);
            is_answered(&mut duel, id);
            wait_for(&[wanted.as_fd()]);
        }
        drop(writer);
        wait_for(&[reader.as_fd()]);
        // And words, which are for nobody if no frame comes.
        assert!(duel.theirs.socket.say(b"words"));
        let id = case.role.first_id() + 40;
        assert!(duel.theirs.send(&echo(id)));
        is_answered(&mut duel, id);
        scene.goes_on();
        assert!(duel.ours.is_open());
    }
}

#[test]
fn a_flooded_lifeline_wakes_nobody() {
    for case in Case::over(Link::Shm) {
        println!("{case}");
        let scene = Scene::new(case);
        let mut duel = duel(&scene);
        let (reader, writer) = pipe();
        assert!(duel.theirs.send(&echo(case.role.first_id())));
        is_answered(&mut duel, case.role.first_id());
        if case.api == Api::Async {
            let runtime = scene.runtime().expect("it is asynchronous");
            let parks = || runtime.metrics().worker_park_unpark_count(0);
            let mut sent = 0_u32;
            // An odd count says that the worker sleeps; whatever else may wake it does so once.
            eventually("a flood leaves the worker asleep", || {
                let before = parks();
                for _ in 0..10 {
                    duel.theirs.socket.hand(&sent.to_le_bytes(), &[writer.as_fd()]);
                    sent += 1;
                }
                assert!(sent < 200, "each time something wakes it");
                std::thread::sleep(Duration::from_millis(20));
                before % 2 == 1 && parks() == before
            });
        }
        while duel.theirs.socket.say_now(b"flood!") {}
        drop(writer);
        scene.goes_on();
        assert!(duel.ours.is_open());
        assert!(duel.theirs.send(&echo(case.role.first_id() + 2)));
        is_answered(&mut duel, case.role.first_id() + 2);
        duel.theirs.socket.stop_talking();
        assert_eq!(closed(&duel.ours), CloseReason::PeerDied);
        drop(duel);
        wait_for(&[reader.as_fd()]);
    }
}
