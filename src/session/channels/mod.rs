//! The channels of a connection: one-way streams of items, each with its own credit.
//!
//! ```text
//!  sender                                         receiver
//!     | -- Call or Response: declares it ----------> |     by either side; items may follow at once
//!     | -- Item, Item, ... ------------------------> |     within credit; kept until the application takes them
//!     | <-- (a cell in shared memory, or) Credit --- |     as the application takes them
//!     | -- Starved --------------------------------> |     only where there is a cell: tell me of the next grant
//!     | -- End, or Reset --------------------------> |     the last frame, always
//!     | <--------------------------------- Reset --- |     it takes no more: answered with the last frame
//! ```
//!
//! # Invariants
//! - N1  A channel counts against its declarer's limit until its sender's last frame has passed.
//! - N2  A receiver holds at most a window of items, or one frame: what is beyond has no credit, and ends the session.
//! - N3  What an inbound frame provokes is a last frame, sent once, or the latest grant, of which one waits.

mod declare;
mod inlet;
mod items;
mod outlet;
mod table;

use rustc_hash::FxHashMap;

use super::cells::{Cell, Cells};
use super::io::Io;
use super::options::Declaration;
use super::wire::Reader;
use super::{ChannelId, CloseReason, Declared, Failure, Flow, Limits, Metadata, Role, Rule, Wish};
use inlet::Inlet;
#[cfg(feature = "tokio")]
pub(crate) use items::DESCRIPTOR as ITEM_DESCRIPTOR;
pub(crate) use items::{Gone, ItemRun, Items, LENGTH as ITEM_LENGTH, OVERHEAD as ITEM_OVERHEAD, Received};
use outlet::Outlet;

/// The channels of a connection.
pub(super) struct Channels {
    connection: u32,
    role: Role,
    /// The ID of the next channel that this side declares.
    next: u64,
    /// The highest ID that the peer has declared.
    highest: u64,
    live: Live,
    table: FxHashMap<u64, Channel>,
}

/// How many channels are live, by who has declared them.
#[derive(Debug, Default)]
struct Live {
    ours: u32,
    theirs: u32,
}

/// One channel, seen from here.
enum Channel {
    /// This side sends.
    Out(Outlet),
    /// This side receives.
    In(Inlet),
}

/// Who has declared a channel, and with which cell.
#[derive(Clone, Copy, Debug)]
struct Declarer {
    /// Whether this side has.
    ours: bool,
    cell: Option<Cell>,
}

impl Channels {
    pub(super) fn new(connection: u32, role: Role) -> Self {
        Self {
            connection,
            role,
            next: role.first_id(),
            highest: 0,
            live: Live::default(),
            table: FxHashMap::default(),
        }
    }

    /// Whether nothing at all is kept of any channel.
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// How many ends there are of which something is kept.
    #[cfg(any(fuzzing, test))]
    pub(super) fn count(&self) -> usize {
        self.table.len()
    }

    /// How many channels are live that this side has declared.
    #[cfg(any(fuzzing, test))]
    pub(super) fn ours(&self) -> usize {
        self.live.ours as usize
    }

    /// How many channels are live that the peer has declared.
    #[cfg(any(fuzzing, test))]
    pub(super) fn theirs(&self) -> usize {
        self.live.theirs as usize
    }

    /// How many items wait to be taken from a channel on which this side receives.
    #[cfg(test)]
    pub(super) fn waiting(&self, id: u64) -> Option<usize> {
        match self.table.get(&id)? {
            Channel::In(inlet) => Some(inlet.waiting()),
            Channel::Out(_) => None,
        }
    }

    /// What waits to be taken from a channel: its cost, and in how many frames it came.
    #[cfg(test)]
    pub(super) fn held(&self, id: u64) -> (u64, usize) {
        match self.table.get(&id) {
            Some(Channel::In(inlet)) => inlet.held(),
            Some(Channel::Out(_)) | None => (0, 0),
        }
    }

    /// The bytes of the items that wait to be taken.
    #[cfg(any(fuzzing, test))]
    pub(super) fn kept(&self) -> usize {
        let inlets = self.table.values().filter_map(|channel| match channel {
            Channel::In(inlet) => Some(inlet.kept()),
            Channel::Out(_) => None,
        });
        inlets.sum()
    }
}
