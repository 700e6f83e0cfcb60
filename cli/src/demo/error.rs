//! What can go wrong in the demonstration. Anything does: it is over then, and not well.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use transom::cell::CellError;
use transom::{ConnectError, ConnectionError, DeathReport, ServeError, SpawnError, Transport};

/// Why the demonstration did not end well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// The current directory is in no workspace.
    #[error("{} is in no Cargo workspace; name a directory of sources with --input", .from.display())]
    NoWorkspace {
        /// The current directory.
        from: PathBuf,
    },
    /// There is nothing to read.
    #[error("no *.rs, *.md or *.toml files in {}", .directory.display())]
    NoSources {
        /// Where they were looked for.
        directory: PathBuf,
    },
    /// Sources cannot be read.
    #[error("{}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A cell is not ready.
    #[error("{cell}")]
    Spawn {
        /// Which.
        cell: &'static str,
        /// Why not.
        source: SpawnError,
    },
    /// A cell is not spoken to over what was asked for.
    #[error("{cell}: calls go over {found}, which was not asked for")]
    Transport {
        /// Which.
        cell: &'static str,
        /// What carries the calls.
        found: Transport,
    },
    /// Nobody can come to the host.
    #[error("listening for a visitor")]
    Serve(#[from] ServeError),
    /// The visitor does not come to the host.
    #[error("the visitor's session")]
    Connect(#[from] ConnectError),
    /// The visitor does not come to a cell.
    #[error("the visitor's connection")]
    Connection(#[from] ConnectionError),
    /// A call failed that should not.
    #[error("{cell}: calling `{method}`")]
    Call {
        /// The cell that was called.
        cell: &'static str,
        /// The method.
        method: &'static str,
        /// How it failed.
        source: Box<dyn Error + Send + Sync>,
    },
    /// An answer is not what it should be.
    #[error("{cell}: {question} gave {got}, not {expected}")]
    WrongAnswer {
        /// The cell that gave it.
        cell: &'static str,
        /// What was asked.
        question: String,
        /// Its answer.
        got: String,
        /// The right one.
        expected: String,
    },
    /// A cell ended otherwise than it should, or when it should not.
    #[error("{cell} should have ended {expected}: {report}")]
    Died {
        /// Which.
        cell: &'static str,
        /// How it should have ended.
        expected: &'static str,
        /// How it did.
        report: Box<DeathReport>,
    },
    /// A cell did not end.
    #[error("{cell} should have ended {expected} and did not end")]
    Lives {
        /// Which.
        cell: &'static str,
        /// How it should have ended.
        expected: &'static str,
    },
    /// Something was not given back.
    #[error("left behind: {what}")]
    Left {
        /// What.
        what: String,
    },
    /// It took too long.
    #[error("not done in time")]
    TooLong,
    /// A caller of this process panicked.
    #[error("a caller panicked")]
    Panicked(#[from] tokio::task::JoinError),
    /// The operating system refused.
    #[error("system call")]
    Io(#[from] io::Error),
    /// The result cannot be written.
    #[error("the result as JSON")]
    Json(#[from] serde_json::Error),
    /// A cell has no host, or lost it.
    #[error(transparent)]
    Cell(#[from] CellError),
}
