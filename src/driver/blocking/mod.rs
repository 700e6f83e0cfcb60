//! The blocking driver: calling threads drain for themselves; no runtime anywhere.

pub(super) mod caller;
mod executor;
mod resident;

pub(crate) use caller::wait_open;
pub(crate) use resident::{start, start_serving};
