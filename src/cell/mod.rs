//! Cells: what a process does that a [`Host`](crate::Host) has started.
//!
//! ```no_run
//! # #[transom::service]
//! # trait Index { async fn count(&self, word: String) -> u64; }
//! # struct Words;
//! # impl Index for Words { async fn count(&self, _word: String) -> u64 { 0 } }
//! #[tokio::main]
//! async fn main() -> Result<(), transom::cell::CellError> {
//!     transom::cell::run(IndexServer::new(Words)).await
//! }
//! ```
//!
//! The host's end of the socket that a cell inherits closes when the host is gone, and for no other reason. A cell does
//! not outlive that: its session ends, [`run`] returns [`CellError::HostGone`], and if the process still runs after the
//! grace (500 ms unless told otherwise) a thread that does nothing but watch aborts it, whatever its other threads are
//! doing.

mod attach;
mod attached;
mod error;
mod watcher;

pub use attach::{Builder, run_blocking};
#[cfg(feature = "tokio")]
pub use attach::{attach, run};
pub use attached::Attached;
pub use error::CellError;

/// Whether a host has started this process as a cell: one binary can be the host and all of its cells by executing
/// itself.
pub fn is_cell() -> bool {
    crate::link::is_cell()
}
