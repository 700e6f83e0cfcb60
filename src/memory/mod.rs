//! Shared memory: creating, sealing, mapping and checking halves; the one place where an offset becomes a view. And
//! the private memory that payloads are copied to.
//!
//! # Invariants
//! - M1  a mapped half is as long as its plan says, and stays so: its size is sealed.
//! - M2  of each half in this process, one `RingWriter` or `RingReader` exists at most.
//! - M3  once that is gone the half is not mapped any more, whoever still refers to its lines: zeros are in its place.

mod buffer;
mod half;
mod region;
mod ring;
#[cfg(feature = "limits")]
mod shared;
mod spin;
mod watch;

pub(crate) use buffer::Buffer;
pub use half::AttachError;
pub(crate) use half::{Memory, attach, create};
pub(crate) use region::{OwnRegion, PeerRegion};
pub(crate) use ring::{RingReader, RingWriter, split};
#[cfg(feature = "limits")]
pub(crate) use shared::SharedMap;
pub(crate) use spin::{LOOKS, SpinPolicy};
pub(crate) use watch::Watch;
