//! Rounds of limit and calls in turn, and the figures that they come to.
//!
//! A machine's speed drifts while one measures. What is compared is taken in turn, so that drift meets both, and
//! medians are taken over the rounds, so that a disturbed round counts for nothing.

use std::time::Duration;

use super::error::BenchError;
use super::sample::Sample;

/// Something to be measured.
pub(super) trait Subject {
    /// Does it over and over for `time`.
    fn measure(&mut self, time: Duration) -> Result<Sample, BenchError>;

    /// Does nothing for `time`, ready to do something.
    fn idle(&mut self, time: Duration) -> Result<(), BenchError>;

    /// The CPU time that both sides have used until now.
    fn cpu(&mut self) -> Result<Duration, BenchError>;
}

/// The limit to be measured beside it.
pub(super) trait Limit {
    /// Does what the machine does at best, over and over for `time`.
    fn measure(&mut self, time: Duration) -> Result<Sample, BenchError>;
}

/// What a ratio is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    /// The medians of the latencies.
    Latency,
    /// The rates: of what is in flight together, a single one's latency says little.
    Rate,
}

/// How the rounds of one row go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// How many.
    pub(super) rounds: u32,
    /// How long all of them take together.
    pub(super) time: Duration,
    pub(super) compare: Compare,
}

/// Medians over the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Figures {
    pub(super) p50_ns: u64,
    pub(super) p90_ns: u64,
    pub(super) p99_ns: u64,
    pub(super) p999_ns: u64,
    pub(super) per_second: f64,
    /// The limit's, and how the calls compare.
    pub(super) limit: Option<(u64, f64)>,
    /// CPU time of both sides in all rounds together.
    pub(super) cpu: Duration,
}

/// The part of a round's time that is spent before it, unmeasured.
const WARM_UP: u32 = 10;

/// Measures `calls`, beside `limit` where there is one.
pub(super) fn interleave(
    plan: Plan,
    mut limit: Option<&mut (dyn Limit + '_)>,
    calls: &mut dyn Subject,
) -> Result<Figures, BenchError> {
    let sides = if limit.is_some() { 2 } else { 1 };
    let time = plan.time / (plan.rounds * sides);
    let mut limits = Vec::new();
    let mut samples = Vec::new();
    let mut cpu = Duration::ZERO;
    for _ in 0..plan.rounds {
        if let Some(limit) = &mut limit {
            limit.measure(time / WARM_UP)?;
            limits.push(limit.measure(time)?);
        }
        calls.measure(time / WARM_UP)?;
        let before = calls.cpu()?;
        samples.push(calls.measure(time)?);
        cpu += calls.cpu()?.saturating_sub(before);
    }
    Ok(figures(plan.compare, &limits, &samples, cpu))
}

fn figures(compare: Compare, limits: &[Sample], samples: &[Sample], cpu: Duration) -> Figures {
    let over = |samples: &[Sample], part| {
        median(samples.iter().map(|sample| sample.latencies.quantile(part) as f64)).unwrap_or(0.0) as u64
    };
    let ratios = samples.iter().zip(limits).map(|(sample, limit)| match compare {
        Compare::Latency => {
            sample.latencies.quantile(0.5) as f64 / limit.latencies.quantile(0.5).max(1) as f64
        }
        Compare::Rate => limit.rate() / sample.rate(),
    });
    Figures {
        p50_ns: over(samples, 0.5),
        p90_ns: over(samples, 0.9),
        p99_ns: over(samples, 0.99),
        p999_ns: over(samples, 0.999),
        per_second: median(samples.iter().map(Sample::rate)).unwrap_or(0.0),
        limit: median(ratios).map(|ratio| (over(limits, 0.5), ratio)),
        cpu,
    }
}

/// The middle one, or the mean of the two in the middle; `None` of none.
pub(super) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    if values.len().is_multiple_of(2) {
        Some((values[values.len() / 2 - 1] + upper) / 2.0)
    } else {
        Some(upper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sample::Latencies;

    fn round(nanos: u64, count: u64) -> Sample {
        let mut latencies = Latencies::new();
        (0..count).for_each(|_| latencies.record(Duration::from_nanos(nanos)));
        Sample { latencies, count, elapsed: Duration::from_secs(1) }
    }

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median(std::iter::empty()), None);
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        // The machine was twice as slow in the second round, and one more limit was disturbed.
        let limits = [round(100, 10), round(200, 5), round(1000, 1)];
        let samples = [round(150, 8), round(300, 4), round(150, 8)];
        let figures = figures(Compare::Latency, &limits, &samples, Duration::ZERO);
        assert_eq!(figures.p50_ns, 150);
        assert_eq!(figures.limit, Some((200, 1.5)));
        assert_eq!(figures.per_second, 8.0);
    }

    #[test]
    fn rates_are_compared_the_other_way_round() {
        let figures = figures(Compare::Rate, &[round(100, 30)], &[round(100, 10)], Duration::ZERO);
        assert_eq!(figures.limit, Some((100, 3.0)));
    }

    struct Script(Vec<Duration>);

    impl Limit for Script {
        fn measure(&mut self, time: Duration) -> Result<Sample, BenchError> {
            self.0.push(time);
            Ok(round(100, 1))
        }
    }

    impl Subject for Script {
        fn measure(&mut self, time: Duration) -> Result<Sample, BenchError> {
            self.0.push(time);
            Ok(round(200, 1))
        }

        fn idle(&mut self, _time: Duration) -> Result<(), BenchError> {
            Ok(())
        }

        fn cpu(&mut self) -> Result<Duration, BenchError> {
            // Warm-up and round add to what was used; only the round's share counts.
            Ok(Duration::from_millis(self.0.len() as u64))
        }
    }

    #[test]
    fn the_time_is_divided_among_rounds_and_sides() {
        let plan = Plan { rounds: 5, time: Duration::from_secs(1), compare: Compare::Latency };
        let (mut limit, mut calls) = (Script(Vec::new()), Script(Vec::new()));
        let figures = interleave(plan, Some(&mut limit), &mut calls).unwrap();
        assert_eq!(limit.0, [Duration::from_millis(10), Duration::from_millis(100)].repeat(5));
        assert_eq!(limit.0, calls.0);
        assert_eq!(figures.cpu, Duration::from_millis(5));
        assert_eq!(figures.limit, Some((100, 2.0)));
        let alone = interleave(plan, None, &mut Script(Vec::new())).unwrap();
        assert_eq!((alone.limit, alone.p50_ns), (None, 200));
    }
}
