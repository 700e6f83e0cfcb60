//! Futexes shared between processes: no private flag anywhere.
//!
//! The address of a word goes to the kernel inside a structure; the word is borrowed for the call.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::thread::futex::{self, Flags, Wait, WaitFlags, WaitPtr, WaitvFlags};
use rustix::time::{ClockId, Timespec};

/// Wakes everyone who sleeps on `word`.
pub(crate) fn wake_all(word: &AtomicU32) {
    // The kernel refuses only addresses that are not mapped, and a borrowed word is.
    let _woken = futex::wake(word, Flags::empty(), i32::MAX as u32);
}

/// Sleeps while `word` holds `expected`, until woken or `timeout`. May return early for no reason.
#[cfg(feature = "limits")]
pub(crate) fn wait_one(word: &AtomicU32, expected: u32, timeout: Duration) {
    // Longer than the kernel counts is as good as for ever.
    let timeout = Timespec::try_from(timeout).ok();
    // Woken, changed, timed out, interrupted: the caller looks again either way.
    let _ended = futex::wait(word, Flags::empty(), expected, timeout.as_ref());
}

/// How a wait on two words ended, or why it could not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// Somebody woke it through the word at this place.
    Woken(usize),
    /// A word did not hold what was expected of it.
    Changed,
    /// Timed out, interrupted: look again.
    Ended,
    /// This kernel, or its filter of system calls, has no such call.
    Unsupported,
}

/// What is known of `futex_waitv` here: unknown, there, missing.
static SUPPORT: AtomicU8 = AtomicU8::new(0);
const MISSING: u8 = 2;

/// Sleeps while both words hold what is expected of them, until woken through either or `deadline`.
pub(crate) fn wait_two(words: [(&AtomicU32, u32); 2], deadline: Option<Instant>) -> Waited {
    if SUPPORT.load(Ordering::Relaxed) == MISSING {
        return Waited::Unsupported;
    }
    let waiters = words.map(|(word, expected)| {
        let mut waiter = Wait::new();
        waiter.val = u64::from(expected);
        waiter.uaddr = WaitPtr::new(word.as_ptr().cast());
        waiter.flags = WaitFlags::SIZE_U32;
        waiter
    });
    let timeout = deadline.and_then(monotonic);
    match futex::waitv(&waiters, WaitvFlags::empty(), timeout.as_ref(), ClockId::Monotonic) {
        Err(Errno::NOSYS | Errno::PERM) => {
            SUPPORT.store(MISSING, Ordering::Relaxed);
            Waited::Unsupported
        }
        Ok(place) => Waited::Woken(place),
        Err(Errno::AGAIN) => Waited::Changed,
        Err(_) => Waited::Ended,
    }
}

/// Whether [`wait_two`] works here; asks the kernel once.
pub(crate) fn can_wait_for_two() -> bool {
    let word = AtomicU32::new(0);
    // The words do not hold what is expected, so that this returns at once.
    wait_two([(&word, 1), (&word, 1)], None) != Waited::Unsupported
}

/// An instant as the absolute time of the monotonic clock; `None` if the kernel does not count that far.
fn monotonic(at: Instant) -> Option<Timespec> {
    let left = at.saturating_duration_since(Instant::now());
    let now = Duration::try_from(rustix::time::clock_gettime(ClockId::Monotonic)).ok()?;
    Timespec::try_from(now.checked_add(left)?).ok()
}
