//! The drain role: one holder at a time, and nobody who waits for it is forgotten.

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use transom_loom_tests::role::Role;

/// A waiter that can be woken once for each time it is.
struct Waiters {
    nominated: Mutex<u32>,
    woken: Condvar,
}

/// Adds one under the role, waiting for it as a calling thread does.
fn add(role: &Role<u32>, waiters: &Waiters) {
    loop {
        if let Some(mut held) = role.try_take() {
            *held += 1;
            if held.release().wanted() {
                *waiters.nominated.lock().unwrap() += 1;
                waiters.woken.notify_one();
            }
            return;
        }
        // The failed try has left its mark: whoever holds the role nominates.
        let mut nominated = waiters.nominated.lock().unwrap();
        while *nominated == 0 {
            nominated = waiters.woken.wait(nominated).unwrap();
        }
        *nominated -= 1;
    }
}

#[test]
fn two_take_turns_and_neither_is_forgotten() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let shared = Arc::new((Role::new(0), Waiters { nominated: Mutex::new(0), woken: Condvar::new() }));
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || add(&other.0, &other.1));
        add(&shared.0, &shared.1);
        thread.join().unwrap();
        let held = shared.0.try_take().unwrap();
        assert_eq!(*held, 2);
        let _nobody_is_left = held.release();
    });
}
