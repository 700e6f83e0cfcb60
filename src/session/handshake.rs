//! The opening: who the sides are, and what they agree on.
//!
//! ```text
//! Hello    u16 newest version | u16 least version | u8 role | limits | metadata
//! Welcome  u16 version chosen | u16 0             | u8 role | limits | metadata
//! Confirm  u16 version
//! Refuse   u8 code | u16 newest | u16 least | u16 peer newest | u16 peer least
//! limits   u64 payload | u32 requests | u16 metadata entries | u32 metadata bytes | u32 window | u32 channels
//!          | u32 connections
//! ```

use super::wire::{Malformed, Reader, Writer};
use super::{Limits, Metadata, Role};

/// The newest version of the session protocol that this side speaks, and the oldest.
pub(super) const NEWEST: u16 = 1;
/// The oldest version that this side speaks.
pub(super) const LEAST: u16 = 1;
/// The most bytes of a frame of the handshake.
pub(super) const MAX_HELLO: usize = 64 * 1024;

const LIMITS: usize = 30;
const FIXED: usize = 5 + LIMITS;

/// Why a side refused the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// The peer takes no more sessions.
    #[error("no more sessions are taken")]
    Busy,
}

const VERSION: u8 = 1;
const BUSY: u8 = 2;

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
    pub(super) fn encode(self) -> [u8; 9] {
        let (code, numbers) = match self {
            Self::Version { newest, least, peer_newest, peer_least } => {
                (VERSION, [newest, least, peer_newest, peer_least])
            }
            Self::Busy => (BUSY, [0; 4]),
        };
        let mut bytes = [code; 9];
        for (place, number) in bytes[1..].chunks_exact_mut(2).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(payload);
        let code = from.u8()?;
        let (newest, least, peer_newest, peer_least) = (from.u16()?, from.u16()?, from.u16()?, from.u16()?);
        from.end()?;
        match code {
            VERSION => Ok(Self::Version { newest, least, peer_newest, peer_least }),
            BUSY => Ok(Self::Busy),
            _ => Err(Malformed),
        }
    }
}
