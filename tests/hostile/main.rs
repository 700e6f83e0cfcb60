//! Peers that break every rule there is, against real listeners and connectors of both drivers.
//!
//! Each attack ends in the error that is its own, or does no harm; never in a crash, and never in a hang. Beside each an
//! honest client goes on calling the same listener.

#![allow(unreachable_pub)]

mod answers;
mod bells;
mod callers;
mod channels;
#[path = "../common/mod.rs"]
mod common;
mod corruption;
mod descriptors;
mod floods;
mod frames;
mod halves;
mod handlers;
mod handover;
mod handshake;
mod logs;
mod passing;
mod raw;
mod refusals;
mod rings;
mod scene;
mod silence;
mod users;
