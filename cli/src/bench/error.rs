//! Why a measurement failed.

use std::io;

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// The two sides cannot be placed as asked.
    #[error("{allowed} CPUs are too few to pin both sides; try --pin none")]
    TooFewCpus {
        /// How many there are.
        allowed: usize,
    },
    /// The other process ended.
    #[error("the other process of the measurement ended")]
    PeerGone,
    /// No session could be opened.
    #[error("connecting")]
    Connect(#[from] transom::ConnectError),
    /// The service could not be served.
    #[error("serving")]
    Serve(#[from] transom::ServeError),
    /// A call failed.
    #[error("a call")]
    Call(#[from] transom::CallError),
    /// An item was not received.
    #[error("an item")]
    Item(#[from] transom::RecvError),
    /// There are no more items.
    #[error("the items came to an end")]
    Ended,
    /// A call gave something else than it should.
    #[error("a wrong answer")]
    WrongAnswer,
    /// Calls are not carried by what was asked for.
    #[error("calls go over {found}")]
    Transport {
        /// What carries them.
        found: transom::Transport,
    },
    /// A cell could not be started.
    #[error("starting a cell")]
    Spawn(#[from] transom::SpawnError),
    /// A cell lost its host.
    #[error("a cell")]
    Cell(#[from] transom::cell::CellError),
    /// A bare ring broke.
    #[error("the bare ring")]
    Ring(#[from] transom::Corrupt),
    /// A task or thread of the measurement panicked.
    #[error("a caller panicked")]
    Panicked,
    /// The operating system refused.
    #[error("system call")]
    Io(#[from] io::Error),
    /// A row could not be written.
    #[error("a row as JSON")]
    Json(#[from] serde_json::Error),
}

impl From<rustix::io::Errno> for BenchError {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Io(errno.into())
    }
}
