//! Halves that are scribbled over, any word and any byte of them, at any time after they were attached: the session ends
//! because a rule was broken, or goes on, and nothing else ever happens.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::thread;

use transom::{CloseReason, Session};

use crate::common::EchoClient;
use crate::raw::{ALIGN, BELL, Frame, HEAD, Half, RING, RINGS, Rings, SIZE, TAIL, bind, call, kind};
use crate::scene::{Case, Duel, Link, Numbers, Scene, closed, eventually};

/// Runs of each test and case: each has numbers of its own, the same every time.
const SEEDS: u64 = 100;

fn each_run(mut run: impl FnMut(&Scene, u64)) {
    for case in Case::over(Link::Shm) {
        let scene = Scene::new(case);
        for seed in 0..SEEDS {
            println!("{case}, seed {seed}");
            run(&scene, seed);
        }
        scene.goes_on();
    }
}

/// A session that has been going on for a while, and the ID of the next call.
fn begun(scene: &Scene, calls: u64) -> (Duel, u64) {
    let mut duel = scene.duel();
    let first = scene.case.role.first_id();
    assert!(duel.theirs.send(&bind::<EchoClient>("echo")));
    for at in 0..calls {
        assert!(duel.theirs.send(&echo(first + 2 * at)));
        assert_eq!(duel.theirs.receive().expect("an answer").kind, kind::RESPONSE);
    }
    (duel, first + 2 * calls)
}

fn echo(id: u64) -> Frame {
    call::<EchoClient>("echo", id, *b"\x0band an echo")
}

/// A number that is near to something, or far from everything.
fn odd_one(numbers: &mut Numbers, near: u64) -> u64 {
    match numbers.below(6) {
        0 => numbers.next(),
        1 => near.wrapping_add(numbers.below(64)),
        2 => near.wrapping_sub(numbers.below(64)),
        3 => near.wrapping_add(ALIGN * numbers.below(2 * SIZE / ALIGN)),
        4 => *numbers.pick(&[0, 1, u64::MAX, u64::MAX - 7, 1 << 63, 1 << 32]),
        _ => near ^ 1 << numbers.below(64),
    }
}

/// One lie anywhere in a half.
fn lie(half: &Half, numbers: &mut Numbers) {
    match numbers.below(8) {
        0 | 1 => {
            let word = half.word(TAIL);
            word.store(odd_one(numbers, word.load(Relaxed)), Release);
        }
        2 => {
            let word = half.word(HEAD);
            word.store(odd_one(numbers, word.load(Relaxed)), Release);
        }
        3 => half
            .word(BELL + 8 * usize::try_from(numbers.below(3)).expect("few"))
            .store(numbers.next(), Release),
        4 => drop(half.short_word(RINGS).fetch_add(numbers.next() as u32, Relaxed)),
        5 => half
            .write(usize::try_from(numbers.below(4096)).expect("an offset"), &numbers.next().to_le_bytes()),
        _ => {
            let at = usize::try_from(numbers.below(SIZE - 8)).expect("an offset");
            half.write(RING + at, &odd_one(numbers, 0).to_le_bytes());
        }
    }
}

/// After all those lies a call by the rules: it is answered, or the session has ended as it must.
fn comes_to_something(ours: &Session, rings: &mut Rings, id: u64) {
    let probe = echo(id);
    let (mut sent, mut answered) = (false, false);
    eventually("an answer or the end", || {
        sent = sent || rings.write(&probe);
        rings.wake();
        answered = answered || rings.read().is_some_and(|frame| frame.id == id);
        answered || !ours.is_open()
    });
    match ours.close_reason() {
        None | Some(CloseReason::Protocol(_) | CloseReason::Goodbye) => {}
        Some(other) => panic!("it ended as {other:?}"),
    }
}

#[test]
fn words_and_bytes_may_lie_at_any_time() {
    each_run(|scene, seed| {
        let mut numbers = Numbers(seed);
        let calls = *numbers.pick(&[0, 1, 30, 150]);
        let (mut duel, id) = begun(scene, calls);
        let rings = duel.theirs.rings();
        if numbers.below(2) == 0 {
            rings.wait_for_sleep();
        }
        for _ in 0..=numbers.below(3) {
            lie(&rings.own, &mut numbers);
        }
        if numbers.below(2) == 0 {
            rings.wake();
        }
        comes_to_something(&duel.ours, rings, id + 1000);
    });
}

#[test]
fn a_frame_may_be_anything() {
    each_run(|scene, seed| {
        let mut numbers = Numbers(seed);
        let calls = *numbers.pick(&[0, 1, 30]);
        let (mut duel, id) = begun(scene, calls);
        let rings = duel.theirs.rings();
        for _ in 0..=numbers.below(4) {
            let good = [
                echo(id),
                echo(id).with_flags(1),
                echo(id).with_flags(2),
                bind::<EchoClient>("never"),
                call::<EchoClient>("never", id, []),
                Frame::new(kind::CANCEL, []).with_id(id),
                Frame::new(kind::RESPONSE, *b"\x01x").with_id(id + 1),
                Frame::new(kind::GOODBYE, [0]),
            ];
            let mut bytes = numbers.pick(&good).encode();
            for _ in 0..=numbers.below(3) {
                // The header more often than not.
                let within = if numbers.below(3) == 0 { bytes.len() } else { Frame::HEADER };
                let at = usize::try_from(numbers.below(within as u64)).expect("an index");
                bytes[at] = if numbers.below(2) == 0 {
                    numbers.next() as u8
                } else {
                    bytes[at] ^ 1 << numbers.below(8)
                };
            }
            rings.put(&bytes);
            rings.show(rings.tail + (bytes.len() as u64).next_multiple_of(ALIGN));
        }
        comes_to_something(&duel.ours, rings, id + 1000);
    });
}

#[test]
fn everything_may_lie_all_the_time() {
    each_run(|scene, seed| {
        let mut numbers = Numbers(seed);
        let (duel, mut id) = begun(scene, 3);
        let (ours, mut theirs) = (duel.ours, duel.theirs);
        let rings = theirs.rings();
        let half = Arc::clone(&rings.own);
        let scribbling = thread::spawn(move || {
            for _ in 0..500 {
                lie(&half, &mut numbers);
                thread::yield_now();
            }
        });
        // Beside it all is by the rules.
        while !scribbling.is_finished() && ours.is_open() {
            if rings.write(&echo(id)) {
                id += 2;
            }
            rings.read();
            rings.wake();
        }
        scribbling.join().expect("it only writes");
        // Whatever it has come to by then, the end of the peer is the end.
        drop(theirs);
        match closed(&ours) {
            CloseReason::Protocol(_) | CloseReason::Goodbye | CloseReason::PeerDied => {}
            other => panic!("it ended as {other:?}"),
        }
    });
}

#[test]
fn a_lie_while_this_side_sends_is_survived() {
    each_run(|scene, seed| {
        let mut numbers = Numbers(seed);
        let (duel, _) = begun(scene, 0);
        let (ours, mut theirs) = (duel.ours, duel.theirs);
        let lifeline = theirs.socket.another();
        let rings = theirs.rings();
        let bytes = vec![b'x'; 3000];
        let echo = ours.client::<crate::common::EchoBlockingClient>();
        thread::scope(|scope| {
            let calling =
                (0..2).map(|_| scope.spawn(|| while echo.echo(&bytes).is_ok() {})).collect::<Vec<_>>();
            // Calls are taken out and answered by the rules, until the heads lie.
            for _ in 0..numbers.below(30) {
                let mut call = None;
                eventually("a call", || {
                    call = rings.read().filter(|frame| frame.kind == kind::CALL);
                    call.is_some()
                });
                let id = call.expect("a call").id;
                assert!(rings.write(&Frame::new(kind::RESPONSE, *b"\x01x").with_id(id)));
            }
            let head = rings.own.word(HEAD);
            let most = rings.other.word(TAIL).load(Acquire);
            head.store(odd_one(&mut numbers, most), Release);
            rings.own.word(TAIL).store(odd_one(&mut numbers, rings.tail), Release);
            rings.wake();
            // Those who call must not hang, whatever becomes of it: the peer leaves.
            lifeline.stop_talking();
            for calling in calling {
                calling.join().expect("a call does not panic");
            }
        });
        match closed(&ours) {
            CloseReason::Protocol(_) | CloseReason::PeerDied => {}
            other => panic!("it ended as {other:?}"),
        }
    });
}
