//! The options that may precede the body of a request or of an answer: how long the caller waits, metadata, and the
//! channels that the message declares.
//!
//! ```text
//! u32 length of what follows | u64 microseconds left, or all ones | metadata | u16 count | count declarations
//! declaration: u64 channel | u8 flow | u32 cell, or all ones | u16 generation | u32 window
//! ```
//! A flow of 0 means that whoever sends the message sends on the channel, 1 that it receives.

use std::time::{Duration, Instant};

use super::cells::Cell;
use super::wire::{Malformed, Reader, Writer, short};
use super::{Flow, Metadata};

const PREFIX: usize = 4;
const UNLIMITED: u64 = u64::MAX;
const NO_CELL: u32 = u32::MAX;
const DECLARATION: usize = 19;

/// A channel as a message declares it, seen from the side that declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Declaration {
    pub(super) id: u64,
    pub(super) flow: Flow,
    pub(super) cell: Option<Cell>,
    /// What may be sent before anything is granted.
    pub(super) window: u32,
}

/// What precedes the body of a message.
#[derive(Clone, Copy)]
pub(super) struct Options<'a> {
    left: Option<Duration>,
    metadata: &'a Metadata,
    channels: &'a [Declaration],
}

impl<'a> Options<'a> {
    /// The options of a message, if it has any.
    pub(super) fn of(
        deadline: Option<Instant>,
        metadata: &'a Metadata,
        channels: &'a [Declaration],
        now: impl FnOnce() -> Instant,
    ) -> Option<Self> {
        if deadline.is_none() && metadata.is_empty() && channels.is_empty() {
            return None;
        }
        Some(Self { left: deadline.map(|at| at.saturating_duration_since(now())), metadata, channels })
    }

    /// Whether no time is left.
    pub(super) fn expired(&self) -> bool {
        self.left.is_some_and(|left| left.is_zero())
    }

    pub(super) fn size(&self) -> usize {
        PREFIX + 8 + self.metadata.encoded_size() + 2 + self.channels.len() * DECLARATION
    }

    pub(super) fn encode(&self, to: &mut Writer<'_>) {
        // Metadata is bounded far below what 32 bits count, and so are the channels.
        let length = u32::try_from(self.size() - PREFIX).unwrap_or(u32::MAX);
        let left = self.left.map_or(UNLIMITED, |left| u64::try_from(left.as_micros()).unwrap_or(UNLIMITED));
        to.put(&length.to_le_bytes());
        to.put(&left.to_le_bytes());
        self.metadata.encode(to);
        to.put(&short(self.channels.len()));
        for Declaration { id, flow, cell, window } in self.channels {
            to.put(&id.to_le_bytes());
            to.put(&[u8::from(*flow == Flow::In)]);
            to.put(&cell.map_or(NO_CELL, |cell| cell.index).to_le_bytes());
            to.put(&cell.map_or(0, |cell| cell.generation).to_le_bytes());
            to.put(&window.to_le_bytes());
        }
    }
}

/// What a peer put before the body of its message.
#[derive(Default)]
pub(super) struct Received {
    pub(super) metadata: Metadata,
    pub(super) left: Option<Duration>,
    /// As the peer sees them.
    pub(super) channels: Vec<Declaration>,
    /// Where the body begins.
    pub(super) body: usize,
    /// How many bytes the metadata took.
    pub(super) metadata_size: usize,
}

impl Received {
    pub(super) fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(payload);
        let length = usize::try_from(from.u32()?).map_err(|_| Malformed)?;
        let mut options = Reader::new(from.take(length)?);
        let left = Some(options.u64()?).filter(|left| *left != UNLIMITED).map(Duration::from_micros);
        let before = options.left();
        let metadata = Metadata::decode(&mut options)?;
        let metadata_size = before - options.left();
        let count = usize::from(options.u16()?);
        if options.left() != count * DECLARATION {
            return Err(Malformed);
        }
        let channels = (0..count).map(|_| read_declaration(&mut options)).collect::<Result<_, _>>()?;
        options.end()?;
        Ok(Self { metadata, left, channels, body: PREFIX + length, metadata_size })
    }
}

fn read_declaration(from: &mut Reader<'_>) -> Result<Declaration, Malformed> {
    let id = from.u64()?;
    let flow = match from.u8()? {
        0 => Flow::Out,
        1 => Flow::In,
        _ => return Err(Malformed),
    };
    let (index, generation) = (from.u32()?, from.u16()?);
    let cell = (index != NO_CELL).then_some(Cell { index, generation });
    Ok(Declaration { id, flow, cell, window: from.u32()? })
}
