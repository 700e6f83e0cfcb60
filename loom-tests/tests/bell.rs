//! The bell: no wake-up is lost, whatever else happens meanwhile. A sleeper that nobody wakes is a deadlock, which
//! loom reports.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use loom::sync::Mutex;
use loom::sync::atomic::AtomicU32;
use loom::thread;
use transom_loom_tests::bell::{Mode, Note, Sleeper};
use transom_loom_tests::model::{Failure, check, fails};
use transom_loom_tests::side::Side;
use transom_loom_tests::sync::{Mutation, fence};
use transom_loom_tests::word::PeerWord;

/// A side that publishes by counting its tail up, and a side that sleeps.
struct Pair {
    from: Side,
    to: Side,
    /// The producer lock.
    published: Mutex<u64>,
    /// Whether the publishing side is known to be dead.
    lost: AtomicU32,
}

impl Pair {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            from: Side::default(),
            to: Side::default(),
            published: Mutex::new(0),
            lost: AtomicU32::new(0),
        })
    }

    fn publish(&self) {
        self.show();
        self.from.ring(&self.to, true, 0);
    }

    /// Publishes like one who goes on looking if the peer is awake, and leaves to ring it if not.
    fn publish_and_look_on(&self) {
        self.show();
        if !self.from.is_heard(&self.to) {
            self.from.ring(&self.to, true, 0);
        }
    }

    fn show(&self) {
        let mut published = self.published.lock().unwrap();
        *published += 1;
        self.from.producer.tail.store(*published, Release);
    }

    fn seen(&self) -> u64 {
        PeerWord::new(&self.from.producer.tail).load()
    }

    fn announce(&self, sleeper: &mut Sleeper, mode: Mode) -> Note {
        self.to.announce(sleeper, &self.from, mode, 0)
    }

    /// Sleeps until `count` publications have been seen, with a new epoch after each look.
    fn receive(&self, sleeper: &mut Sleeper, mode: Mode, count: u64) {
        loop {
            let before = self.seen();
            if before >= count {
                return;
            }
            let note = self.announce(sleeper, mode);
            if self.seen() == before {
                self.to.wait(&self.from, mode, note, 0);
            }
            sleeper.awake(&self.to.bell);
        }
    }
}

/// Runs `step` on another thread.
fn spawn(pair: &Arc<Pair>, step: impl FnOnce(&Pair) + 'static) -> thread::JoinHandle<()> {
    let pair = Arc::clone(pair);
    thread::spawn(move || step(&pair))
}

fn one_publisher(mode: Mode, publications: u64) {
    one_who(Pair::publish, mode, publications);
}

fn one_who_looks_on(mode: Mode, publications: u64) {
    one_who(Pair::publish_and_look_on, mode, publications);
}

fn one_who(publishes: fn(&Pair), mode: Mode, publications: u64) {
    let pair = Pair::new();
    let publisher = spawn(&pair, move |pair| (0..publications).for_each(|_| publishes(pair)));
    pair.receive(&mut Sleeper::new(), mode, publications);
    publisher.join().unwrap();
}

#[test]
fn a_futex_sleeper_is_woken() {
    check(6, || one_publisher(Mode::Futex, 1));
}

#[test]
fn a_sleeper_in_an_event_loop_is_woken() {
    check(6, || one_publisher(Mode::Descriptor, 1));
}

/// Who finds the peer awake does not ring it: then it must find by itself what there is.
#[test]
fn who_is_heard_need_not_ring() {
    check(4, || one_who_looks_on(Mode::Futex, 2));
    check(4, || one_who_looks_on(Mode::Descriptor, 2));
}

/// A publisher that is late in looking may answer the next epoch, for what has been taken already; the note of that
/// epoch must not contain its bump.
#[test]
fn a_sleeper_is_woken_again() {
    check(5, || one_publisher(Mode::Futex, 2));
}

#[test]
fn a_sleeper_in_an_event_loop_is_woken_again() {
    check(5, || one_publisher(Mode::Descriptor, 2));
}

/// Of several publishers of one side, one claims the epoch; the others must not have needed it.
#[test]
fn of_several_publishers_one_at_least_wakes_the_sleeper() {
    check(3, || {
        let pair = Pair::new();
        let publishers = [(); 2].map(|()| spawn(&pair, Pair::publish));
        pair.receive(&mut Sleeper::new(), Mode::Futex, 2);
        for publisher in publishers {
            publisher.join().unwrap();
        }
    });
}

#[test]
fn one_who_waits_for_space_hears_of_it() {
    check(6, || {
        let pair = Pair::new();
        let consumer = spawn(&pair, |pair| {
            for head in [8, 16] {
                pair.to.consumer.head.store(head, Release);
                pair.to.ring(&pair.from, false, head);
            }
        });
        let mut sleeper = Sleeper::new();
        let head = || PeerWord::new(&pair.to.consumer.head).load();
        while head() < 16 {
            let note = pair.from.announce(&mut sleeper, &pair.to, Mode::Futex, 16);
            if head() < 16 {
                pair.from.wait(&pair.to, Mode::Futex, note, 0);
            }
            sleeper.awake(&pair.from.bell);
        }
        consumer.join().unwrap();
    });
}

/// A time-out at any moment, or a peer that wakes for nothing: the sleeper announces a new epoch.
#[test]
fn a_time_out_loses_nothing() {
    check(4, || {
        let pair = Pair::new();
        let clock = spawn(&pair, |pair| pair.to.futex.wake());
        let publisher = spawn(&pair, Pair::publish);
        pair.receive(&mut Sleeper::new(), Mode::Futex, 1);
        publisher.join().unwrap();
        clock.join().unwrap();
    });
}

/// The same, but the sleeper stays in its epoch and waits again with its note.
#[test]
fn the_same_note_serves_again_in_its_epoch() {
    check(4, || {
        let pair = Pair::new();
        let clock = spawn(&pair, |pair| pair.to.futex.wake());
        let publisher = spawn(&pair, Pair::publish);
        let note = pair.announce(&mut Sleeper::new(), Mode::Futex);
        while pair.seen() == 0 {
            pair.to.wait(&pair.from, Mode::Futex, note, 0);
        }
        publisher.join().unwrap();
        clock.join().unwrap();
    });
}

/// The peer dies between publishing and ringing. Whoever watches its lifeline wakes the sleeper, who still finds what was
/// completely published.
fn a_peer_that_dies(local_is_read_in_time: bool) {
    let pair = Pair::new();
    let victim = spawn(&pair, |pair| pair.from.producer.tail.store(1, Release));
    let watcher = spawn(&pair, |pair| {
        victim.join().unwrap();
        pair.lost.store(1, Release);
        pair.to.wake_local();
    });
    let mut sleeper = Sleeper::new();
    loop {
        let local = pair.to.local();
        let before = pair.seen();
        if pair.lost.load(Acquire) == 1 {
            break;
        }
        let local = if local_is_read_in_time { local } else { pair.to.local() };
        let note = pair.announce(&mut sleeper, Mode::Futex);
        if pair.seen() == before {
            pair.to.wait(&pair.from, Mode::Futex, note, local);
        }
        sleeper.awake(&pair.to.bell);
    }
    assert_eq!(pair.seen(), 1, "the model's assertion: nothing published is missed");
    watcher.join().unwrap();
}

#[test]
fn a_death_wakes_the_sleeper_and_hides_nothing() {
    check(5, || a_peer_that_dies(true));
}

#[test]
fn broken_bells_are_caught() {
    fails("broken_without_the_fences", Failure::Deadlock);
    fails("broken_by_fences_in_no_total_order", Failure::Deadlock);
    fails("broken_by_being_heard_without_the_fences", Failure::Deadlock);
    fails("broken_by_a_note_taken_again", Failure::Deadlock);
    fails("broken_by_a_relaxed_announcement", Failure::Deadlock);
    fails("broken_by_a_local_count_read_late", Failure::Deadlock);
}

#[test]
#[ignore = "must fail; run by `broken_bells_are_caught`"]
fn broken_without_the_fences() {
    Mutation::TotalOrderRemoved.apply();
    check(3, || one_publisher(Mode::Futex, 1));
}

#[test]
#[ignore = "must fail; run by `broken_bells_are_caught`"]
fn broken_by_fences_in_no_total_order() {
    Mutation::TotalOrderWeakened.apply();
    check(3, || one_publisher(Mode::Futex, 1));
}

#[test]
#[ignore = "must fail; run by `broken_bells_are_caught`"]
fn broken_by_being_heard_without_the_fences() {
    Mutation::TotalOrderRemoved.apply();
    check(3, || one_who_looks_on(Mode::Futex, 1));
}

#[test]
#[ignore = "must fail; run by `broken_bells_are_caught`"]
fn broken_by_a_note_taken_again() {
    check(3, || {
        let pair = Pair::new();
        let publisher = spawn(&pair, Pair::publish);
        pair.announce(&mut Sleeper::new(), Mode::Futex);
        if pair.seen() == 0 {
            // The only ring of this epoch may be in this note already.
            let note = Note(pair.from.rings.rings.load(Relaxed));
            pair.to.wait(&pair.from, Mode::Futex, note, 0);
        }
        publisher.join().unwrap();
    });
}

/// A Relaxed store of `sleep` may pass the load of the note that stands before it. Loom runs the steps of a thread in
/// their order, so that this one does by hand what such a store allows.
#[test]
#[ignore = "must fail; run by `broken_bells_are_caught`"]
fn broken_by_a_relaxed_announcement() {
    check(4, || {
        let pair = Pair::new();
        let publisher = spawn(&pair, |pair| (0..2).for_each(|_| pair.publish()));
        for epoch in 1.. {
            let before = pair.seen();
            if before == 2 {
                break;
            }
            let on_the_futex = epoch << 2 | 1;
            pair.to.bell.sleep.store(on_the_futex, Relaxed);
            let note = Note(pair.from.rings.rings.load(Relaxed));
            fence(SeqCst);
            if pair.seen() == before {
                pair.to.wait(&pair.from, Mode::Futex, note, 0);
            }
            pair.to.bell.sleep.store(0, Relaxed);
        }
        publisher.join().unwrap();
    });
}

#[test]
#[ignore = "must fail; run by `broken_bells_are_caught`"]
fn broken_by_a_local_count_read_late() {
    check(3, || a_peer_that_dies(false));
}
