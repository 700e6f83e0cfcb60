//! Many links of one host: what each of them costs it, and a call over each.
//!
//! ```text
//!  this process                     a host, fresh: its memory is all its own        its cells
//!  links::measure() ── Wanted ───> bench-peer --job host ── Transom ──┬──────────> bench-peer --job cell
//!                   <── Figures ──                                    ├──────────> bench-peer --job cell
//!                                                                     └──── ...
//! ```

mod cell;
mod host;
mod usage;

use std::net::Shutdown;

use serde::{Deserialize, Serialize};

use super::error::BenchError;
use super::options::{Case, Job};
use super::peer::Peer;
use super::pin::Placement;

pub(super) use cell::run as run_cell;
pub(super) use host::run as run_host;

/// What a host is to measure.
#[derive(Debug, Serialize, Deserialize)]
struct Wanted {
    links: u32,
    /// Where its cells run.
    cpu: Option<usize>,
}

/// What a host found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Figures {
    pub(super) links: u32,
    /// Until all cells could be called.
    pub(super) start_ns: u64,
    /// Resident memory of the host that each link has added, private and shared.
    pub(super) memory_bytes: u64,
    /// Descriptors of the host for each link.
    pub(super) descriptors: f64,
    /// CPU time of the host and all cells together, idle.
    pub(super) idle_cpu_ns: u64,
    /// A call to each cell in turn.
    pub(super) p50_ns: u64,
    pub(super) p90_ns: u64,
    pub(super) p99_ns: u64,
}

/// Has a host of its own measure so many links.
pub(super) fn measure(case: Case, placement: Placement, links: u32) -> Result<Figures, BenchError> {
    let host = Peer::start(Job::Host, case, placement.client, None)?;
    serde_json::to_writer(&host.control, &Wanted { links, cpu: placement.server })?;
    host.control.shutdown(Shutdown::Write)?;
    // A host that fails says why itself, and no more.
    serde_json::from_reader(&host.control).map_err(|error: serde_json::Error| match error.is_eof() {
        true => BenchError::PeerGone,
        false => error.into(),
    })
}
