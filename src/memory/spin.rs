//! When looking again pays, and for how long.
//!
//! A wake-up costs a hundred times a hand-over, so that in a burst of messages a side looks on for a while before it
//! sleeps. When messages are far apart looking on only burns the CPU. The gap between messages is measured where
//! the clock is read anyway: when a side is about to sleep.

use std::time::{Duration, Instant};

/// Messages farther apart than this are not worth waiting for awake.
const FAR_APART: Duration = Duration::from_micros(200);
/// Looks before sleeping within a burst: some thirty microseconds.
const LOOKS: u32 = 1024;

/// How long this side looks on in vain.
#[derive(Debug)]
pub(crate) struct SpinPolicy {
    looks: u32,
    messages: u32,
    since: Option<Instant>,
}

impl SpinPolicy {
    /// Nothing is known yet: sleep at once.
    pub(crate) fn new() -> Self {
        Self { looks: 0, messages: 0, since: None }
    }

    /// A message came.
    #[inline]
    pub(crate) fn saw_message(&mut self) {
        self.messages = self.messages.saturating_add(1);
    }

    /// Whether looking on pays at all.
    #[inline]
    pub(crate) fn pays(&self) -> bool {
        self.looks != 0
    }

    /// Whether to look once more after so many looks in vain.
    #[inline]
    pub(crate) fn looks_on(&self, looked: u32) -> bool {
        looked < self.looks
    }

    /// This side goes to sleep at `now`: judges the time since it last did.
    pub(crate) fn about_to_sleep(&mut self, now: Instant) {
        let near = self
            .since
            .is_some_and(|since| now.saturating_duration_since(since) / self.messages.max(1) <= FAR_APART);
        self.looks = if near { LOOKS } else { 0 };
        self.messages = 0;
        self.since = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(policy: &mut SpinPolicy, at: &mut Instant, gap: Duration, messages: u32) -> bool {
        *at += gap * messages.max(1);
        (0..messages).for_each(|_| policy.saw_message());
        policy.about_to_sleep(*at);
        policy.pays()
    }

    #[test]
    fn bursts_are_waited_for_and_stragglers_are_not() {
        let (mut policy, mut now) = (SpinPolicy::new(), Instant::now());
        assert!(!after(&mut policy, &mut now, Duration::ZERO, 1), "the first sleep knows no gap");
        assert!(after(&mut policy, &mut now, Duration::from_micros(15), 1));
        assert!(!after(&mut policy, &mut now, Duration::from_millis(1), 1));
        // A long burst, all of it awake: the gap is that between its messages.
        assert!(after(&mut policy, &mut now, Duration::from_nanos(200), 1_000_000));
        assert!(policy.looks_on(LOOKS - 1) && !policy.looks_on(LOOKS));
    }
}
