//! The hand-over: from a connected socket to a link.
//!
//! ```text
//!  initiator                                   acceptor
//!     | -- prologue: ask [half, bell] ---------> |   checks version, user and ticket; attaches the half
//!     | <-- prologue: welcome [half, bell] ----- |   or refuses, with a reason
//!     | -- stance -----------------------------> |   only if both prologues came with memory
//! ```
//! Frames go through shared memory only if both sides have attached the other's half; the socket is the lifeline
//! then. Otherwise they go over that same socket, and both sides know why. Over TCP nobody wants memory, and the two
//! prologues are all. Whoever calls bounds the time.

mod exchange;
mod prologue;
mod ready;
mod stance;

pub(crate) use exchange::{Terms, accept, initiate};
pub use prologue::Refused;
pub(crate) use ready::{Ready, Thread, run};
use stance::Stance;

use std::io;

use super::{Link, Peer, Transport};

/// The versions of the hand-over that a side speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The newest.
    pub newest: u16,
    /// The oldest.
    pub least: u16,
}

impl Versions {
    /// Those that this side speaks.
    pub(crate) const OWN: Self = Self { newest: 1, least: 1 };

    fn meet(self, other: Self) -> bool {
        self.newest.min(other.newest) >= self.least.max(other.least)
    }
}

impl std::fmt::Display for Versions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {}", self.least, self.newest)
    }
}

/// What a hand-over ends with.
pub(crate) struct HandedOver {
    pub(crate) link: Link,
    pub(crate) transport: Transport,
}

/// Why a hand-over failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandoverError {
    /// The peer speaks another protocol.
    #[error("the peer does not speak Transom: it began with {}", .began.escape_ascii())]
    NotTransom {
        /// What it sent first, up to eight bytes.
        began: Vec<u8>,
    },
    /// There is no version that both sides speak.
    #[error("this side speaks hand-over versions {own}, the peer {peer}")]
    Version {
        /// What this side speaks.
        own: Versions,
        /// What the peer speaks.
        peer: Versions,
    },
    /// The peer refused.
    #[error("the peer refused: {0}")]
    Refused(Refused),
    /// This side does not let the peer in.
    #[error("{peer} is not let in")]
    Forbidden {
        /// Who it is.
        peer: Peer,
    },
    /// The peer showed another ticket than the one it was to have.
    #[error("the peer showed a wrong ticket")]
    Ticket,
    /// What the peer sent has no place in a hand-over.
    #[error("the peer broke the rules of the hand-over: {0}")]
    Malformed(Malformed),
    /// The peer closed the socket before the hand-over was done.
    #[error("the peer closed the socket before the hand-over was done")]
    Closed,
    /// The operating system refused.
    #[error("hand-over: {0}")]
    Io(#[from] io::Error),
}

/// What has no place in a hand-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The acceptor asked, or the initiator answered.
    #[error("a prologue of the wrong side")]
    Side,
    /// Descriptors came where none belong, or not as many as announced.
    #[error("{found} descriptors came, {expected} were announced")]
    Descriptors {
        /// How many came.
        found: usize,
        /// How many were announced.
        expected: usize,
    },
    /// More descriptors came than any message may carry.
    #[error("too many descriptors came")]
    TooManyDescriptors,
    /// The acceptor offered memory that nobody asked for.
    #[error("memory came that nobody asked for")]
    Unasked,
}
