//! The options that may precede a request's body: how long the caller waits, and metadata.
//!
//! ```text
//! u32 length of what follows | u64 microseconds left, or all ones | metadata
//! ```

use std::time::{Duration, Instant};

use super::wire::{Malformed, Reader, Writer};
use super::{CallRequest, Metadata};

const PREFIX: usize = 4;
const UNLIMITED: u64 = u64::MAX;

/// What precedes the body of a call.
#[derive(Clone, Copy)]
pub(super) struct Options<'a> {
    left: Option<Duration>,
    metadata: &'a Metadata,
}

impl<'a> Options<'a> {
    /// The options of `call`, if it has any.
    pub(super) fn of(call: &CallRequest<'a>, now: impl FnOnce() -> Instant) -> Option<Self> {
        if call.deadline.is_none() && call.metadata.is_empty() {
            return None;
        }
        let left = call.deadline.map(|at| at.saturating_duration_since(now()));
        Some(Self { left, metadata: call.metadata })
    }

    /// Whether no time is left.
    pub(super) fn expired(&self) -> bool {
        self.left.is_some_and(|left| left.is_zero())
    }

    pub(super) fn size(&self) -> usize {
        PREFIX + 8 + self.metadata.encoded_size()
    }

    pub(super) fn encode(&self, to: &mut Writer<'_>) {
        // Metadata is bounded far below what 32 bits count.
        let length = u32::try_from(self.size() - PREFIX).unwrap_or(u32::MAX);
        let left = self.left.map_or(UNLIMITED, |left| u64::try_from(left.as_micros()).unwrap_or(UNLIMITED));
        to.put(&length.to_le_bytes());
        to.put(&left.to_le_bytes());
        self.metadata.encode(to);
    }
}

/// What a peer put before the body of its request.
pub(super) struct Received {
    pub(super) metadata: Metadata,
    pub(super) left: Option<Duration>,
    /// Where the body begins.
    pub(super) body: usize,
    /// How many bytes the metadata took.
    pub(super) metadata_size: usize,
}

impl Received {
    pub(super) fn none() -> Self {
        Self { metadata: Metadata::new(), left: None, body: 0, metadata_size: 0 }
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(payload);
        let length = usize::try_from(from.u32()?).map_err(|_| Malformed)?;
        let mut options = Reader::new(from.take(length)?);
        let left = Some(options.u64()?).filter(|left| *left != UNLIMITED).map(Duration::from_micros);
        let metadata = Metadata::decode(&mut options)?;
        options.end()?;
        Ok(Self { metadata, left, body: PREFIX + length, metadata_size: length - 8 })
    }
}
