//! What the calls that a handler makes take over from the call that it answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::trace::TraceContext;

/// What the calls that a handler makes take over from the call that it answers, for as long as it runs: they have no more
/// time than is left to its caller, and are part of the same trace.
///
/// A client that a handler keeps for later is bound by nothing once the handler has ended.
#[derive(Debug, Default)]
pub(super) struct Scope {
    deadline: Option<Instant>,
    trace: Option<TraceContext>,
    over: AtomicBool,
}

impl Scope {
    /// That of a call, if there is anything to take over from it.
    pub(super) fn of(deadline: Option<Instant>, trace: Option<TraceContext>) -> Option<Self> {
        let is_bound = deadline.is_some() || trace.is_some();
        is_bound.then(|| Self { deadline, trace, over: AtomicBool::new(false) })
    }

    /// The handler has ended.
    pub(super) fn end(&self) {
        // All that there is to know.
        self.over.store(true, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// What a call that is made now is part of.
    pub(super) fn trace(&self) -> Option<TraceContext> {
        self.trace.filter(|_| !self.is_over())
    }

    /// When a call must be done that is made now and was to be done by `deadline`.
    pub(super) fn bound(&self, deadline: Option<Instant>) -> Option<Instant> {
        match (self.deadline, deadline) {
            _ if self.is_over() => deadline,
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            (ours, theirs) => ours.or(theirs),
        }
    }
}
