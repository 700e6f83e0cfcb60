//! When a dead cell is started again: a policy, its growing delays, and its budget.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::endpoint::shortened;

/// Whether and how soon a cell that died is started again.
///
/// The delay before a restart doubles with each restart that lies within the window, from `first` to
/// `longest`, and is shortened by up to half at random so that cells that died together do not return
/// together. A cell that has used up its restarts in the window has failed for good.
#[derive(Clone, Debug)]
pub struct RestartPolicy {
    pub(super) mode: Mode,
    first: Duration,
    longest: Duration,
    budget: usize,
    window: Duration,
}

/// What makes a dead cell start again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nothing.
    Never,
    /// Somebody asks for it.
    OnDemand,
    /// Its death.
    Always,
}

impl RestartPolicy {
    /// The policy that never starts a cell again. The default.
    #[must_use]
    pub fn never() -> Self {
        Self::with_mode(Mode::Never)
    }

    /// The policy that starts a dead cell again once somebody waits for it to be ready.
    #[must_use]
    pub fn on_demand() -> Self {
        Self::with_mode(Mode::OnDemand)
    }

    /// The policy that starts a dead cell again on its own.
    #[must_use]
    pub fn always() -> Self {
        Self::with_mode(Mode::Always)
    }

    /// Sets the first and the longest delay. Default: 100 ms and 5 s.
    #[must_use]
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.first = first;
        self.longest = longest;
        self
    }

    /// Sets how many restarts a cell has within how long a time. Default: 5 in a minute.
    #[must_use]
    pub fn budget(mut self, restarts: usize, window: Duration) -> Self {
        self.budget = restarts;
        self.window = window;
        self
    }

    fn with_mode(mode: Mode) -> Self {
        Self {
            mode,
            first: Duration::from_millis(100),
            longest: Duration::from_secs(5),
            budget: 5,
            window: Duration::from_secs(60),
        }
    }
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self::never()
    }
}

/// The restarts that one cell has had lately.
#[derive(Debug)]
pub(super) struct Restarts {
    policy: RestartPolicy,
    recent: VecDeque<Instant>,
}

impl Restarts {
    pub(super) fn new(policy: RestartPolicy) -> Self {
        Self { policy, recent: VecDeque::new() }
    }

    pub(super) fn mode(&self) -> Mode {
        self.policy.mode
    }

    /// How many restarts lie within the window, as of the last call of [`next`](Self::next).
    pub(super) fn recent(&self) -> usize {
        self.recent.len()
    }

    /// Takes one restart out of the budget and says how long to wait before it; `None` if the budget is
    /// used up. `jitter` is any random number.
    pub(super) fn next(&mut self, now: Instant, jitter: u32) -> Option<Duration> {
        while self.recent.front().is_some_and(|&then| now.duration_since(then) >= self.policy.window) {
            self.recent.pop_front();
        }
        if self.recent.len() >= self.policy.budget {
            return None;
        }
        let doublings = u32::try_from(self.recent.len()).unwrap_or(u32::MAX).min(31);
        self.recent.push_back(now);
        let delay = self.policy.first.saturating_mul(1 << doublings).min(self.policy.longest);
        Some(shortened(delay, jitter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn restarts(budget: usize) -> Restarts {
        Restarts::new(
            RestartPolicy::always()
                .backoff(Duration::from_millis(100), SECOND)
                .budget(budget, Duration::from_secs(60)),
        )
    }

    #[test]
    fn delays_double_up_to_the_longest() {
        let mut restarts = restarts(10);
        let now = Instant::now();
        let delays: Vec<u128> =
            std::iter::from_fn(|| restarts.next(now, 0)).map(|delay| delay.as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1000, 1000, 1000, 1000, 1000, 1000]);
    }

    #[test]
    fn jitter_shortens_by_at_most_half() {
        let now = Instant::now();
        assert_eq!(restarts(1).next(now, u32::MAX), Some(Duration::from_millis(50)));
        let middle = restarts(1).next(now, u32::MAX / 2).map(|delay| delay.as_millis());
        assert_eq!(middle, Some(75));
    }

    #[test]
    fn a_delay_may_be_as_long_as_there_is() {
        let policy = RestartPolicy::always().backoff(Duration::MAX, Duration::MAX);
        let delay = |jitter| Restarts::new(policy.clone()).next(Instant::now(), jitter);
        assert_eq!(delay(0), Some(Duration::MAX));
        assert!(delay(u32::MAX) >= Some(Duration::MAX / 2 - SECOND));
    }

    #[test]
    fn the_budget_is_for_a_window_and_refills_as_it_moves() {
        let mut restarts = restarts(2);
        let start = Instant::now();
        assert!(restarts.next(start, 0).is_some());
        assert!(restarts.next(start + 30 * SECOND, 0).is_some());
        assert_eq!(restarts.next(start + 59 * SECOND, 0), None);
        // The first restart has left the window, so one remains in it: a second doubling, not a third.
        assert_eq!(restarts.next(start + 60 * SECOND, 0), Some(Duration::from_millis(200)));
        assert_eq!(restarts.next(start + 60 * SECOND, 0), None);
    }

    #[test]
    fn no_budget_means_no_restart() {
        assert_eq!(restarts(0).next(Instant::now(), 0), None);
    }
}
