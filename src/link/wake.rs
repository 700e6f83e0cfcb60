//! Waking threads of this side that sleep in `poll`.
//!
//! Each sleeper has an event counter of its own: a shared one could be cleared by one thread while another is
//! about to sleep on it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::sys;

thread_local! {
    /// This thread's event counter, made at its first sleep.
    static EVENT: io::Result<Arc<OwnedFd>> = sys::eventfd::create().map(Arc::new);
}

/// How often this side was woken for reasons of its own, and who sleeps until the next time.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    count: AtomicU32,
    sleepers: Mutex<Vec<Arc<OwnedFd>>>,
}

impl Wakes {
    /// How often this side was woken.
    pub(super) fn count(&self) -> u32 {
        self.count.load(Ordering::Acquire) // sync: wakes.count (read) -> Wakes::wake
    }

    /// The word that counts, to sleep on.
    pub(super) fn word(&self) -> &AtomicU32 {
        &self.count
    }

    /// Counts one more, without waking those in [`sleep`](Self::sleep).
    pub(super) fn bump(&self) {
        // sync: wakes.count (bump) -> Wakes::count
        self.count.fetch_add(1, Ordering::Release);
    }

    /// Counts one more and wakes all who sleep.
    pub(super) fn wake(&self) {
        self.bump();
        for event in self.sleepers().iter() {
            sys::eventfd::signal(event.as_fd());
        }
    }

    /// Sleeps until one of `watched` is ready (for reading, for writing), this side is woken, or `deadline`. Returns at
    /// once if it was woken since the count was `count`, and may return early for no reason.
    pub(super) fn sleep(
        &self,
        count: u32,
        watched: &[(BorrowedFd<'_>, bool, bool)],
        deadline: Option<Instant>,
    ) {
        // Without a descriptor to be woken through a thread must not sleep: it looks again at once.
        let Ok(event) = EVENT.with(|event| event.as_ref().map(Arc::clone).map_err(io::Error::kind)) else {
            return;
        };
        self.sleepers().push(Arc::clone(&event));
        // Listed first: whoever counts from here on signals too.
        if self.count() == count {
            let event = (event.as_fd(), true, false);
            match *watched {
                [] => sys::poll::wait_for_few([event], deadline),
                [one] => sys::poll::wait_for_few([event, one], deadline),
                [one, two] => sys::poll::wait_for_few([event, one, two], deadline),
                _ => sys::poll::wait(&[&[event], watched].concat(), deadline),
            }
        }
        self.sleepers().retain(|listed| !Arc::ptr_eq(listed, &event));
        sys::eventfd::clear(event.as_fd());
    }

    fn sleepers(&self) -> MutexGuard<'_, Vec<Arc<OwnedFd>>> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sleeper_is_woken_each_time() {
        let wakes = Wakes::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while wakes.count() < 1000 {
                        let count = wakes.count();
                        if count < 1000 {
                            wakes.sleep(count, &[], None);
                        }
                    }
                });
            }
            for _ in 0..1000 {
                wakes.wake();
                std::thread::yield_now();
            }
        });
        assert!(wakes.sleepers().is_empty());
    }
}
