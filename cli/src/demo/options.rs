//! What to show, as given on the command line.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// The options of `transom demo`.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// What is to carry the calls; without it shared memory, or the socket where that cannot be had.
    #[arg(long, value_enum)]
    pub(super) transport: Option<Wanted>,
    /// The directory whose *.rs, *.md and *.toml files the indexer is fed; without it the Cargo workspace around the
    /// current directory.
    #[arg(long, value_name = "DIR")]
    pub(super) input: Option<PathBuf>,
    /// Print the result as one JSON object: the calls that the host made, how many failed, restarts, what carried
    /// the calls, the latency of those that were answered; readings that were streamed, and how many of them while
    /// nobody took any; bytes that came back through a tunnel; calls that went through the host, and their latency; and
    /// whether all was well.
    #[arg(long)]
    pub(super) json: bool,
    /// Show what Transom logs, the output of the cells included.
    #[arg(long, short)]
    pub(super) verbose: bool,
}

/// The options of a cell.
#[derive(Args, Debug)]
pub(crate) struct CellOptions {
    /// Which one it is.
    #[arg(value_enum)]
    pub(super) kind: CellKind,
}

/// What is to carry the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Wanted {
    /// Shared memory.
    Shm,
    /// A Unix socket.
    Unix,
}

/// The cells.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum CellKind {
    /// Adds and converts.
    Calculator,
    /// Counts words.
    Indexer,
    /// Sends readings.
    Station,
    /// Crashes on request.
    Fragile,
}

impl CellKind {
    /// Its name, on the command line and everywhere else.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Calculator => "calculator",
            Self::Indexer => "indexer",
            Self::Station => "station",
            Self::Fragile => "fragile",
        }
    }
}
