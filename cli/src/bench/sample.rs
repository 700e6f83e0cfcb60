//! Doing something over and over for a while, and how long each time took.
//!
//! The clock is read once for each operation: where one ends, the next begins. Calls and their limits are taken by the
//! same loops, and so pay the same for being measured.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::error::BenchError;
use super::pause::{AsyncPause, Pause};

/// The longest latency that is told from longer ones.
const LONGEST: Duration = Duration::from_secs(3600);

/// The latencies of operations, in nanoseconds and exact to a thousandth.
#[derive(Debug)]
pub(super) struct Latencies(Histogram<u64>);

/// What one round came to.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) latencies: Latencies,
    /// How many operations ended.
    pub(super) count: u64,
    /// From the first one's begin to the last one's end.
    pub(super) elapsed: Duration,
}

impl Latencies {
    pub(super) fn new() -> Self {
        let longest = u64::try_from(LONGEST.as_nanos()).unwrap_or(u64::MAX);
        // Three digits and these bounds are within what the histogram documents.
        let histogram = Histogram::new_with_bounds(1, longest, 3);
        Self(histogram.unwrap_or_else(|error| unreachable!("constant bounds: {error}")))
    }

    /// Adds one.
    #[inline]
    pub(super) fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// The latency in nanoseconds that this part of the operations did not exceed.
    pub(super) fn quantile(&self, part: f64) -> u64 {
        self.0.value_at_quantile(part)
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }
}

impl Sample {
    /// What these latencies, taken until now since `begin`, come to.
    pub(super) fn since(begin: Instant, latencies: Latencies) -> Self {
        Self { count: latencies.count(), latencies, elapsed: begin.elapsed() }
    }

    /// So many operations, of which nobody asks how long each took.
    pub(super) fn of(count: u64, elapsed: Duration) -> Self {
        Self { latencies: Latencies::new(), count, elapsed }
    }

    /// The same where each operation stands for as many `calls`.
    pub(super) fn each_of(self, calls: usize) -> Self {
        Self { count: self.count * calls as u64, ..self }
    }

    /// Operations a second.
    pub(super) fn rate(&self) -> f64 {
        self.count as f64 / self.elapsed.as_secs_f64()
    }
}

/// Does `operation` for `time`, each time after `pause`; at least once.
#[inline]
pub(super) fn sample(
    time: Duration,
    pause: Option<&Pause>,
    mut operation: impl FnMut() -> Result<(), BenchError>,
) -> Result<Sample, BenchError> {
    let mut latencies = Latencies::new();
    let begin = Instant::now();
    let mut last = begin;
    loop {
        if let Some(pause) = pause {
            pause.wait()?;
            last = Instant::now();
        }
        operation()?;
        let now = Instant::now();
        latencies.record(now - last);
        if now - begin >= time {
            return Ok(Sample { count: latencies.count(), latencies, elapsed: now - begin });
        }
        last = now;
    }
}

/// The same, for what is awaited.
#[inline]
pub(super) async fn sample_async(
    time: Duration,
    mut pause: Option<&mut AsyncPause>,
    mut operation: impl AsyncFnMut() -> Result<(), BenchError>,
) -> Result<Sample, BenchError> {
    let mut latencies = Latencies::new();
    let begin = Instant::now();
    let mut last = begin;
    loop {
        if let Some(pause) = &mut pause {
            pause.wait().await?;
            last = Instant::now();
        }
        operation().await?;
        let now = Instant::now();
        latencies.record(now - last);
        if now - begin >= time {
            return Ok(Sample { count: latencies.count(), latencies, elapsed: now - begin });
        }
        last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact_to_a_thousandth() {
        let mut latencies = Latencies::new();
        (1..=10_000).for_each(|micros| latencies.record(Duration::from_micros(micros)));
        for (part, expected) in [(0.5, 5_000_000), (0.9, 9_000_000), (0.999, 9_990_000)] {
            let found = latencies.quantile(part);
            assert!(found.abs_diff(expected) <= expected / 1000, "{part}: {found}");
        }
        assert_eq!(latencies.count(), 10_000);
    }

    #[test]
    fn what_is_too_long_counts_as_the_longest() {
        let mut latencies = Latencies::new();
        latencies.record(Duration::MAX);
        assert!(u128::from(latencies.quantile(0.5)) >= LONGEST.as_nanos());
    }

    #[test]
    fn pauses_do_not_count_and_operations_do() {
        let work = Pause::new(Duration::from_micros(200)).unwrap();
        let pause = Pause::new(Duration::from_millis(20)).unwrap();
        let mut count = 0;
        let sample = sample(Duration::from_millis(1), Some(&pause), || {
            count += 1;
            work.wait()
        })
        .unwrap();
        assert_eq!((sample.count, count), (1, 1));
        assert!(sample.latencies.quantile(0.5) >= 199_000);
        assert!(sample.elapsed >= Duration::from_millis(20));
        assert!(sample.latencies.quantile(0.5) + 19_000_000 < sample.elapsed.as_nanos() as u64);
    }

    #[tokio::test]
    async fn both_loops_end_at_the_first_error() {
        let gone = || Err(BenchError::PeerGone);
        assert!(sample(Duration::MAX, None, gone).is_err());
        assert!(sample_async(Duration::MAX, None, async || gone()).await.is_err());
    }
}
