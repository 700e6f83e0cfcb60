//! What was seen of the calls to one cell.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Longer calls count as this long.
const LONGEST_NS: u64 = 600_000_000_000;

/// How many calls were made, how many failed, and how long the others took.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    errors: u64,
    latency: Histogram<u64>,
}

/// Nothing was seen.
impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

impl Tally {
    pub(super) fn new() -> Self {
        let latency = Histogram::new_with_bounds(1, LONGEST_NS, 3);
        Self { errors: 0, latency: latency.expect("these bounds are those of the documentation's examples") }
    }

    /// Notes a call that was answered.
    pub(super) fn answered(&mut self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.latency.saturating_record(nanos.max(1));
    }

    /// Notes a call that failed.
    pub(super) fn failed(&mut self) {
        self.errors += 1;
    }

    /// Takes in what another one has seen.
    pub(super) fn merge(&mut self, other: &Self) {
        self.errors += other.errors;
        self.latency.add(&other.latency).expect("both have the same bounds");
    }

    /// How many calls were made.
    pub(super) fn calls(&self) -> u64 {
        self.latency.len() + self.errors
    }

    /// How many calls failed.
    pub(super) fn errors(&self) -> u64 {
        self.errors
    }

    /// The time in nanoseconds within which this part of the answers came; 0 if none did.
    pub(super) fn within(&self, quantile: f64) -> u64 {
        self.latency.value_at_quantile(quantile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_answered_calls() {
        let mut tally = Tally::new();
        assert_eq!((tally.calls(), tally.within(0.5)), (0, 0));
        (1..=100).for_each(|micros| tally.answered(Duration::from_micros(micros)));
        tally.failed();
        assert_eq!((tally.calls(), tally.errors()), (101, 1));
        let near = |quantile, micros: u64| tally.within(quantile).abs_diff(micros * 1000) <= micros;
        assert!(near(0.5, 50) && near(0.99, 99), "{} {}", tally.within(0.5), tally.within(0.99));
    }

    #[test]
    fn merging_adds() {
        let (mut one, mut other) = (Tally::new(), Tally::new());
        one.answered(Duration::ZERO);
        other.answered(Duration::MAX);
        other.failed();
        one.merge(&other);
        assert_eq!((one.calls(), one.errors()), (3, 1));
    }
}
