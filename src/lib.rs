//! Typed calls between processes, through shared memory first.

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")))]
compile_error!("transom runs on 64-bit little-endian Linux only");

pub mod cell;
mod codec;
// What a task needs of both is there without a runtime, too.
#[cfg_attr(not(feature = "tokio"), allow(dead_code))]
mod driver;
mod endpoint;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "tokio")]
mod host;
#[cfg(feature = "limits")]
mod limits;
#[cfg_attr(not(feature = "tokio"), allow(dead_code))]
mod link;
mod memory;
#[cfg(all(doctest, feature = "macros", feature = "tokio"))]
mod readme;
mod service;
mod session;
mod sys;

pub use endpoint::{ConnectError, Connector, OpenError, Options, ServeError, Server, blocking};
#[cfg(feature = "tokio")]
pub use endpoint::{Listener, connect, serve};
#[cfg(feature = "tokio")]
pub use host::{Cause, Cell, DeathReport, Deaths, Host, RestartPolicy, Spawn, SpawnError};
pub use link::{
    Access, Address, AddressError, BadFrameHeader, Corrupt, FallbackReason, HandoverError, InheritError,
    Malformed, Peer, PeerReason, Refused, Transport, Versions,
};
pub use memory::AttachError;
pub use service::{
    Argument, Call, CallError, CallOptions, Client, Context, Descriptor, Operation, Service, Session,
};
pub use session::{
    BadLimit, CloseReason, Entry, Limits, Metadata, MetadataError, Method, Negotiated, ProtocolError,
    Refusal, Role, Rule, Side, Value,
};

#[doc(hidden)]
pub use service::private as __private;
/// ```compile_fail
/// #[transom::service]
/// trait Tally {
///     async fn add(&self, strokes: Vec<()>);
/// }
/// # struct Tallies;
/// # impl Tally for Tallies { async fn add(&self, _: Vec<()>) {} }
/// # fn main() { drop(transom::Server::new("mem:tally", TallyServer::new(Tallies))); }
/// ```
#[cfg(feature = "macros")]
pub use transom_macros::service;

/// The machine's limits, for `transom bench`. Not for users.
#[cfg(feature = "limits")]
#[doc(hidden)]
pub mod __limits {
    pub use crate::limits::{Bells, Direction, Line, Ring};
}

// Generated code names this crate from outside; so it does in this crate's own tests.
#[cfg(test)]
extern crate self as transom;
