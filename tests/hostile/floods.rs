//! Peers that never stop: frames without end, wake-ups for nothing, connections without a word.

use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;
use std::time::Duration;

use transom::{CallError, CallOptions, CloseReason, Connector, OpenError, Options, Session};

use crate::common::{EchoBlockingClient, EchoClient};
use crate::raw::{ALIGN, Frame, HEAD, PATIENCE, Peer, RING, Socket, call, kind};
use crate::scene::{Api, Case, Duel, Link, Scene, closed, eventually, on};

/// A ring in which a hundred thousand frames fit: there is always a next one.
const LARGE: u64 = 8 << 20;

/// A session with a peer that has some harmless frame to repeat.
fn duel(scene: &Scene) -> (Duel, Frame) {
    let mut duel = scene.duel_with(LARGE);
    let id = scene.case.role.first_id();
    let unknown = Frame { method: 12345, ..call::<EchoClient>("echo", id, []) };
    assert!(duel.theirs.send(&unknown));
    assert_eq!(duel.theirs.receive().expect("an answer").kind, kind::FAILURE);
    // As long as frames are apart: a ring can be full of them.
    let frame = Frame::new(kind::CANCEL, [0; ALIGN as usize - Frame::HEADER]).with_id(id);
    (duel, frame)
}

/// A flood that is on, and ends when this is dropped: a test that fails is not kept from it.
struct Flood {
    stop: AtomicBool,
    /// How many bytes of it this side has taken in.
    taken: AtomicU64,
}

impl Flood {
    /// Sends the frame again and again until told to stop, or nobody listens any more.
    fn run(&self, theirs: &mut Peer, frame: &Frame) {
        let frame = frame.encode();
        let Some(rings) = &mut theirs.rings else {
            let many = frame.repeat(1000);
            while !self.is_over() && theirs.socket.say(&many) {
                self.taken.fetch_add(many.len() as u64, Relaxed);
            }
            return;
        };
        let begun = rings.tail;
        eventually("all before it is taken in", || rings.other.word(HEAD).load(Acquire) == begun);
        // The same frame all over the ring: from here on a new tail is as good as a ring full of frames.
        rings.own.write(RING, &frame.repeat(usize::try_from(LARGE).expect("a size") / frame.len()));
        while !self.is_over() {
            let head = rings.other.word(HEAD).load(Acquire);
            self.taken.store(head - begun, Relaxed);
            rings.show(head + LARGE);
        }
    }

    fn is_over(&self) -> bool {
        self.stop.load(Relaxed)
    }
}

/// What happens `during` a flood of frames.
fn flooded(scene: &Scene, during: impl FnOnce(&Session, &Socket)) {
    println!("{}", scene.case);
    let (Duel { ours, mut theirs }, frame) = duel(scene);
    let lifeline = theirs.socket.another();
    let flood = Flood { stop: AtomicBool::new(false), taken: AtomicU64::new(0) };
    thread::scope(|scope| {
        scope.spawn(|| flood.run(&mut theirs, &frame));
        let _stops = Stops(&flood.stop);
        eventually("the flood is on", || flood.taken.load(Relaxed) > LARGE / 2);
        during(&ours, &lifeline);
    });
}

struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn a_flood_of_frames_keeps_nobody_else_from_their_turn() {
    for case in Case::all() {
        let scene = Scene::new(case);
        flooded(&scene, |ours, _| {
            (0..20).for_each(|_| scene.goes_on());
            assert!(ours.is_open());
        });
        scene.goes_on();
    }
}

#[test]
fn a_flood_of_frames_keeps_no_call_from_its_deadline() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let soon = Duration::from_millis(100);
        flooded(&scene, |ours, _| {
            let answer = match (case.api, scene.runtime()) {
                (Api::Async, Some(runtime)) => {
                    let echo = ours.client::<EchoClient>();
                    on(runtime, async move { echo.echo(b"ours").deadline(soon).await })
                }
                _ => {
                    ours.client::<EchoBlockingClient>().with(CallOptions::new().deadline(soon)).echo(b"ours")
                }
            };
            assert_eq!(answer, Err(CallError::DeadlineExceeded));
            scene.goes_on();
        });
    }
}

#[test]
fn a_flood_of_frames_keeps_no_task_from_its_turn_that_waits_for_an_answer() {
    for case in Case::all().filter(|case| case.api == Api::Async) {
        let scene = Scene::new(case);
        flooded(&scene, |ours, _| {
            let echo = ours.client::<EchoClient>();
            let runtime = scene.runtime().expect("it is asynchronous");
            // It waits on the one worker that everybody else needs too.
            let waiting = runtime.spawn(async move { echo.echo(b"ours").deadline(PATIENCE).await });
            (0..20).for_each(|_| scene.goes_on());
            waiting.abort();
        });
    }
}

#[test]
fn a_flood_of_frames_keeps_a_session_from_no_end() {
    for case in Case::all() {
        let scene = Scene::new(case);
        flooded(&scene, |ours, _| {
            ours.close();
            assert_eq!(closed(ours), CloseReason::Local);
        });
        scene.goes_on();
    }
}

#[test]
fn a_peer_that_hangs_up_and_floods_on_is_gone() {
    for case in Case::over(Link::Shm) {
        let scene = Scene::new(case);
        flooded(&scene, |ours, lifeline| {
            lifeline.stop_talking();
            assert_eq!(closed(ours), CloseReason::PeerDied);
            scene.goes_on();
        });
    }
}

#[test]
fn a_flood_of_wake_ups_keeps_nobody_else_from_their_turn() {
    for case in Case::over(Link::Shm) {
        let scene = Scene::new(case);
        let (mut duel, _) = duel(&scene);
        let rings = duel.theirs.rings();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    rings.wake();
                }
            });
            let _stops = Stops(&stop);
            (0..20).for_each(|_| scene.goes_on());
        });
    }
}

#[test]
fn a_crowd_that_says_nothing_keeps_others_for_no_longer_than_the_handshake_takes() {
    // More than a listener lets in at a time.
    const CROWD: usize = 200;
    for case in Case::all().filter(|case| case.role == crate::raw::Role::Initiator) {
        let scene = Scene::with(case, Options::new().handshake_timeout(Duration::from_secs(2)));
        let crowd: Vec<_> = (0..CROWD).map(|_| scene.meet()).collect();
        scene.goes_on();
        let late = Connector::new(&scene.address).options(Options::new().handshake_timeout(PATIENCE));
        let echo: EchoBlockingClient = late.connect_blocking().expect("a session in time");
        assert!(threads_that_open() < CROWD, "not everybody is let in at once");
        assert_eq!(echo.echo(b"late").expect("an answer"), b"late");
        for (socket, opened) in crowd {
            opened.fails_as(OpenError::Timeout);
            socket.is_closed_by_the_other();
        }
        scene.goes_on();
    }
}

/// The threads of this process that let somebody in, those of other tests among them.
fn threads_that_open() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").expect("the threads");
    // One that has ended meanwhile counts no more.
    let names = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim() == "transom-open").count()
}
