//! One of many cells: does as little as can be done, and calls its host when told to.

use transom::{Context, cell};

use super::host::converse;
use crate::bench::calls::service::{BenchServer, Mine};
use crate::bench::driver::Driver;
use crate::bench::error::BenchError;
use crate::bench::options::PeerOptions;
use crate::bench::pin;

/// Has a cell call its host.
#[transom::service]
pub(super) trait Back {
    /// Calls the host so often with numbers, and so often with these bytes; whether all went well.
    async fn call_back(&self, cx: &Context, calls: u32, pieces: u32, bytes: &[u8]) -> bool;
}

struct Caller;

impl Back for Caller {
    async fn call_back(&self, cx: &Context, calls: u32, pieces: u32, bytes: &[u8]) -> bool {
        converse(&cx.client(), calls, pieces, bytes).await == Ok(true)
    }
}

/// The part of a cell's process, until its host goes.
pub(in crate::bench) fn run(options: &PeerOptions) -> Result<(), BenchError> {
    pin::pin(options.cpu)?;
    let service = (BenchServer::new(Mine::new()), BackServer::new(Caller));
    match Driver::new(options.case.api)? {
        Driver::Tokio(runtime) => runtime.block_on(cell::run(service))?,
        Driver::Threads => cell::run_blocking(service)?,
    }
    Ok(())
}
