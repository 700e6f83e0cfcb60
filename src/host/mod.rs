//! Hosts: starting the processes of cells and looking after them.
//!
//! ```text
//!  Host ── list of its cells ──┐                        ┌── Incarnation: process, output, lifeline
//!  Cell ── orders ─────────────┴──> Supervisor (a task) ┤
//!       <── status ────────────────                     └── Restarts: whether and when there is a next one
//! ```
//! A cell is what its supervisor keeps running; an incarnation is one process of it, with a socket and a ticket of its
//! own. The supervisor alone writes the status, and is the last to go: what says that a cell is over says also
//! that its process is reaped.

mod cell;
mod error;
mod incarnation;
mod list;
mod logs;
mod process;
mod report;
mod restart;
mod spawn;
mod status;
mod supervisor;

pub use cell::{Cell, Deaths};
pub use error::SpawnError;
pub use list::Host;
pub use report::{Cause, DeathReport};
pub use restart::RestartPolicy;
pub use spawn::Spawn;
