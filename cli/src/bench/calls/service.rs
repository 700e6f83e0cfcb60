//! The service that is called.

use super::own_cpu;

/// What there is to call.
#[transom::service]
pub(super) trait Bench {
    /// The same bytes again.
    fn echo(&self, bytes: &[u8]) -> Vec<u8>;
    /// The sum.
    fn add(&self, a: u64, b: u64) -> u64;
    /// The CPU time that the serving process has used, in nanoseconds.
    fn cpu_ns(&self) -> u64;
}

/// Does as little as can be done.
pub(super) struct Mine;

impl Bench for Mine {
    fn echo(&self, bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }

    fn add(&self, a: u64, b: u64) -> u64 {
        a.wrapping_add(b)
    }

    fn cpu_ns(&self) -> u64 {
        u64::try_from(own_cpu().as_nanos()).unwrap_or(u64::MAX)
    }
}
