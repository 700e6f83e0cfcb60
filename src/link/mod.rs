//! Links: ordered, reliable, bidirectional carriers of frames.
//!
//! A link is three parts: [`Transmit`] is used by whoever may send, [`Receive`] by whoever has the drain role, the right to
//! look into the link, and [`Signal`] is shared by publishers and sleepers.

mod address;
#[cfg(any(test, feature = "testing"))]
mod breakable;
mod descriptors;
mod empty_wakes;
mod ended;
mod frame;
mod handover;
mod inherited;
mod lifeline;
mod mem;
mod names;
mod parts;
mod peer;
mod place;
mod shm;
mod stream;
#[cfg(test)]
mod tests;
mod transport;
mod wake;

pub use address::{Address, AddressError};
#[cfg(any(test, feature = "testing"))]
pub use breakable::{Breaker, Cut, Direction, Slow};
pub use descriptors::FdError;
pub(crate) use descriptors::{Descriptors, Lost, MOST_DESCRIPTORS, NotPassed, Quota};
pub(crate) use ended::Ended;
pub use frame::BadHeader as BadFrameHeader;
pub(crate) use frame::{Flags, Frame, Header, Kind};
pub(crate) use handover::{HandedOver, Ready, Terms, Thread, accept, initiate, run};
pub use handover::{HandoverError, Malformed, Refused, Versions};
pub use inherited::InheritError;
#[cfg(feature = "tokio")]
pub(crate) use inherited::{FD, FD_VARIABLE, TICKET_VARIABLE};
pub(crate) use inherited::{Ticket, is_cell, take};
pub(crate) use mem::pair as mem_pair;
pub(crate) use names::{Name, Unreached, reach};
pub(crate) use parts::{Full, Link, Note, Receive, Signal, Sleep, SleepMode, Transmit};
pub(crate) use peer::is_loopback;
pub use peer::{Access, Peer};
pub(crate) use place::{Place, TakenError};
pub(crate) use shm::{Parts as ShmParts, link as shm_link};
pub(crate) use stream::{link as stream_link, tcp as tcp_link};
pub(crate) use transport::Wanted;
pub use transport::{FallbackReason, PeerReason, Transport};

pub(crate) use crate::memory::Buffer;

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The peer wrote what the layout forbids.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// The peer is gone: hang-up, or the end of the stream.
    #[error("the peer is gone")]
    Gone,
    /// The operating system refused.
    #[error("link I/O: {0}")]
    Io(#[from] std::io::Error),
}

/// What a peer wrote that the layout of a link forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Corrupt {
    /// A ring position outside `head ..= head + capacity`, or one that went backwards.
    #[error("ring position {position} is outside {from}..={to}")]
    Position {
        /// What was read.
        position: u64,
        /// The least it may be.
        from: u64,
        /// The most it may be.
        to: u64,
    },
    /// A frame's length goes beyond what has been published or what a frame may hold.
    #[error("frame length {length} exceeds {limit}")]
    Length {
        /// What was read.
        length: u32,
        /// The most it may be.
        limit: u32,
    },
    /// Something else than messages with descriptors came on the lifeline, or those that this side sent were left there.
    #[error("the lifeline carries something else than descriptors")]
    Lifeline,
    /// A frame's descriptors are not there, or are not as many as announced.
    #[error("{came} descriptors came where {announced} were announced")]
    Descriptors {
        /// How many were announced.
        announced: usize,
        /// How many came.
        came: usize,
    },
    /// A header this version does not know.
    #[error("frame header: {0}")]
    Header(#[source] BadFrameHeader),
    /// Wake-ups for nothing, again and again.
    #[error("more than {forgiven} wake-ups for nothing")]
    EmptyWakes {
        /// How many are let pass.
        forgiven: u32,
    },
}
