//! What runs a side: a runtime, or nothing but threads.

use tokio::runtime::{Builder, Runtime};

use super::error::BenchError;
use super::options::Api;

/// What runs a side.
#[derive(Debug)]
pub(super) enum Driver {
    /// A tokio runtime on the current thread.
    Tokio(Runtime),
    /// Threads that block.
    Threads,
}

impl Driver {
    /// What runs a side that is written with this API.
    ///
    /// # Errors
    /// When the runtime gets no event loop.
    pub(super) fn new(api: Api) -> Result<Self, BenchError> {
        Ok(match api {
            Api::Async => Self::Tokio(Builder::new_current_thread().enable_all().build()?),
            Api::Blocking => Self::Threads,
        })
    }
}
