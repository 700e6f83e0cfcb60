//! The session protocol: a state machine without I/O and without a clock.
//!
//! Frames, commands and the time go in; frames, wake-ups and the next deadline come out. Outgoing frames are written
//! straight into the link's [`Transmit`](crate::link::Transmit), which the driver lends for each step.
//!
//! ```text
//!  initiator                acceptor
//!     | -- Hello ------------> |      versions, limits, metadata
//!     | <------------ Welcome- |      the version chosen, limits, metadata      (or Refuse, from either side)
//!     | -- Confirm ----------> |      open
//!     | -- Bind, Call -------> |      and the other way round, at any time
//!     | <-- Response/Failure - |      in any order
//!     | -- Goodbye ----------> |      no more calls; those in flight finish
//! ```
//!
//! # Invariants
//! - P1  A request ends exactly once, here and at the peer; its slot is free when the answer has passed.
//! - P2  Whatever an inbound frame provokes has its place beforehand: an answer in its request's entry, a cancellation in
//!   its call's, a last frame or the latest grant in its channel's, a verdict in its connection's, the latest pong in the
//!   session's. What has its place counts as under way until it is in the link. Receiving never waits for sending.
//! - P3  Memory is bounded. On each connection: `requests` messages of at most `payload` bytes, which are requests to be
//!   handled or answers on their way, and for each channel a window of items, or one item, and metadata. In the session: one
//!   message in assembly, and one call or run of items on its way. Of descriptors a quota, of whatever they have come with.
//! - P4  After the end every call has its answer, every handler is cancelled, and nothing is sent.

mod assembly;
mod call;
mod cells;
mod channels;
mod close;
mod commands;
mod connection;
mod connections;
mod control;
mod failure;
mod handshake;
mod id;
mod incoming;
mod io;
mod limits;
mod liveness;
mod machine;
mod metadata;
mod method;
mod options;
mod outbox;
mod outgoing;
mod rejection;
mod rule;
mod settings;
#[cfg(any(fuzzing, test))]
pub(crate) mod simulated;
#[cfg(test)]
mod simulation;
mod stats;
#[cfg(test)]
mod tests;
mod timers;
mod turns;
mod wire;

pub use call::ConnectionSettings;
pub(crate) use call::{
    Answer, Attached, CallRequest, Declared, Inbound, OpenRequest, Outcome, Response, StartCall, Started,
    Wish, Work,
};
#[cfg(feature = "tokio")]
pub(crate) use channels::ITEM_DESCRIPTOR;
pub(crate) use channels::{Gone, ITEM_LENGTH, ITEM_OVERHEAD, ItemRun, Items, Received};
pub use close::{CloseReason, ProtocolError, Side};
pub(crate) use connection::{ConnectionEnd, Methods};
pub(crate) use connections::OpenRefused;
pub(crate) use failure::Failure;
pub use handshake::Refusal;
pub(crate) use id::{CallId, ChannelId, Flow};
pub use limits::{BadLimit, Limits};
pub use liveness::Keepalive;
pub(crate) use machine::Session;
pub use metadata::{Entry, Metadata, MetadataError, Value};
pub use method::Method;
pub(crate) use method::{Binding, Bound, Callee, Lookup};
pub use rejection::{RejectReason, Rejection};
pub use rule::Rule;
pub(crate) use settings::Settings;
pub use settings::{Negotiated, Role};
pub use stats::{CallStats, SessionStats, TrafficStats};
