//! No wake-up is lost: a sleeper that nobody wakes is a deadlock, which loom reports.

use std::process::Command;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, AtomicU64};
use loom::thread;
use transom_loom_tests::bell::{Mode, Note, Ringer, Sleeper};
use transom_loom_tests::sync::WITHOUT_TOTAL_ORDER;
use transom_loom_tests::word::{BellLine, PeerWord, PeerWord32, RingsLine};

/// Both halves' words, and the kernel's part: a pipe that stays readable.
struct Segment {
    tail: AtomicU64,
    head: AtomicU64,
    bell: BellLine,
    rings: RingsLine,
    ringer: Ringer,
    readable: AtomicU32,
}

impl Segment {
    fn new() -> Self {
        Self {
            tail: AtomicU64::new(0),
            head: AtomicU64::new(0),
            bell: BellLine { sleep: AtomicU64::new(0), space: AtomicU64::new(0), cpu: AtomicU32::new(0) },
            rings: RingsLine { rings: AtomicU32::new(0) },
            ringer: Ringer::new(),
            readable: AtomicU32::new(0),
        }
    }

    fn ring(&self, frames: bool, head: u64) {
        let (sleep, space) = (PeerWord::new(&self.bell.sleep), PeerWord::new(&self.bell.space));
        // A futex sleeper is woken by the bump itself: it compares until the word has changed.
        if let Some(Mode::Descriptor) = self.ringer.ring(sleep, space, &self.rings, frames, head) {
            self.readable.store(1, Release);
        }
    }

    fn publish(&self) {
        self.tail.fetch_add(1, Release);
        self.ring(true, 0);
    }

    /// Sleeps. If nobody ever wakes the sleeper, loom runs out of branches and fails.
    fn wait(&self, mode: Mode, Note(note): Note) {
        match mode {
            Mode::Futex => {
                while self.rings.rings.load(Relaxed) == note {
                    thread::yield_now();
                }
            }
            Mode::Descriptor => {
                while self.readable.load(Acquire) == 0 {
                    thread::yield_now();
                }
                self.readable.store(0, Relaxed);
            }
        }
    }

    /// Sleeps until `count` publications have been seen.
    fn receive(&self, sleeper: &mut Sleeper, mode: Mode, count: u64) {
        let seen = || PeerWord::new(&self.tail).load();
        loop {
            let before = seen();
            if before >= count {
                return;
            }
            let note = sleeper.announce(&self.bell, PeerWord32::new(&self.rings.rings), mode, 0);
            if seen() == before {
                self.wait(mode, note);
            }
            sleeper.awake(&self.bell);
        }
    }
}

fn model(preemptions: usize, run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    let deep = std::env::var_os("TRANSOM_LOOM_DEEP").is_some();
    builder.preemption_bound = Some(preemptions + usize::from(deep));
    builder.check(run);
}

fn one_publisher(mode: Mode, publications: u64) {
    let segment = Arc::new(Segment::new());
    let publisher = Arc::clone(&segment);
    let thread = thread::spawn(move || {
        for _ in 0..publications {
            publisher.publish();
        }
    });
    segment.receive(&mut Sleeper::new(), mode, publications);
    thread.join().unwrap();
}

#[test]
fn a_futex_sleeper_is_woken() {
    model(3, || one_publisher(Mode::Futex, 1));
}

#[test]
fn a_sleeper_in_an_event_loop_is_woken() {
    model(3, || one_publisher(Mode::Descriptor, 1));
}

/// A publisher that is late in looking may answer the next epoch, for what has been taken already; the note of that
/// epoch must not contain its bump.
#[test]
fn a_sleeper_is_woken_again() {
    model(3, || one_publisher(Mode::Futex, 2));
}

#[test]
fn of_several_publishers_one_at_least_wakes_the_sleeper() {
    model(2, || {
        let segment = Arc::new(Segment::new());
        let threads = [(); 2].map(|()| {
            let publisher = Arc::clone(&segment);
            thread::spawn(move || publisher.publish())
        });
        segment.receive(&mut Sleeper::new(), Mode::Futex, 2);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn one_who_waits_for_space_hears_of_it() {
    model(3, || {
        let segment = Arc::new(Segment::new());
        let consumer = Arc::clone(&segment);
        let thread = thread::spawn(move || {
            for head in [8, 16] {
                consumer.head.store(head, Release);
                consumer.ring(false, head);
            }
        });
        let mut sleeper = Sleeper::new();
        let head = || PeerWord::new(&segment.head).load();
        while head() < 16 {
            let note =
                sleeper.announce(&segment.bell, PeerWord32::new(&segment.rings.rings), Mode::Futex, 16);
            if head() < 16 {
                segment.wait(Mode::Futex, note);
            }
            sleeper.awake(&segment.bell);
        }
        thread.join().unwrap();
    });
}

#[test]
fn a_time_out_loses_nothing() {
    model(2, || {
        let segment = Arc::new(Segment::new());
        let publisher = Arc::clone(&segment);
        let thread = thread::spawn(move || publisher.publish());
        let mut sleeper = Sleeper::new();
        // The first sleep times out at once, whatever has been rung; the second does not.
        sleeper.announce(&segment.bell, PeerWord32::new(&segment.rings.rings), Mode::Futex, 0);
        sleeper.awake(&segment.bell);
        segment.receive(&mut sleeper, Mode::Futex, 1);
        thread.join().unwrap();
    });
}

/// A failing model may end its process, so that those that must fail run in one of their own.
fn is_caught(name: &str) {
    let run = |name: &str| {
        let this = std::env::current_exe().expect("this test's own program");
        Command::new(this).args(["--exact", name, "--ignored"]).output().expect("a process of its own")
    };
    assert!(!run(name).status.success(), "the model does not notice what is broken");
}

#[test]
fn broken_bells_are_caught() {
    is_caught("broken_without_the_fences");
    is_caught("broken_by_a_note_taken_again");
}

#[test]
#[ignore = "must fail; run by `broken_bells_are_caught`"]
fn broken_without_the_fences() {
    WITHOUT_TOTAL_ORDER.store(true, Relaxed);
    model(3, || one_publisher(Mode::Futex, 1));
}

#[test]
#[ignore = "must fail; run by `broken_bells_are_caught`"]
fn broken_by_a_note_taken_again() {
    model(3, || {
        let segment = Arc::new(Segment::new());
        let publisher = Arc::clone(&segment);
        let thread = thread::spawn(move || publisher.publish());
        let mut sleeper = Sleeper::new();
        sleeper.announce(&segment.bell, PeerWord32::new(&segment.rings.rings), Mode::Futex, 0);
        if PeerWord::new(&segment.tail).load() == 0 {
            // The only ring of this epoch may be in this note already.
            segment.wait(Mode::Futex, Note(segment.rings.rings.load(Relaxed)));
        }
        thread.join().unwrap();
    });
}
