//! Which CPU this thread runs on.

/// The CPU that this thread runs on at this moment: a read of the vDSO, a few nanoseconds.
#[inline]
pub(crate) fn current() -> u32 {
    u32::try_from(rustix::thread::sched_getcpu()).unwrap_or(u32::MAX - 1)
}
