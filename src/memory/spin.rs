//! When looking again pays, and for how long.
//!
//! A wake-up costs a hundred times a hand-over, so that in a burst of messages a side looks on for a while before it
//! sleeps. When messages are far apart looking on only burns the CPU. The gap between messages is judged where the
//! clock is read anyway: when a side has looked in vain for a moment, or is about to sleep.

use std::time::{Duration, Instant};

/// Messages farther apart than this are not worth waiting for awake.
const FAR_APART: Duration = Duration::from_micros(200);
/// How long to look in vain: longer than it takes to wake a peer, lest two sides that sleep in turn go on so.
const BUDGET: Duration = Duration::from_micros(50);
/// Looks between two readings of the clock: about a microsecond.
pub(crate) const LOOKS: u32 = 64;

/// How long this side looks on in vain.
#[derive(Debug)]
pub(crate) struct SpinPolicy {
    /// Whether messages are near each other.
    near: bool,
    /// Messages since their gap was last judged, and when that was.
    messages: u32,
    judged: Option<Instant>,
    /// Since when this side has looked in vain, as far as the clock was read.
    vain: Option<Instant>,
}

impl SpinPolicy {
    /// Nothing is known yet: sleep at once.
    pub(crate) fn new() -> Self {
        Self { near: false, messages: 0, judged: None, vain: None }
    }

    /// A message came.
    #[inline]
    pub(crate) fn saw_message(&mut self) {
        self.messages = self.messages.saturating_add(1);
        self.vain = None;
    }

    /// Whether looking on pays at all.
    #[inline]
    pub(crate) fn pays(&self) -> bool {
        self.near
    }

    /// Whether to look once more after so many looks in vain. `now` is asked every [`LOOKS`].
    #[inline]
    pub(crate) fn looks_on(&mut self, looks: u32, now: impl FnOnce() -> Instant) -> bool {
        self.near && (looks == 0 || !looks.is_multiple_of(LOOKS) || self.looks_on_at(now()))
    }

    #[cold]
    fn looks_on_at(&mut self, now: Instant) -> bool {
        match self.vain {
            Some(since) => now.saturating_duration_since(since) < BUDGET,
            None => {
                self.vain = Some(now);
                self.judge(now);
                self.near
            }
        }
    }

    /// This side goes to sleep at `now`.
    pub(crate) fn about_to_sleep(&mut self, now: Instant) {
        if self.vain.take().is_none() {
            self.judge(now);
        }
    }

    /// Judges the gap between messages since it was last judged.
    fn judge(&mut self, now: Instant) {
        self.near = self
            .judged
            .is_some_and(|judged| now.saturating_duration_since(judged) / self.messages.max(1) <= FAR_APART);
        (self.messages, self.judged) = (0, Some(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sleeps at once after `messages` that were `gap` apart; whether looking on pays then.
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
    }

    #[test]
    fn who_looks_in_vain_stops_when_the_budget_is_used_up() {
        let (mut policy, mut now) = (SpinPolicy::new(), Instant::now());
        after(&mut policy, &mut now, Duration::ZERO, 1);
        assert!(after(&mut policy, &mut now, Duration::from_micros(15), 1));
        policy.saw_message();
        assert!((0..LOOKS).all(|looks| policy.looks_on(looks, || unreachable!("too soon for the clock"))));
        assert!(policy.looks_on(LOOKS, || now), "the gap is short, and the time begins");
        assert!(policy.looks_on(2 * LOOKS, || now + BUDGET - Duration::from_nanos(1)));
        assert!(!policy.looks_on(3 * LOOKS, || now + BUDGET));
        policy.about_to_sleep(now + BUDGET);
        assert!(policy.pays(), "the sleep after looking in vain judges nothing anew");
    }

    #[test]
    fn who_never_sleeps_finds_out_that_messages_have_become_rare() {
        let (mut policy, mut now) = (SpinPolicy::new(), Instant::now());
        after(&mut policy, &mut now, Duration::ZERO, 1);
        assert!(after(&mut policy, &mut now, Duration::from_micros(15), 1));
        policy.saw_message();
        now += Duration::from_millis(1);
        assert!(!policy.looks_on(LOOKS, || now));
        assert!(!policy.pays());
    }
}
