//! Which CPU this thread runs on, and how many there are.

use std::sync::OnceLock;

/// The CPU that this thread runs on at this moment: a read of the vDSO, a few nanoseconds.
#[inline]
pub(crate) fn current() -> u32 {
    u32::try_from(rustix::thread::sched_getcpu()).unwrap_or(u32::MAX - 1)
}

/// Whether this process may run on one CPU only, when it first asked.
pub(crate) fn is_only_one() -> bool {
    static ONE: OnceLock<bool> = OnceLock::new();
    *ONE.get_or_init(|| std::thread::available_parallelism().is_ok_and(|count| count.get() == 1))
}
