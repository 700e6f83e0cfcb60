//! The hand-over: from a connected Unix socket to a link.
//!
//! ```text
//!  initiator                                   acceptor
//!     | -- prologue: ask [half, bell] ---------> |   checks version, user and ticket; attaches the half
//!     | <-- prologue: welcome [half, bell] ----- |   or refuses, with a reason
//!     | -- stance -----------------------------> |   only if both prologues came with memory
//! ```
//! Frames go through shared memory only if both sides have attached the other's half; the socket is the lifeline
//! then. Otherwise they go over that same socket, and both sides know why. Whoever calls bounds the time.

mod exchange;
mod prologue;
mod ready;

pub(crate) use exchange::{Terms, accept, initiate};
pub use prologue::Refused;
pub(crate) use ready::{Ready, Thread, run};

use std::io;

use super::{FallbackReason, Link, PeerReason, Transport};

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
    /// This side does not let the peer's user in.
    #[error("user {uid} is not let in")]
    Forbidden {
        /// The peer's user.
        uid: u32,
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

/// Whether a side goes through shared memory, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stance {
    /// It does.
    Memory,
    /// It was not asked to.
    Socket,
    /// It is switched off here.
    SwitchedOff,
    /// The system refused.
    Refused,
    /// The other side's memory cannot be attached.
    Attach,
    /// For a reason that this version does not know.
    Unknown,
}

impl Stance {
    fn code(self) -> u8 {
        match self {
            Self::Memory => 0,
            Self::Socket => 1,
            Self::SwitchedOff => 2,
            Self::Refused => 3,
            Self::Attach => 4,
            Self::Unknown => u8::MAX,
        }
    }

    fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Memory,
            1 => Self::Socket,
            2 => Self::SwitchedOff,
            3 => Self::Refused,
            4 => Self::Attach,
            _ => Self::Unknown,
        }
    }

    /// The stance of a side without memory.
    fn without(reason: Option<&FallbackReason>) -> Self {
        match reason {
            None => Self::Socket,
            Some(FallbackReason::SwitchedOff) => Self::SwitchedOff,
            Some(FallbackReason::Refused(_)) => Self::Refused,
            Some(FallbackReason::Attach(_)) => Self::Attach,
            Some(FallbackReason::Peer(_)) => Self::Unknown,
        }
    }

    /// Why the peer goes without memory, if its stance is that.
    fn reason(self) -> FallbackReason {
        FallbackReason::Peer(match self {
            Self::Socket => PeerReason::SocketOnly,
            Self::SwitchedOff => PeerReason::SwitchedOff,
            Self::Refused => PeerReason::Refused,
            Self::Attach => PeerReason::Attach,
            Self::Memory | Self::Unknown => PeerReason::Unknown,
        })
    }
}
