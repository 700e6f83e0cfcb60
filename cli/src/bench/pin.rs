//! Where the two sides run.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::error::BenchError;
use super::options::Pin;

/// The CPU of each side; `None` leaves it to the scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placement {
    /// Where calls are made.
    pub(super) client: Option<usize>,
    /// Where they are answered.
    pub(super) server: Option<usize>,
}

impl Placement {
    /// The placement that `pin` asks for on these CPUs.
    ///
    /// # Errors
    /// When there are too few.
    pub(super) fn new(pin: Pin, allowed: &[usize]) -> Result<Self, BenchError> {
        match (pin, allowed) {
            (Pin::None, _) => Ok(Self { client: None, server: None }),
            (Pin::Same, [only, ..]) => Ok(Self { client: Some(*only), server: Some(*only) }),
            (Pin::Apart, [first, second, ..]) => Ok(Self { client: Some(*first), server: Some(*second) }),
            (Pin::Same | Pin::Apart, _) => Err(BenchError::TooFewCpus { allowed: allowed.len() }),
        }
    }
}

/// The CPUs on which this thread may run.
pub(super) fn allowed() -> Result<Vec<usize>, BenchError> {
    let set = sched_getaffinity(None).map_err(BenchError::from)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect())
}

/// Keeps this thread, and those that it starts, on `cpu`.
pub(super) fn pin(cpu: Option<usize>) -> Result<(), BenchError> {
    let Some(cpu) = cpu else { return Ok(()) };
    if cpu >= CpuSet::MAX_CPU {
        return Err(BenchError::TooFewCpus { allowed: CpuSet::MAX_CPU });
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).map_err(BenchError::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_placed_as_asked() {
        let placed = |pin, allowed: &[usize]| {
            Placement::new(pin, allowed).ok().map(|placement| (placement.client, placement.server))
        };
        assert_eq!(placed(Pin::Apart, &[3, 5, 7]), Some((Some(3), Some(5))));
        assert_eq!(placed(Pin::Same, &[3]), Some((Some(3), Some(3))));
        assert_eq!(placed(Pin::None, &[]), Some((None, None)));
        assert_eq!(placed(Pin::Apart, &[3]), None);
        assert_eq!(placed(Pin::Same, &[]), None);
    }

    #[test]
    fn a_pinned_thread_may_run_there_alone() {
        std::thread::spawn(|| {
            let last = allowed().unwrap().pop().unwrap();
            pin(Some(last)).unwrap();
            assert_eq!(allowed().unwrap(), [last]);
        })
        .join()
        .unwrap();
    }
}
