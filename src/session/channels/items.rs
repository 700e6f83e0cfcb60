//! Items on their way, and how channels end.

use std::os::fd::BorrowedFd;

use super::Metadata;
use crate::codec::Body;
use crate::link::{Buffer, Descriptors, FdError};
use crate::session::CloseReason;

/// What an item costs beyond its bytes: what keeping it takes.
pub(crate) const OVERHEAD: u64 = 32;
/// What a descriptor costs that comes with an item: of them a process can have far fewer than bytes.
pub(crate) const DESCRIPTOR: u64 = 1024;
/// Bytes of the length that precedes each item of a batch.
pub(crate) const LENGTH: usize = 4;

/// Items that arrived in one frame.
#[derive(Debug)]
pub(crate) struct Items {
    /// One item, or several that are each preceded by its length.
    pub(crate) payload: Buffer,
    /// How many there are.
    pub(crate) count: u32,
    /// Whether they are preceded by their lengths.
    pub(crate) batch: bool,
    /// The descriptors of one that came alone.
    pub(crate) descriptors: Descriptors,
}

impl Items {
    /// The credit that they have taken.
    pub(crate) fn cost(&self) -> u64 {
        cost(self.payload.len(), self.count, self.batch, self.descriptors.sent()).unwrap_or(0)
    }
}

/// Items to send in one frame.
#[derive(Clone, Copy)]
pub(crate) struct ItemRun<'a> {
    /// One item, or several that are each preceded by its length.
    pub(crate) body: &'a dyn Body,
    /// How many there are.
    pub(crate) count: u32,
    /// Whether they are preceded by their lengths.
    pub(crate) batch: bool,
    /// The descriptors of one that goes alone.
    pub(crate) descriptors: &'a [BorrowedFd<'a>],
}

impl ItemRun<'_> {
    pub(super) fn cost(&self) -> u64 {
        cost(self.body.length(), self.count, self.batch, self.descriptors.len()).unwrap_or(0)
    }
}

/// What a frame of this many bytes, items and descriptors costs; `None` if the items cannot be that many.
#[inline]
pub(super) fn cost(bytes: usize, count: u32, batch: bool, descriptors: usize) -> Option<u64> {
    let prefixes = if batch { LENGTH as u64 * u64::from(count) } else { 0 };
    let bytes = (bytes as u64).checked_sub(prefixes)?;
    Some(bytes + OVERHEAD * u64::from(count) + DESCRIPTOR * descriptors as u64)
}

/// Why a channel carries no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// The other end has reset it.
    Reset,
    /// Its connection is over.
    Closed(CloseReason),
    /// The items are larger than both sides agreed to take. The channel goes on.
    TooLarge {
        /// Their size.
        size: u64,
        /// The most it may be.
        limit: u64,
    },
    /// An item's descriptors do not go. The channel goes on.
    Descriptors(FdError),
}

/// What a receiver has got.
#[derive(Debug)]
pub(crate) enum Received {
    /// Items, moved to where it wanted them.
    Items,
    /// The end, after all items.
    End(Metadata),
}
