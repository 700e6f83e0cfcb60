//! The service that is called.

use tokio::sync::Barrier;

use super::own_cpu;
use crate::bench::limit::IN_FLIGHT;

/// What there is to call.
#[transom::service]
pub(in crate::bench) trait Bench {
    /// The same bytes again.
    fn echo(&self, bytes: &[u8]) -> Vec<u8>;
    /// The sum.
    fn add(&self, a: u64, b: u64) -> u64;
    /// Answers when as many callers as are to be in flight are waiting for it.
    async fn meet(&self);
    /// The CPU time that the serving process has used, in nanoseconds.
    fn cpu_ns(&self) -> u64;
}

/// Does as little as can be done.
pub(in crate::bench) struct Mine {
    together: Barrier,
}

impl Mine {
    pub(in crate::bench) fn new() -> Self {
        Self { together: Barrier::new(IN_FLIGHT) }
    }
}

impl Bench for Mine {
    async fn meet(&self) {
        let _leader = self.together.wait().await;
    }

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
