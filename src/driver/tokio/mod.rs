//! The tokio driver: one task for each session, which sleeps in the runtime's own event loop.

mod resident;
mod tasks;

pub(crate) use resident::{start, wait_introduced, wait_open};
