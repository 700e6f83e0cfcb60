//! Why a side does not take a connection, as its peer is told: a code, a text, and metadata.

use super::wire::{Malformed, Reader, Writer, short, shortened};
use super::{Limits, Metadata};

/// The most bytes of a reason in words.
const TEXT: usize = 512;

/// Why a side does not take a connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer does not take the connection: {reason}")]
pub struct Rejection {
    /// Why, as far as this version knows the reason.
    pub reason: RejectReason,
    /// More about it.
    pub metadata: Metadata,
}

/// Why a side does not take a connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RejectReason {
    /// It takes none at all.
    #[error("it takes no connections")]
    NoAcceptor,
    /// It does not serve what was asked for.
    #[error("it serves nothing of that name")]
    UnknownService,
    /// Whoever asks may not.
    #[error("forbidden")]
    Forbidden,
    /// Not now, but another time.
    #[error("not ready")]
    NotReady,
    /// The session is about to end.
    #[error("the session is about to end")]
    Draining,
    /// For a reason of its own, in words.
    #[error("{0}")]
    Other(String),
}

const NO_ACCEPTOR: u8 = 1;
const UNKNOWN_SERVICE: u8 = 2;
const FORBIDDEN: u8 = 3;
const NOT_READY: u8 = 4;
const DRAINING: u8 = 5;
const OTHER: u8 = 6;

impl Rejection {
    /// What goes on the wire; metadata beyond the limits does not.
    pub(super) fn encode(&self, limits: &Limits) -> Vec<u8> {
        let (code, text) = match &self.reason {
            RejectReason::NoAcceptor => (NO_ACCEPTOR, ""),
            RejectReason::UnknownService => (UNKNOWN_SERVICE, ""),
            RejectReason::Forbidden => (FORBIDDEN, ""),
            RejectReason::NotReady => (NOT_READY, ""),
            RejectReason::Draining => (DRAINING, ""),
            RejectReason::Other(text) => (OTHER, shortened(text, TEXT)),
        };
        let metadata = if limits.admit(&self.metadata) { &self.metadata } else { Metadata::empty() };
        let mut bytes = vec![0; 1 + 2 + text.len() + metadata.encoded_size()];
        let mut to = Writer::new(&mut bytes);
        to.put(&[code]);
        to.put(&short(text.len()));
        to.put(text.as_bytes());
        metadata.encode(&mut to);
        bytes
    }

    pub(super) fn decode(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (code, text) = (from.u8()?, from.text()?);
        let reason = match code {
            NO_ACCEPTOR => RejectReason::NoAcceptor,
            UNKNOWN_SERVICE => RejectReason::UnknownService,
            FORBIDDEN => RejectReason::Forbidden,
            NOT_READY => RejectReason::NotReady,
            DRAINING => RejectReason::Draining,
            _ => RejectReason::Other(text.to_owned()),
        };
        Ok(Self { reason, metadata: Metadata::decode(from)? })
    }
}
