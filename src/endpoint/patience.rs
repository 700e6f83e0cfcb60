//! How long a service that is not there is waited for, and when it is looked for again.

use std::time::{Duration, Instant};

use super::ConnectError;

/// The first pause between two attempts; each is twice as long as the one before.
const FIRST: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(5);

/// How long a service that is not there is still waited for.
#[derive(Debug)]
pub(super) struct Patience {
    end: End,
    pause: Duration,
}

/// When no further attempt is made.
#[derive(Clone, Copy, Debug)]
enum End {
    /// After the first.
    AtOnce,
    /// When this time has come.
    At(Instant),
    Never,
}

impl Patience {
    /// Waits for so long from `now` on, if at all.
    pub(super) fn new(total: Option<Duration>, now: Instant) -> Self {
        let end = match total {
            None => End::AtOnce,
            // More time than clocks count is all the time there is.
            Some(total) => now.checked_add(total).map_or(End::Never, End::At),
        };
        Self { end, pause: FIRST }
    }

    /// When an attempt must be done that by itself may take until `until`.
    pub(super) fn cap(&self, until: Option<Instant>) -> Option<Instant> {
        match self.end {
            End::At(end) => Some(until.map_or(end, |until| until.min(end))),
            End::AtOnce | End::Never => until,
        }
    }

    /// How long to wait before the next attempt, after one that failed with `error`; `None` if there is to be none. `random`
    /// is any number: those who wait for the same service do not all come at once.
    pub(super) fn pause(&mut self, error: &ConnectError, now: Instant, random: u32) -> Option<Duration> {
        let left = match self.end {
            End::AtOnce => Duration::ZERO,
            End::At(end) => end.saturating_duration_since(now),
            End::Never => Duration::MAX,
        };
        if left.is_zero() || !error.can_retry() {
            return None;
        }
        let pause = self.pause;
        self.pause = (2 * pause).min(LONGEST);
        Some(shortened(pause, random).min(left))
    }
}

/// A pause, shortened by up to half; `random` is any number.
pub(crate) fn shortened(pause: Duration, random: u32) -> Duration {
    pause - pause.mul_f64(f64::from(random) / f64::from(u32::MAX) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::OpenError;
    use crate::session::BadLimit;

    const SECOND: Duration = Duration::from_secs(1);

    fn absent() -> ConnectError {
        ConnectError::Absent { address: "mem:x".to_owned() }
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_end_with_the_time_there_is() {
        let begun = Instant::now();
        let (mut patience, mut now) = (Patience::new(Some(20 * SECOND), begun), begun);
        let mut pauses = Vec::new();
        while let Some(pause) = patience.pause(&absent(), now, 0) {
            pauses.push(pause.as_millis());
            now += pause;
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 3700]);
        assert_eq!(now, begun + 20 * SECOND);
    }

    #[test]
    fn an_attempt_takes_no_longer_than_there_is_time() {
        let now = Instant::now();
        let (soon, late) = (now + SECOND, now + 3 * SECOND);
        let patience = Patience::new(Some(2 * SECOND), now);
        assert_eq!(patience.cap(Some(soon)), Some(soon));
        assert_eq!(patience.cap(Some(late)), Some(now + 2 * SECOND));
        assert_eq!(patience.cap(None), Some(now + 2 * SECOND));
        for patience in [Patience::new(None, now), Patience::new(Some(Duration::MAX), now)] {
            assert_eq!(patience.cap(Some(late)), Some(late));
            assert_eq!(patience.cap(None), None);
        }
    }

    #[test]
    fn what_stays_as_it_is_is_not_waited_for() {
        let now = Instant::now();
        let senseless = OpenError::Limit(BadLimit::Window);
        let senseless = ConnectError::Open { address: "mem:x".to_owned(), source: senseless };
        assert_eq!(Patience::new(Some(SECOND), now).pause(&senseless, now, 0), None);
        assert_eq!(Patience::new(None, now).pause(&absent(), now, 0), None);
        assert!(Patience::new(Some(Duration::MAX), now).pause(&absent(), now, 0).is_some());
    }

    #[test]
    fn a_pause_is_shortened_by_at_most_half() {
        assert_eq!(shortened(SECOND, 0), SECOND);
        assert_eq!(shortened(SECOND, u32::MAX), SECOND / 2);
        assert_eq!(shortened(SECOND, u32::MAX / 2).as_millis(), 750);
        assert!(shortened(Duration::MAX, u32::MAX) >= Duration::MAX / 2 - SECOND);
    }
}
