//! A peer spoken by hand: sockets, halves and frames, written from the tables in the documentation and with none of the
//! library's own code, so that it can lie wherever it likes.

mod frame;
mod half;
mod peer;
mod prologue;
mod socket;

pub use frame::{Frame, Hello, bind, call, flags, kind, options};
pub use half::{ALIGN, BELL, HEAD, Half, RING, RINGS, SEALS, SIZE, TAIL, header, memory, size_of_half};
pub use peer::{Offer, Peer, Rings, Role};
pub use prologue::{Prologue, stance, word};
pub use socket::{Socket, wait_for};

use std::time::Duration;

/// How long anything may take before it counts as hanging.
pub const PATIENCE: Duration = Duration::from_secs(20);
