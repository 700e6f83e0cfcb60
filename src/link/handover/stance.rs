//! What a side says about shared memory when a socket is handed over.

use crate::link::{FallbackReason, PeerReason};

/// Whether a side goes through shared memory, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stance {
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
    /// Its byte in a prologue.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Memory => 0,
            Self::Socket => 1,
            Self::SwitchedOff => 2,
            Self::Refused => 3,
            Self::Attach => 4,
            Self::Unknown => u8::MAX,
        }
    }

    /// The stance with this byte.
    pub(super) fn from_code(code: u8) -> Self {
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
    pub(super) fn without(reason: Option<&FallbackReason>) -> Self {
        match reason {
            None => Self::Socket,
            Some(FallbackReason::SwitchedOff) => Self::SwitchedOff,
            Some(FallbackReason::Refused(_)) => Self::Refused,
            Some(FallbackReason::Attach(_)) => Self::Attach,
            Some(FallbackReason::Peer(_)) => Self::Unknown,
        }
    }

    /// Why the peer goes without memory, if its stance is that.
    pub(super) fn reason(self) -> FallbackReason {
        FallbackReason::Peer(match self {
            Self::Socket => PeerReason::SocketOnly,
            Self::SwitchedOff => PeerReason::SwitchedOff,
            Self::Refused => PeerReason::Refused,
            Self::Attach => PeerReason::Attach,
            Self::Memory | Self::Unknown => PeerReason::Unknown,
        })
    }
}
