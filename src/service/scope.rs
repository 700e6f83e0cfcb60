//! What the calls that a handler makes take over from the call that it answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// What the calls that a handler makes take over from the call that it answers, for as long as it runs: they have no more
/// time than is left to its caller.
///
/// A client that a handler keeps for later is bound by nothing once the handler has ended.
#[derive(Debug, Default)]
pub(super) struct Scope {
    deadline: Option<Instant>,
    over: AtomicBool,
}

impl Scope {
    /// That of a call, if there is anything to take over from it.
    pub(super) fn of(deadline: Option<Instant>) -> Option<Self> {
        deadline.is_some().then(|| Self { deadline, over: AtomicBool::new(false) })
    }

    /// The handler has ended.
    pub(super) fn end(&self) {
        // All that there is to know.
        self.over.store(true, Ordering::Relaxed);
    }

    /// When a call must be done that is made now and was to be done by `deadline`.
    pub(super) fn bound(&self, deadline: Option<Instant>) -> Option<Instant> {
        match (self.deadline, deadline) {
            _ if self.over.load(Ordering::Relaxed) => deadline,
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            (ours, theirs) => ours.or(theirs),
        }
    }
}
