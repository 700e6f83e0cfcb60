//! Why sessions do not come about.

use std::io;
use std::path::PathBuf;

use crate::link::{AddressError, HandoverError};
use crate::session::{BadLimit, CloseReason};

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
    /// Whether the same attempt may succeed later: nobody listened yet, or it took too long.
    pub fn can_retry(&self) -> bool {
        matches!(self, Self::Absent { .. } | Self::Open { source: OpenError::Timeout, .. })
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
