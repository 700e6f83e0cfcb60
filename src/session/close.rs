//! Why sessions end.

use std::io::ErrorKind;

use super::wire::Malformed;
use super::{Refusal, RejectReason, Rejection, Rule};

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

const LOCAL: u8 = 1;
const GOODBYE: u8 = 2;
const PEER_DIED: u8 = 3;
const PROTOCOL: u8 = 4;
const TRANSPORT: u8 = 5;
const REFUSED: u8 = 6;
const HANDSHAKE_TIMEOUT: u8 = 7;
const SHUTDOWN: u8 = 8;
const IDLE: u8 = 9;
const SILENT: u8 = 10;

/// As somebody is told who was not part of the session.
impl CloseReason {
    /// One byte of code, one that says who broke a rule or refused, two of the rule or of the reason.
    pub(super) fn encode(&self) -> [u8; 4] {
        let side = |side: &Side| u8::from(*side == Side::Peer);
        let (code, by, rule) = match self {
            Self::Local => (LOCAL, 0, 0),
            Self::Goodbye => (GOODBYE, 0, 0),
            Self::PeerDied => (PEER_DIED, 0, 0),
            Self::Protocol(error) => (PROTOCOL, side(&error.by), error.rule.code()),
            Self::Transport(_) => (TRANSPORT, 0, 0),
            Self::Refused { refusal: Refusal::Policy(rejection), by } => {
                (REFUSED, side(by), rejection.reason.code().into())
            }
            Self::Refused { refusal: Refusal::Version { .. }, by } => (REFUSED, side(by), 0),
            Self::HandshakeTimeout => (HANDSHAKE_TIMEOUT, 0, 0),
            Self::Shutdown => (SHUTDOWN, 0, 0),
            Self::Idle => (IDLE, 0, 0),
            Self::Silent => (SILENT, 0, 0),
        };
        let rule = rule.to_le_bytes();
        [code, by, rule[0], rule[1]]
    }

    pub(super) fn decode(code: u8, by: u8, rule: u16) -> Result<Self, Malformed> {
        let by = if by == 0 { Side::Local } else { Side::Peer };
        Ok(match code {
            LOCAL => Self::Local,
            GOODBYE => Self::Goodbye,
            PEER_DIED => Self::PeerDied,
            PROTOCOL => Self::Protocol(ProtocolError { rule: Rule::from_code(rule), by }),
            TRANSPORT => Self::Transport(ErrorKind::Other),
            REFUSED => {
                let reason = u8::try_from(rule).map_or(RejectReason::Other, RejectReason::from_code);
                Self::Refused { refusal: Rejection::new(reason).into(), by }
            }
            HANDSHAKE_TIMEOUT => Self::HandshakeTimeout,
            SHUTDOWN => Self::Shutdown,
            IDLE => Self::Idle,
            SILENT => Self::Silent,
            _ => return Err(Malformed),
        })
    }
}

impl CloseReason {
    /// Whether another session with the same peer would not come about either: one side has refused for good.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Refused { refusal, .. } if !refusal.can_retry())
    }
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
