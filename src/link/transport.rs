//! What carries a session's frames, as a user can read it.

use std::fmt;

/// What carries a session's frames.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// Rings in shared memory.
    Shm,
    /// A Unix socket.
    Unix {
        /// Why it is not shared memory, if that was asked for.
        fallback: Option<FallbackReason>,
    },
    /// A TCP socket.
    Tcp,
    /// This process's own memory.
    Mem,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shm => f.write_str("shm"),
            Self::Unix { fallback: None } => f.write_str("unix"),
            Self::Unix { fallback: Some(reason) } => write!(f, "unix ({reason})"),
            Self::Tcp => f.write_str("tcp"),
            Self::Mem => f.write_str("mem"),
        }
    }
}

/// What a side wants of a connected socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Shared memory, handed over on it. It is a Unix socket, and carries the session itself if need be.
    Shm,
    /// That it carries the session, a Unix socket.
    Unix,
    /// That it carries the session, a TCP socket.
    Tcp,
}

/// Why a session that asked for shared memory goes over its socket instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FallbackReason {
    /// `TRANSOM_SHM=off` is set in this process.
    #[error("`TRANSOM_SHM=off` is set here")]
    SwitchedOff,
    /// This system, or a filter of system calls, refused what shared memory needs.
    #[error("no shared memory here: {0}")]
    Refused(std::io::ErrorKind),
    /// The peer's memory could not be attached; the text says which check failed.
    #[error("the peer's memory cannot be attached: {0}")]
    Attach(String),
    /// The peer could not, or would not.
    #[error("the peer cannot: {0}")]
    Peer(PeerReason),
}

/// Why the peer goes without shared memory, as it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerReason {
    /// It goes over sockets only.
    #[error("it goes over sockets only")]
    SocketOnly,
    /// It is switched off there.
    #[error("it is switched off there")]
    SwitchedOff,
    /// Its system refused.
    #[error("its system refused")]
    Refused,
    /// This side's memory could not be attached there.
    #[error("this side's memory could not be attached there")]
    Attach,
    /// A reason that this version does not know.
    #[error("for a reason unknown to this version")]
    Unknown,
}
