//! The blocking driver: calling threads look into the link for themselves; no runtime anywhere.

pub(super) mod caller;
mod executor;
mod resident;
mod wait;

pub(crate) use caller::{wait_introduced, wait_open};
pub(crate) use resident::{start, start_serving};
pub(super) use wait::Waiter;
