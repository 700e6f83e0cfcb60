//! Why a cell is not ready.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::DeathReport;
use crate::endpoint::OpenError;

/// Why a cell is not ready, and will not be.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// No process could be started.
    #[error("the cell's program cannot be started: {0}")]
    Program(#[source] Arc<io::Error>),
    /// Its process has ended. The report has no session if it ended before it was ready.
    #[error("{0}")]
    Died(Arc<DeathReport>),
    /// Its process did not attach in time and was killed.
    #[error("not ready within {deadline:?}: {report}")]
    Late {
        /// How long it had.
        deadline: Duration,
        /// How it ended, and what it last said.
        report: Arc<DeathReport>,
    },
    /// Its process did not attach as it should, and was killed if it did not end by itself.
    #[error("{error}: {report}")]
    Open {
        /// What went wrong.
        #[source]
        error: Arc<OpenError>,
        /// How it ended, and what it last said.
        report: Arc<DeathReport>,
    },
    /// It died too often: its restart policy allows no more within its window.
    #[error("given up after {restarts} restarts: {cause}")]
    GivenUp {
        /// How many restarts it had in the window.
        restarts: usize,
        /// What ended its last incarnation.
        #[source]
        cause: Box<Self>,
    },
    /// It was shut down, or its host was, or the runtime that supervised it.
    #[error("the cell is shut down")]
    ShutDown,
}
