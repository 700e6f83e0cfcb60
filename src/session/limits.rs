//! The limits of a session, and their negotiation to the stricter side.

use super::{Failure, Metadata, Rule};
use crate::link::{Kind, MOST_DESCRIPTORS};

/// What a side is willing to take. Both sides keep to the smaller of each.
///
/// They bound what a peer can make this side hold. For each connection, the root and up to `connections` more of either
/// side, that is at most
///
/// ```text
/// 2 * requests * payload                               requests that wait, and answers that wait for room in the link
/// 2 * channels * (max(window, payload) + 32 * items)    items that the application has not taken
/// ```
/// and once for the session a message of `payload` bytes that is in assembly, and what the link itself holds. A receiver
/// holds a window of items, or one frame if that is more: an item larger than the window goes when nothing else is on its
/// way. The sender holds nothing but the items that it has been given and not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The most bytes of a request or an answer, options included.
    pub payload: u64,
    /// The most requests in flight on a connection, for each direction. With them go no more descriptors than four for each
    /// that there may be, or as many as go with one message if that is more.
    pub requests: u32,
    /// The most entries of metadata.
    pub metadata_entries: u16,
    /// The most bytes of metadata, encoded.
    pub metadata_size: u32,
    /// The bytes that a channel's sender may send before it is granted more.
    pub window: u32,
    /// The most channels open at a time on a connection, of those that each side declares.
    pub channels: u32,
    /// The most virtual connections open at a time, of those that each side opens.
    pub connections: u32,
}

/// A limit that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadLimit {
    /// The payload limit leaves no room even for an error.
    #[error("payload limit {limit} is below {least}")]
    Payload {
        /// What was asked for.
        limit: u64,
        /// The least it may be.
        least: u64,
    },
    /// No request could ever be made.
    #[error("the limit of concurrent requests is zero")]
    Requests,
    /// No channel could ever carry anything.
    #[error("a channel's window is zero")]
    Window,
}

impl Limits {
    /// The least payload limit: any failure but a user's own fits into it.
    pub const LEAST_PAYLOAD: u64 = 1024;

    /// Refuses what makes no sense, before anything is sent.
    ///
    /// # Errors
    /// [`BadLimit`] names it.
    pub fn check(&self) -> Result<(), BadLimit> {
        if self.payload < Self::LEAST_PAYLOAD {
            return Err(BadLimit::Payload { limit: self.payload, least: Self::LEAST_PAYLOAD });
        }
        if self.requests == 0 {
            return Err(BadLimit::Requests);
        }
        if self.window == 0 {
            return Err(BadLimit::Window);
        }
        Ok(())
    }

    /// The stricter of both, limit by limit.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        Self {
            payload: self.payload.min(other.payload),
            requests: self.requests.min(other.requests),
            metadata_entries: self.metadata_entries.min(other.metadata_entries),
            metadata_size: self.metadata_size.min(other.metadata_size),
            window: self.window.min(other.window),
            channels: self.channels.min(other.channels),
            connections: self.connections.min(other.connections),
        }
    }

    /// The most bytes of a message, as a length in memory.
    #[inline]
    pub(super) fn payload_length(&self) -> usize {
        usize::try_from(self.payload).unwrap_or(usize::MAX)
    }

    /// The most descriptors in requests in flight on a connection, for each direction.
    #[inline]
    pub(super) fn descriptors(&self) -> u32 {
        /// For each request that may be in flight.
        const EACH: u32 = 4;
        self.requests.saturating_mul(EACH).max(MOST_DESCRIPTORS as u32)
    }

    /// The most bytes of a message of this kind. Metadata that stands by itself need not be within the payload.
    #[inline]
    pub(super) fn message_length(&self, kind: Kind) -> usize {
        /// What may come with metadata: settings, a code, a text.
        const BESIDES: usize = 1024;
        match kind {
            Kind::Open | Kind::Accept | Kind::Reject | Kind::End => {
                self.payload_length().max(self.metadata_length().saturating_add(BESIDES))
            }
            _ => self.payload_length(),
        }
    }

    /// Whether metadata is within these limits.
    #[inline]
    pub(super) fn admit(&self, metadata: &Metadata) -> bool {
        self.check_metadata(metadata).is_ok()
    }

    /// Whether metadata is within these limits.
    ///
    /// # Errors
    /// How many entries there are and may be, or if it is not those, how many bytes.
    #[inline]
    pub(super) fn check_metadata(&self, metadata: &Metadata) -> Result<(), Excess> {
        if metadata.is_empty() {
            return Ok(());
        }
        let entries = (metadata.len() as u64, u64::from(self.metadata_entries));
        let bytes = (metadata.encoded_size() as u64, u64::from(self.metadata_size));
        match [entries, bytes].into_iter().find(|(size, limit)| size > limit) {
            Some((size, limit)) => Err(Excess { size, limit }),
            None => Ok(()),
        }
    }

    /// The most bytes of metadata, as a length in memory.
    pub(super) fn metadata_length(&self) -> usize {
        usize::try_from(self.metadata_size).unwrap_or(usize::MAX)
    }
}

/// Something is larger than agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Excess {
    size: u64,
    limit: u64,
}

impl From<Excess> for Failure {
    fn from(Excess { size, limit }: Excess) -> Self {
        Self::TooLarge { size, limit }
    }
}

impl From<Excess> for Rule {
    fn from(_: Excess) -> Self {
        Self::MetadataLimit
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            payload: 64 * 1024 * 1024,
            requests: 64,
            metadata_entries: 128,
            metadata_size: 64 * 1024,
            window: 64 * 1024,
            channels: 256,
            connections: 256,
        }
    }
}
