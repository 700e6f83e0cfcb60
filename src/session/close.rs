//! Why sessions end.

use std::io::ErrorKind;

use super::{Refusal, Rule};

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// This side closed it.
    #[error("closed by this side")]
    Local,
    /// The peer said goodbye.
    #[error("the peer said goodbye")]
    Goodbye,
    /// The peer is gone without a goodbye.
    #[error("the peer died")]
    PeerDied,
    /// One side broke a rule.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The operating system refused to carry more.
    #[error("transport: {0}")]
    Transport(ErrorKind),
    /// The handshake was refused.
    #[error("refused by {by}: {refusal}")]
    Refused {
        /// Why.
        refusal: Refusal,
        /// By whom.
        by: Side,
    },
    /// The handshake was not done in time.
    #[error("the handshake took too long")]
    HandshakeTimeout,
    /// The process is shutting down.
    #[error("shutting down")]
    Shutdown,
    /// The peer was silent for too long, and did not answer when asked.
    #[error("the peer does not answer")]
    Silent,
    /// Nothing happened for too long.
    #[error("idle for too long")]
    Idle,
}

/// A rule was broken; the session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("protocol error by {by}: {rule}")]
pub struct ProtocolError {
    /// Which rule.
    pub rule: Rule,
    /// Who broke it, as the other side says.
    pub by: Side,
}

/// One of the two sides of a session, seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// This side.
    Local,
    /// The other side.
    Peer,
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Local => "this side",
            Self::Peer => "the peer",
        })
    }
}
