//! Running a session on a link.
//!
//! Upwards the driver knows two traits: it calls a service through [`Dispatch`], which the service layer
//! implements, and clients call it through [`Calls`], which it implements.

mod arrived;
mod calls;
#[cfg(test)]
mod cycle;
mod dispatch;
#[cfg(test)]
mod log_tests;
mod opening;
mod owed;
#[cfg(test)]
mod sleep_tests;
mod slots;
#[cfg(test)]
mod tests;

pub(crate) use arrived::Arrived;
pub(crate) use calls::Calls;
pub(crate) use dispatch::{Dispatch, Reply, Request};
pub(crate) use opening::Opening;
pub(crate) use slots::{Handler, Slots};

pub(crate) mod blocking;
mod calling;
mod core;
mod engine;
mod frames;
mod serving;
#[cfg(feature = "tokio")]
pub(crate) mod tokio;
