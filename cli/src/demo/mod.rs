//! `transom demo`: a host and four cells, each a process of this very program.
//!
//! ```text
//!            ┌── calculator: sums, conversions        asks the host for exchange rates
//!  host ─────┼── indexer: takes in texts, counts      asks the host for stop words, tells it how far it is
//!    ┆       ├── station: readings, a tunnel          stops when nobody takes any
//!    ┆       └── fragile: squares; crashes on request asks the host for numbers
//!  visitor, over TCP: reaches the calculator and the station through the host
//! ```
//! The host knows every right answer by other means, and ends well only if each was given, exactly the calls that
//! the crash caught failed, everybody left politely, and nothing is left behind. Each cell has a file that holds its
//! service, what the host serves it, and what happens to it.

mod calculator;
mod cells;
mod error;
mod fragile;
mod indexer;
mod leftovers;
mod options;
mod progress;
mod report;
mod run;
mod sources;
mod station;
mod tally;
mod visitor;
mod words;

pub(crate) use error::DemoError;
use options::{CellKind, Wanted};
pub(crate) use options::{CellOptions, Options};
pub(crate) use run::{run, run_cell};
