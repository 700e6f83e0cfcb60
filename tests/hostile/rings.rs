//! Rings whose positions, lengths and kinds lie: before the first frame, in the middle of traffic, while this side sleeps.

use std::future::Future as _;
use std::pin::pin;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::task::{Context, Waker};

use rustix::pipe::{PipeFlags, pipe_with};
use transom::{CloseReason, Limits, Options, Rule};

use crate::common::EchoClient;
use crate::raw::{
    ALIGN, BELL, Frame, HEAD, Offer, PATIENCE, Peer, RINGS, Rings, Role, SIZE, TAIL, bind, call, flags, kind,
};
use crate::scene::{Case, Duel, Link, Scene, broken, closed, eventually};

fn each_scene() -> impl Iterator<Item = Scene> {
    Case::over(Link::Shm).map(Scene::new)
}

/// A call of `echo` with so many bytes.
fn echo(id: u64, size: usize) -> Frame {
    let mut arguments = Vec::new();
    let mut left = size;
    while left > 0x7f {
        arguments.push(u8::try_from(left & 0x7f).expect("seven bits") | 0x80);
        left >>= 7;
    }
    arguments.push(u8::try_from(left).expect("seven bits"));
    arguments.resize(arguments.len() + size, b'x');
    call::<EchoClient>("echo", id, arguments)
}

/// The hostile peer calls, and is answered.
fn calls(duel: &mut Duel, id: u64) {
    assert!(duel.theirs.send(&echo(id, 100)));
    let answer = duel.theirs.receive().expect("an answer");
    assert_eq!((answer.kind, answer.id, answer.payload.len()), (kind::RESPONSE, id, 101));
}

/// A moment in a session's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// Nothing has been called.
    Fresh,
    /// The rings have gone around.
    Traffic,
    /// This side sleeps on its bell.
    Sleep,
}

const MOMENTS: [Moment; 3] = [Moment::Fresh, Moment::Traffic, Moment::Sleep];

/// A session at that moment, `echo` bound.
fn at(scene: &Scene, moment: Moment) -> (Duel, u64) {
    let mut duel = scene.duel();
    let mut id = scene.case.role.first_id();
    assert!(duel.theirs.send(&bind::<EchoClient>("echo")));
    if moment != Moment::Fresh {
        for _ in 0..300 {
            calls(&mut duel, id);
            id += 2;
        }
        assert!(duel.theirs.rings().tail > 2 * SIZE);
    }
    if moment == Moment::Sleep {
        duel.theirs.rings().wait_for_sleep();
    }
    (duel, id)
}

/// Something to write into a ring or its words.
type Lie = fn(&mut Rings);

/// Shows these bytes as one frame of `published` bytes.
fn shows(rings: &mut Rings, bytes: &[u8], published: u64) {
    rings.put(bytes);
    rings.show(rings.tail + published);
}

/// A frame that says it has `length` bytes of payload.
fn of_length(length: u64, kind: u8) -> Vec<u8> {
    let length = Some(u32::try_from(length).expect("a length"));
    Frame { length, ..Frame::new(kind, []) }.encode()
}

#[test]
fn positions_and_lengths_that_lie_end_the_session() {
    let lies: [(&str, Rule, Lie); 15] = [
        ("the tail goes back", Rule::RingPosition, |rings| rings.show(rings.tail - ALIGN)),
        ("the tail goes back to the start", Rule::RingPosition, |rings| rings.show(0)),
        ("the tail is between frames", Rule::RingPosition, |rings| rings.show(rings.tail + ALIGN / 2)),
        ("the tail is odd", Rule::RingPosition, |rings| rings.show(rings.tail + 1)),
        ("more is published than there is", Rule::RingPosition, |rings| {
            rings.show(rings.tail + SIZE + ALIGN)
        }),
        ("the tail is at its last", Rule::RingPosition, |rings| rings.show(u64::MAX)),
        ("the tail is nearly there", Rule::RingPosition, |rings| rings.show(u64::MAX - ALIGN + 1)),
        ("the tail is negative", Rule::RingPosition, |rings| rings.show(1 << 63)),
        ("nothing", Rule::FrameLength, |rings| shows(rings, &[0; 32], ALIGN)),
        ("longer than published", Rule::FrameLength, |rings| {
            shows(rings, &of_length(ALIGN - 31, kind::CANCEL), ALIGN);
        }),
        ("far longer than published", Rule::FrameLength, |rings| {
            shows(rings, &of_length(u32::MAX.into(), kind::CALL), ALIGN);
        }),
        ("longer than half the ring", Rule::FrameLength, |rings| {
            shows(rings, &of_length(SIZE / 2 - 31, kind::CALL), SIZE / 2 + ALIGN);
        }),
        ("a pad short of the end", Rule::FrameLength, |rings| {
            let to_end = SIZE - rings.tail % SIZE;
            shows(rings, &of_length(to_end - 33, kind::PAD), to_end);
        }),
        ("a pad beyond the end", Rule::FrameLength, |rings| {
            let to_end = SIZE - rings.tail % SIZE;
            shows(rings, &of_length(to_end - 31, kind::PAD), SIZE - ALIGN);
        }),
        ("a pad that is not all there", Rule::FrameLength, |rings| {
            let to_end = SIZE - rings.tail % SIZE;
            shows(rings, &of_length(to_end - 32, kind::PAD), to_end - ALIGN);
        }),
    ];
    for scene in each_scene() {
        for moment in MOMENTS {
            for (name, rule, lie) in lies {
                println!("{}, {moment:?}: {name}", scene.case);
                let (mut duel, mut id) = at(&scene, moment);
                // All before the lie has been taken in, and the end of the ring is not just there.
                while SIZE - duel.theirs.rings().tail % SIZE < 2 * ALIGN || id == scene.case.role.first_id() {
                    calls(&mut duel, id);
                    id += 2;
                }
                if moment == Moment::Sleep {
                    duel.theirs.rings().wait_for_sleep();
                }
                lie(duel.theirs.rings());
                duel.breaks(rule);
                scene.goes_on();
            }
        }
    }
}

#[test]
fn a_frame_does_not_cross_the_end_of_the_ring() {
    for scene in each_scene() {
        let (mut duel, mut id) = at(&scene, Moment::Traffic);
        // Up to where one more of these calls would cross the end.
        while SIZE - duel.theirs.rings().tail % SIZE > 3 * ALIGN {
            calls(&mut duel, id);
            id += 2;
        }
        let to_end = SIZE - duel.theirs.rings().tail % SIZE;
        let bytes = of_length(to_end, kind::CALL);
        let rings = duel.theirs.rings();
        rings.put(&bytes[..bytes.len().min(usize::try_from(to_end).expect("few"))]);
        rings.show(rings.tail + 512);
        duel.breaks(Rule::FrameLength);
    }
}

#[test]
fn words_that_lie_before_the_hand_over_are_found_at_the_first_look() {
    for scene in each_scene() {
        for (tail, rule) in [
            (1, Rule::RingPosition),
            (8, Rule::RingPosition),
            (32, Rule::RingPosition),
            (SIZE + ALIGN, Rule::RingPosition),
            (u64::MAX, Rule::RingPosition),
            (1 << 63, Rule::RingPosition),
            (ALIGN, Rule::FrameLength),
            (SIZE / 2, Rule::FrameLength),
            (SIZE, Rule::FrameLength),
        ] {
            println!("{}: tail {tail}", scene.case);
            let (socket, opened) = scene.meet();
            let offer = Offer::new(SIZE);
            offer.half.word(TAIL).store(tail, Release);
            let mut peer = match scene.case.role {
                Role::Initiator => Peer::ask(socket, Some(offer)),
                Role::Acceptor => Peer::welcome(socket, Some(offer)),
            };
            peer.rings().wake();
            opened.breaks(rule);
            scene.goes_on();
        }
    }
}

/// Calls until this side has answers that find no room, because none is taken out; where the hostile head is then.
fn fills_up(duel: &mut Duel, mut id: u64) -> u64 {
    let rings = duel.theirs.rings();
    let head = rings.head;
    // Answers of three rings, of which one fits.
    for _ in 0..48 {
        let frame = echo(id, 4000);
        eventually("there is room for calls", || rings.write(&frame));
        id += 2;
    }
    let room = rings.other.ring();
    eventually("the ring is full", || rings.other.word(TAIL).load(Acquire) > head + room - 8192);
    rings.wait_for_sleep();
    head
}

#[test]
fn a_head_that_lies_ends_the_session_when_room_is_wanted() {
    type Head = fn(u64, u64) -> u64;
    let lies: [(&str, Head); 5] = [
        ("beyond what is published", |_, tail| tail + ALIGN),
        ("far beyond", |_, _| u64::MAX),
        ("negative", |_, _| 1 << 63),
        ("back", |head, _| head - ALIGN),
        ("back at the start", |_, _| 0),
    ];
    for scene in each_scene() {
        for (name, lie) in lies {
            println!("{}: the head is {name}", scene.case);
            let (mut duel, id) = at(&scene, Moment::Traffic);
            let head = fills_up(&mut duel, id);
            let rings = duel.theirs.rings();
            let tail = rings.other.word(TAIL).load(Acquire);
            rings.own.word(HEAD).store(lie(head, tail), Release);
            rings.wake();
            duel.ends_as(broken(Rule::RingPosition));
            drop(duel.ours);
            duel.theirs.socket.is_closed_by_the_other();
            scene.goes_on();
        }
    }
}

#[test]
fn a_lie_that_a_caller_finds_ends_the_session_too() {
    let cx = &mut Context::from_waker(Waker::noop());
    for scene in each_scene() {
        let (duel, _) = at(&scene, Moment::Sleep);
        let mut theirs = duel.theirs;
        let (echo, bytes) = (duel.ours.client::<EchoClient>(), vec![b'x'; 4000]);
        // Calls of a ring and more, which nobody takes out.
        let mut calls: Vec<_> = (0..20).map(|_| Box::pin(echo.echo(&bytes))).collect();
        for call in &mut calls {
            assert!(call.as_mut().poll(cx).is_pending());
        }
        theirs.rings().own.word(HEAD).store(u64::MAX, Release);
        let mut last = pin!(echo.echo(b"last"));
        eventually("a call finds it", || last.as_mut().poll(cx).is_ready());
        assert_eq!(closed(&duel.ours), broken(Rule::RingPosition));
        theirs.socket.is_closed_by_the_other();
        scene.goes_on();
    }
}

#[test]
fn a_peer_that_takes_nothing_out_is_told_the_end_by_the_end_of_the_link() {
    for scene in each_scene() {
        let (mut duel, id) = at(&scene, Moment::Fresh);
        fills_up(&mut duel, id);
        // There is no room for last words, and this session is still held.
        duel.ours.close();
        duel.ends_as(CloseReason::Local);
        duel.theirs.socket.is_closed_by_the_other();
        scene.goes_on();
    }
}

#[test]
fn words_of_the_bell_may_say_anything() {
    let words =
        [1, 2, 3, 4, 5, 6, 7, 1 << 32, u64::MAX, u64::MAX - 1, u64::MAX - 2, 1 << 63 | 1, 1 << 63 | 2];
    for scene in each_scene() {
        let (mut duel, mut id) = at(&scene, Moment::Traffic);
        for sleep in words {
            for space in [0, 1, u64::MAX] {
                let rings = duel.theirs.rings();
                rings.own.word(BELL).store(sleep, Release);
                rings.own.word(BELL + 8).store(space, Release);
                rings.own.word(BELL + 16).store(sleep, Relaxed);
                rings.own.short_word(RINGS).fetch_add(u32::MAX / 3, Relaxed);
                assert!(duel.theirs.send(&echo(id, 4000)));
                // Nobody rings for one who sleeps as no one can: it looks.
                let rings = duel.theirs.rings();
                let mut answer = None;
                eventually("an answer", || {
                    answer = rings.read();
                    answer.is_some()
                });
                assert_eq!(answer.expect("an answer").id, id);
                id += 2;
            }
        }
        scene.goes_on();
    }
}

#[test]
fn a_header_that_changes_after_it_was_read_changes_nothing() {
    for scene in each_scene() {
        let (mut duel, id) = at(&scene, Moment::Traffic);
        duel.theirs.rings().own.write(0, &[0xff; 4096]);
        duel.theirs.rings().own.write(BELL + 256, &[0xff; 64]);
        duel.theirs.rings().own.write(8192, &[0xff; 2048]);
        calls(&mut duel, id);
        scene.goes_on();
    }
}

#[test]
fn a_bell_that_is_closed_costs_nothing() {
    for scene in each_scene() {
        let (mut duel, _) = at(&scene, Moment::Sleep);
        let rings = duel.theirs.rings();
        let (other_end, end) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
        (rings.bell, rings.other_bell) = (other_end, end);
        scene.goes_on();
        if let Some(runtime) = scene.runtime() {
            let parks = || runtime.metrics().worker_park_unpark_count(0);
            // An odd count says that the worker sleeps. One that has nothing to do sleeps on, and one that looks at a
            // closed bell again and again never does.
            eventually("the worker sleeps", || {
                let before = parks();
                std::thread::sleep(std::time::Duration::from_millis(20));
                before % 2 == 1 && parks() == before
            });
        }
        assert!(duel.ours.is_open());
        drop(duel.theirs);
        assert_eq!(closed(&duel.ours), CloseReason::PeerDied);
    }
}

#[test]
fn a_bell_that_is_full_costs_nothing() {
    for scene in each_scene() {
        let (mut duel, id) = at(&scene, Moment::Sleep);
        let rings = duel.theirs.rings();
        let mut rung = 0;
        while let Ok(count) = rustix::io::write(&rings.other_bell, &[1; 4096]) {
            rung += count;
        }
        assert!(rung >= 512);
        calls(&mut duel, id);
        scene.goes_on();
        drop(duel.theirs);
        assert_eq!(closed(&duel.ours), CloseReason::PeerDied);
    }
}

#[test]
fn half_a_hang_up_is_one() {
    for scene in each_scene() {
        for moment in MOMENTS {
            for words in [&b""[..], b"last words that no frame names"] {
                let (duel, _) = at(&scene, moment);
                assert!(duel.theirs.socket.say(words));
                duel.theirs.socket.stop_talking();
                duel.ends_as(CloseReason::PeerDied);
            }
        }
        scene.goes_on();
    }
}

#[test]
fn frames_in_a_large_ring_are_bounded_all_the_same() {
    for case in Case::over(Link::Shm) {
        let mut limits = Limits::default();
        limits.payload = 4096;
        let scene = Scene::with(case, Options::new().limits(limits).handshake_timeout(PATIENCE));
        let mut duel = scene.duel_with(8 << 20);
        assert!(duel.theirs.send(&bind::<EchoClient>("echo")));
        assert!(duel.theirs.send(&echo(case.role.first_id(), 2 << 20)));
        duel.breaks(Rule::PayloadLimit);
        let mut duel = scene.duel_with(8 << 20);
        assert!(duel.theirs.send(&bind::<EchoClient>("echo")));
        let more = echo(case.role.first_id(), 2 << 20).with_flags(flags::MORE);
        assert!(duel.theirs.send(&more));
        duel.breaks(Rule::PayloadLimit);
        scene.goes_on();
    }
}
