//! Why sessions do not come about.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::link::{AddressError, HandoverError, Refused};
use crate::session::{BadLimit, CloseReason, RejectReason, Rejection, Side};

/// Why a session could not be opened with a peer that was reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The hand-over of the socket failed.
    #[error(transparent)]
    Handover(#[from] HandoverError),
    /// A limit makes no sense.
    #[error(transparent)]
    Limit(#[from] BadLimit),
    /// It was not done in time.
    #[error("opening the session took too long")]
    Timeout,
    /// The session ended before its handshake was done.
    #[error("the session ended in its handshake: {0}")]
    Ended(CloseReason),
    /// The operating system or the runtime refused.
    #[error("opening the session: {0}")]
    Io(#[from] io::Error),
}

impl OpenError {
    /// Whether the same attempt may succeed later: it took too long, or the peer was busy, not ready, or left.
    pub fn can_retry(&self) -> bool {
        match self {
            Self::Timeout | Self::Handover(HandoverError::Closed | HandoverError::Refused(Refused::Busy)) => {
                true
            }
            Self::Ended(CloseReason::PeerDied | CloseReason::Goodbye) => true,
            Self::Ended(CloseReason::Refused { refusal, .. }) => refusal.can_retry(),
            Self::Ended(_) => false,
            Self::Handover(_) | Self::Limit(_) | Self::Io(_) => false,
        }
    }
}

/// Why there is no session with what an address names.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Nobody listens there.
    #[error("nobody listens at `{address}`")]
    Absent {
        /// The address.
        address: String,
    },
    /// The host of a `tcp:` address could not be looked up.
    #[error("looking up `{address}`: {source}")]
    Unresolved {
        /// The address.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The host of a `tcp:` address is not on this machine, and nothing would be encrypted on the way: see
    /// [`Options::plaintext_beyond_loopback`](crate::Options::plaintext_beyond_loopback).
    #[error("`{address}` is {found}, beyond loopback, and nothing would be encrypted on the way there")]
    Plaintext {
        /// The address.
        address: String,
        /// Where it leads.
        found: SocketAddr,
    },
    /// The socket could not be connected.
    #[error("connecting to `{address}`: {source}")]
    Socket {
        /// The address.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Whoever listens there was reached, but no session could be opened.
    #[error("no session with `{address}`: {source}")]
    Open {
        /// The address.
        address: String,
        /// Why.
        source: OpenError,
    },
}

impl ConnectError {
    /// Whether the same attempt may succeed later: nobody listened yet, no such name was known, it took too long, or whoever
    /// listened was not ready, about to end, or left. Whoever refused for another reason will do so again.
    pub fn can_retry(&self) -> bool {
        match self {
            Self::Absent { .. } | Self::Unresolved { .. } => true,
            Self::Socket { source, .. } => matches!(
                source.kind(),
                ErrorKind::WouldBlock
                    | ErrorKind::TimedOut
                    | ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::HostUnreachable
                    | ErrorKind::NetworkUnreachable
                    | ErrorKind::NetworkDown
            ),
            Self::Open { source, .. } => source.can_retry(),
            Self::Address(_) | Self::Plaintext { .. } => false,
        }
    }
}

impl ConnectError {
    /// How the session ended before it was open, if one side refused it.
    pub(super) fn refused(&self) -> Option<CloseReason> {
        let Self::Open { source, .. } = self else { return None };
        match source {
            OpenError::Ended(reason @ CloseReason::Refused { .. }) => Some(reason.clone()),
            OpenError::Handover(HandoverError::Refused(Refused::Forbidden)) => {
                let refusal = Rejection::new(RejectReason::Forbidden).into();
                Some(CloseReason::Refused { refusal, by: Side::Peer })
            }
            _ => None,
        }
    }
}

/// Why nobody can be served at an address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A limit makes no sense.
    #[error(transparent)]
    Limit(#[from] BadLimit),
    /// Somebody serves there already.
    #[error("somebody serves at `{address}` already")]
    InUse {
        /// The address.
        address: String,
    },
    /// The host of a `tcp:` address could not be looked up.
    #[error("looking up `{address}`: {source}")]
    Unresolved {
        /// The address.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// A `tcp:` address can be reached from beyond this machine, and nothing would be encrypted on the way: see
    /// [`Options::plaintext_beyond_loopback`](crate::Options::plaintext_beyond_loopback).
    #[error("`{address}` is {found}, beyond loopback, and nothing would be encrypted on the way there")]
    Plaintext {
        /// The address.
        address: String,
        /// Where it leads.
        found: SocketAddr,
    },
    /// Certain users are to be let in, and over TCP nobody can tell who connects: see [`Access`](crate::Access).
    #[error("nobody can tell which user connects to `{address}`, and only certain ones are to be let in")]
    UsersUnknown {
        /// The address.
        address: String,
    },
    /// The listener has shut down, as its [`ShutdownHandle`](crate::ShutdownHandle) has told it, and its sessions are over.
    #[error("the listener has shut down")]
    ShutDown,
    /// Something other than a socket is in the place.
    #[error("`{}` exists and is no socket", .path.display())]
    NotASocket {
        /// The place.
        path: PathBuf,
    },
    /// The operating system or the runtime refused.
    #[error("serving at `{address}`: {source}")]
    Io {
        /// The address.
        address: String,
        /// Why.
        source: io::Error,
    },
}
