//! A single-producer single-consumer byte ring between two processes that do not trust each other.
//!
//! Positions are bytes since the beginning, 64 bits wide, and only grow; a position modulo the capacity is an
//! offset. A frame is a header of [`HEADER`] bytes and a payload, padded to [`ALIGN`], contiguous:
//!
//! ```text
//!    head                                   tail
//!     |  frame  | frame |  pad  ]  [ frame  |        positions
//!     +---------+-------+-------+  +--------+
//!                      end of the bytes: a frame never crosses it
//! ```
//!
//! A frame that would cross the end is preceded by a pad frame that fills the gap; a gap shorter than a header
//! has no room for one and is skipped by both sides. A frame with its header is at most half the ring, so
//! that it fits whatever the offset at which the ring is empty.
//!
//! The bytes and `tail` lie in the producer's half, `head` in the consumer's. Each side keeps a copy of the
//! other's position and loads it again only when the copy says that there is nothing to do.
//!
//! # Invariants
//! - I1  only the producer stores `tail`, only the consumer stores `head`; neither ever moves back.
//! - I2  `head <= tail <= head + capacity`. A side that reads a position which breaks I1 or I2 gets an error, and
//!   the ring is of no further use.
//! - I3  bytes between `head` and `tail` are the consumer's to read, all others the producer's to write.
//!
//! # Edges
//! | edge      | released by         | acquired by         | makes visible              |
//! |-----------|---------------------|---------------------|----------------------------|
//! | ring.tail | `Producer::publish` | `Consumer::refresh` | the frames below `tail`    |
//! | ring.head | `Consumer::release` | `Producer::refresh` | that the bytes below are free |

mod consumer;
mod error;
mod producer;
#[cfg(test)]
mod tests;

pub use consumer::{Consumer, ConsumerSide, Taken};
pub use error::{Corrupt, ReserveError};
pub use producer::{Producer, ProducerSide, Reservation};

pub use crate::sync::ALIGN;
use crate::sync::MIN_RING;

/// Bytes of a frame's header.
pub const HEADER: usize = 32;
/// A frame's header as the words it is read by: byte by byte it would be taken apart and put together again on its way.
pub type Words = [u64; HEADER / 8];
/// The kind byte of a pad frame.
pub const PAD: u8 = 0;
/// The most a ring may hold: offsets and lengths stay far from the limits of their types.
pub const MAX_RING: u64 = 1 << 30;

const HEADER_LENGTH: u64 = HEADER as u64;

/// A ring's capacity, checked: a power of two within the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity(u64);

impl Capacity {
    /// `bytes` as a capacity, if it is one.
    pub fn new(bytes: u64) -> Option<Self> {
        (bytes.is_power_of_two() && (MIN_RING..=MAX_RING).contains(&bytes)).then_some(Self(bytes))
    }

    /// In bytes.
    #[inline]
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// The longest payload of a frame: with its header, half the ring.
    #[inline]
    pub fn max_payload(self) -> usize {
        usize::try_from(self.0 / 2 - HEADER_LENGTH).unwrap_or(usize::MAX)
    }

    #[inline]
    fn offset(self, position: u64) -> u64 {
        position & (self.0 - 1)
    }

    /// From `position` to the end of the bytes.
    #[inline]
    fn to_end(self, position: u64) -> u64 {
        self.0 - self.offset(position)
    }
}

/// The words of a header's bytes.
#[inline]
pub fn words(header: &[u8; HEADER]) -> Words {
    let words = header.as_chunks().0;
    core::array::from_fn(|at| u64::from_le_bytes(words[at]))
}

/// What a frame with this payload takes up.
#[inline]
fn frame_size(payload: u64) -> u64 {
    (HEADER_LENGTH + payload).next_multiple_of(ALIGN)
}

/// An offset as an index; offsets are below [`MAX_RING`], which every 64-bit target can index.
#[inline]
fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
