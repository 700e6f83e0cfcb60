//! When something is due.

use std::collections::BTreeSet;
use std::time::Instant;

use super::CallId;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The handshake must be done.
    Handshake,
    /// The calls in flight at a goodbye must be done.
    Goodbye,
    /// A caller stops waiting for the answer to this request.
    Call(CallId),
    /// The peer's caller has stopped waiting for the answer to this request.
    Request(CallId),
    /// A caller on this connection stops waiting for its turn.
    Turn(u32, u64),
    /// The peer must have been heard.
    Keepalive,
    /// Something must have happened.
    Idle,
}

/// Everything that is due, in order.
#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(Instant, Timer)>);

impl Timers {
    pub(super) fn set(&mut self, at: Instant, timer: Timer) {
        self.0.insert((at, timer));
    }

    pub(super) fn clear(&mut self, at: Option<Instant>, timer: Timer) {
        if let Some(at) = at {
            self.0.remove(&(at, timer));
        }
    }

    pub(super) fn clear_all(&mut self) {
        self.0.clear();
    }

    /// Everything that is due some time.
    #[cfg(any(fuzzing, test))]
    pub(super) fn all(&self) -> impl Iterator<Item = Timer> {
        self.0.iter().map(|(_, timer)| *timer)
    }

    /// When the next thing is due.
    #[inline]
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes the next thing that is due at `now`.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, timer)| timer)
    }
}
