//! The opening: who the sides are, and what they agree on.
//!
//! ```text
//! Hello    u16 newest version | u16 least version | u8 role | limits | metadata
//! Welcome  u16 version chosen | u16 0             | u8 role | limits | metadata
//! Confirm  u16 version
//! Refuse   u8 1 | u16 newest | u16 least | u16 peer newest | u16 peer least      no version that both speak
//!          u8 2 | u8 code | text | metadata                                      not let in, as in a Reject
//! limits   u64 payload | u32 requests | u16 metadata entries | u32 metadata bytes | u32 window | u32 channels
//!          | u32 connections
//! ```

use super::wire::{Malformed, Reader, Writer};
use super::{Limits, Metadata, Rejection, Role};

/// The newest version of the session protocol that this side speaks, and the oldest.
pub(super) const NEWEST: u16 = 1;
/// The oldest version that this side speaks.
pub(super) const LEAST: u16 = 1;
/// The most bytes of a frame of the handshake.
pub(super) const MAX_HELLO: usize = 64 * 1024;

const LIMITS: usize = 30;
const FIXED: usize = 5 + LIMITS;

/// Why a side refused the handshake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no version that both sides speak.
    #[error("one side speaks session versions {least} to {newest}, the other {peer_least} to {peer_newest}")]
    Version {
        /// The newest that the refusing side speaks.
        newest: u16,
        /// The oldest that the refusing side speaks.
        least: u16,
        /// The newest that the refused side speaks.
        peer_newest: u16,
        /// The oldest that the refused side speaks.
        peer_least: u16,
    },
    /// The refusing side does not let the other one in, by its policy or because of the state that it is in: see
    /// [`Options::policy`](crate::Options::policy).
    #[error(transparent)]
    Policy(Box<Rejection>),
}

const VERSION: u8 = 1;
const POLICY: u8 = 2;

/// A hello or a welcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    /// The newest version, or the one chosen.
    pub(super) newest: u16,
    /// The oldest version; 0 in a welcome.
    pub(super) least: u16,
    pub(super) role: Role,
    pub(super) limits: Limits,
    pub(super) metadata: Metadata,
}

impl Hello {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; FIXED + self.metadata.encoded_size()];
        let mut to = Writer::new(&mut bytes);
        to.put(&self.newest.to_le_bytes());
        to.put(&self.least.to_le_bytes());
        to.put(&[u8::from(self.role == Role::Acceptor)]);
        to.put(&self.limits.payload.to_le_bytes());
        to.put(&self.limits.requests.to_le_bytes());
        to.put(&self.limits.metadata_entries.to_le_bytes());
        to.put(&self.limits.metadata_size.to_le_bytes());
        to.put(&self.limits.window.to_le_bytes());
        to.put(&self.limits.channels.to_le_bytes());
        to.put(&self.limits.connections.to_le_bytes());
        self.metadata.encode(&mut to);
        bytes
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(payload);
        let (newest, least) = (from.u16()?, from.u16()?);
        let role = match from.u8()? {
            0 => Role::Initiator,
            1 => Role::Acceptor,
            _ => return Err(Malformed),
        };
        let limits = Limits {
            payload: from.u64()?,
            requests: from.u32()?,
            metadata_entries: from.u16()?,
            metadata_size: from.u32()?,
            window: from.u32()?,
            channels: from.u32()?,
            connections: from.u32()?,
        };
        let metadata = Metadata::decode(&mut from)?;
        from.end()?;
        Ok(Self { newest, least, role, limits, metadata })
    }

    /// The newest version that both speak.
    pub(super) fn choose(&self) -> Result<u16, Refusal> {
        let version = self.newest.min(NEWEST);
        if version >= self.least.max(LEAST) {
            return Ok(version);
        }
        Err(Refusal::Version {
            newest: NEWEST,
            least: LEAST,
            peer_newest: self.newest,
            peer_least: self.least,
        })
    }
}

impl Refusal {
    /// Whether the same peer may be let in another time.
    pub fn can_retry(&self) -> bool {
        match self {
            Self::Version { .. } => false,
            Self::Policy(rejection) => rejection.reason.can_retry(),
        }
    }

    /// What goes on the wire. What does not fit into `most` bytes goes without metadata.
    pub(super) fn encode(&self, limits: &Limits, most: usize) -> Vec<u8> {
        match self {
            Self::Version { newest, least, peer_newest, peer_least } => {
                let mut bytes = vec![VERSION];
                for number in [newest, least, peer_newest, peer_least] {
                    bytes.extend_from_slice(&number.to_le_bytes());
                }
                bytes
            }
            Self::Policy(rejection) => {
                let encoded = |rejection: &Rejection| [&[POLICY], &*rejection.encode(limits)].concat();
                let whole = encoded(rejection);
                if whole.len() <= most {
                    return whole;
                }
                encoded(&Rejection { metadata: Metadata::new(), ..Rejection::clone(rejection) })
            }
        }
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(payload);
        let refusal = match from.u8()? {
            VERSION => Self::Version {
                newest: from.u16()?,
                least: from.u16()?,
                peer_newest: from.u16()?,
                peer_least: from.u16()?,
            },
            POLICY => Rejection::decode(&mut from)?.into(),
            _ => return Err(Malformed),
        };
        from.end().map(|()| refusal)
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self::Policy(Box::new(rejection))
    }
}
