//! The drain role: one holder at a time, and nobody who waits for it is forgotten.

use std::sync::Arc;

use loom::sync::{Condvar, Mutex};
use loom::thread;
use transom_loom_tests::model::{Failure, check, fails};
use transom_loom_tests::role::Role;

/// What waits for the role, and can be woken once for each time that it is wanted.
struct Waiters {
    nominated: Mutex<u32>,
    woken: Condvar,
}

impl Waiters {
    fn nominate(&self) {
        *self.nominated.lock().unwrap() += 1;
        self.woken.notify_one();
    }

    fn wait(&self) {
        let mut nominated = self.nominated.lock().unwrap();
        while *nominated == 0 {
            nominated = self.woken.wait(nominated).unwrap();
        }
        *nominated -= 1;
    }
}

/// Whom a thread that gives the role up wakes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wakes {
    /// One who waits, if somebody wanted the role or if it was woken itself.
    Another,
    /// One who waits, but only if somebody wanted the role.
    WhoWantedIt,
    /// Nobody.
    Nobody,
}

/// Adds one under the role, waiting for it as a calling thread does.
fn add(role: &Role<u32>, waiters: &Waiters, wakes: Wakes) {
    let mut was_woken = false;
    loop {
        if let Some(mut held) = role.try_take() {
            *held += 1;
            let wanted = held.release().wanted() && wakes != Wakes::Nobody;
            // Of several who wait one was woken, by a release that knew of them all.
            if wanted || was_woken && wakes == Wakes::Another {
                waiters.nominate();
            }
            return;
        }
        // The failed try has left its mark: whoever holds the role nominates.
        waiters.wait();
        was_woken = true;
    }
}

fn take_turns(threads: u32, wakes: Wakes) {
    let waiters = Waiters { nominated: Mutex::new(0), woken: Condvar::new() };
    let shared = Arc::new((Role::new(0), waiters));
    let others: Vec<_> = (1..threads)
        .map(|_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || add(&shared.0, &shared.1, wakes))
        })
        .collect();
    add(&shared.0, &shared.1, wakes);
    for other in others {
        other.join().unwrap();
    }
    let held = shared.0.try_take().unwrap();
    assert_eq!(*held, threads, "the model's assertion: every turn counts");
    assert!(!held.release().wanted(), "the model's assertion: nobody is left");
}

#[test]
fn two_take_turns() {
    check(5, || take_turns(2, Wakes::Another));
}

#[test]
fn three_take_turns_and_none_is_forgotten() {
    check(4, || take_turns(3, Wakes::Another));
}

#[test]
fn broken_roles_are_caught() {
    fails("broken_by_waking_nobody", Failure::Deadlock);
    fails("broken_by_leaving_without_waking_another", Failure::Deadlock);
}

#[test]
#[ignore = "must fail; run by `broken_roles_are_caught`"]
fn broken_by_waking_nobody() {
    check(3, || take_turns(2, Wakes::Nobody));
}

#[test]
#[ignore = "must fail; run by `broken_roles_are_caught`"]
fn broken_by_leaving_without_waking_another() {
    check(3, || take_turns(3, Wakes::WhoWantedIt));
}
