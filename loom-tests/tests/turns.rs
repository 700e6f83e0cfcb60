//! Those who send on one channel, by turns: `src/service/channel/crowd.rs`, followed by hand. One sends at a time, and
//! whoever waits gets its turn.

use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use loom::sync::Mutex;
use loom::sync::atomic::{AtomicU8, AtomicU32};
use loom::thread;
use transom_loom_tests::kernel::Parker;
use transom_loom_tests::model::{Failure, check, fails};

const FREE: u8 = 0;
const TAKEN: u8 = 1;
const WANTED: u8 = 2;

/// What is done in another way than it should be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Broken {
    Nothing,
    /// The turn is wanted before the waker is where it is looked for.
    JoinsLate,
    /// The turn is given back without looking whether it has been wanted meanwhile.
    GivesBlindly,
    /// What was done in one turn is not shown to the next.
    GivesRelaxed,
}

struct Turns {
    broken: Broken,
    state: AtomicU8,
    waiting: Mutex<Vec<Arc<Parker>>>,
    /// How many turns there were. Only who has the turn touches it.
    count: AtomicU32,
}

impl Turns {
    fn try_take(&self) -> bool {
        self.state.compare_exchange(FREE, TAKEN, Acquire, Relaxed).is_ok()
    }

    fn join(&self, parker: &Arc<Parker>) {
        self.waiting.lock().unwrap().push(Arc::clone(parker));
    }

    /// The turn is had, or the parker will be woken.
    fn poll_take(&self, parker: &Arc<Parker>) -> bool {
        if self.try_take() {
            return true;
        }
        if self.broken != Broken::JoinsLate {
            self.join(parker);
        }
        let had = self.state.swap(WANTED, AcqRel) == FREE;
        if self.broken == Broken::JoinsLate && !had {
            self.join(parker);
        }
        had
    }

    fn give(&self) {
        let wanted = match self.broken {
            Broken::GivesBlindly => {
                let wanted = self.state.load(Acquire) == WANTED;
                self.state.store(FREE, Release);
                wanted
            }
            Broken::GivesRelaxed => self.state.swap(FREE, Relaxed) == WANTED,
            _ => self.state.swap(FREE, AcqRel) == WANTED,
        };
        if wanted {
            let waiting = std::mem::take(&mut *self.waiting.lock().unwrap());
            waiting.iter().for_each(|parker| parker.unpark());
        }
    }

    /// Waits for the turn, and has it once.
    fn once(&self) {
        let parker = Arc::default();
        while !self.poll_take(&parker) {
            parker.park();
        }
        self.count.store(self.count.load(Relaxed) + 1, Relaxed);
        self.give();
    }
}

/// Some threads have a turn each.
fn turns(threads: u32, broken: Broken) {
    let turns = Arc::new(Turns {
        broken,
        state: AtomicU8::new(FREE),
        waiting: Mutex::new(Vec::new()),
        count: AtomicU32::new(0),
    });
    let others: Vec<_> = (1..threads)
        .map(|_| {
            let turns = Arc::clone(&turns);
            thread::spawn(move || turns.once())
        })
        .collect();
    turns.once();
    for other in others {
        other.join().unwrap();
    }
    let count = turns.count.load(Relaxed);
    assert_eq!(count, threads, "the model's assertion: everybody had a turn");
}

#[test]
fn everybody_has_a_turn() {
    check(6, || turns(2, Broken::Nothing));
}

#[test]
fn everybody_of_three_has_a_turn() {
    check(3, || turns(3, Broken::Nothing));
}

#[test]
fn broken_turns_are_caught() {
    fails("broken_by_joining_late", Failure::Deadlock);
    fails("broken_by_giving_blindly", Failure::Deadlock);
    fails("broken_by_giving_without_showing", Failure::Assertion);
}

#[test]
#[ignore = "must fail; run by `broken_turns_are_caught`"]
fn broken_by_joining_late() {
    check(3, || turns(2, Broken::JoinsLate));
}

#[test]
#[ignore = "must fail; run by `broken_turns_are_caught`"]
fn broken_by_giving_blindly() {
    check(3, || turns(2, Broken::GivesBlindly));
}

#[test]
#[ignore = "must fail; run by `broken_turns_are_caught`"]
fn broken_by_giving_without_showing() {
    check(3, || turns(2, Broken::GivesRelaxed));
}
