//! Hosts: starting the processes of cells and looking after them.

mod logs;
mod process;
mod report;
mod restart;

pub use report::{Cause, DeathReport};
pub use restart::RestartPolicy;
