//! Typed calls between processes on one machine, through shared memory first.
//!
//! You write a trait; another process implements it; you call it. Two processes share two sealed pieces of memory, each
//! written by one side only, with a ring of frames in each; a side that has nothing to do sleeps, and is woken once.
//! Where shared memory cannot be had the very same session runs over a Unix socket, and [`Session::transport`] says why.
//!
//! # A service and its clients
//!
//! ```
//! use std::time::Duration;
//! use transom::{CallError, Server};
//!
//! /// The attribute makes `CalcServer`, `CalcClient` and `CalcBlockingClient` of it.
//! #[transom::service]
//! trait Calc {
//!     async fn add(&self, a: u64, b: u64) -> u64;
//!     async fn divide(&self, a: u64, b: u64) -> Result<u64, DivideError>;
//! }
//!
//! #[derive(Debug, PartialEq, facet::Facet)]
//! #[repr(u8)]
//! enum DivideError {
//!     ByZero,
//! }
//!
//! struct Calculator;
//!
//! impl Calc for Calculator {
//!     async fn add(&self, a: u64, b: u64) -> u64 {
//!         a + b
//!     }
//!     async fn divide(&self, a: u64, b: u64) -> Result<u64, DivideError> {
//!         a.checked_div(b).ok_or(DivideError::ByZero)
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // One process serves it. Between two of them the address is `shm:/run/calc.sock`, or `unix:` without shared memory.
//! let listener = Server::new("mem:calc", CalcServer::new(Calculator)).bind()?;
//! tokio::spawn(listener.run());
//!
//! // Another one calls it.
//! let calc: CalcClient = transom::connect("mem:calc").await?;
//! assert_eq!(calc.add(2, 3).deadline(Duration::from_secs(1)).await?, 5);
//! assert_eq!(calc.divide(2, 0).await, Err(CallError::User(DivideError::ByZero)));
//! # Ok(())
//! # }
//! ```
//!
//! Without a runtime it is the same: [`Server::bind_blocking`] or [`blocking::serve`], and a client whose calls wait on
//! the thread that makes them.
//!
//! ```no_run
//! # #[transom::service]
//! # trait Calc { async fn add(&self, a: u64, b: u64) -> u64; }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let calc: CalcBlockingClient = transom::blocking::connect("shm:/run/calc.sock")?;
//! assert_eq!(calc.add(2, 3)?, 5);
//! # Ok(())
//! # }
//! ```
//!
//! Arguments and results are numbers, text, bytes and whatever derives `facet::Facet`. Both sides of a session may serve,
//! and call each other: [`Connector::serve`], [`Context::client`].
//!
//! # Channels
//!
//! One end of a [`channel`], passed in a call's arguments or returned in its result, carries items between the two sides
//! for as long as they like. The sender is never further ahead than a window of bytes; dropping an end ends the channel,
//! and the other end learns how.
//!
//! ```
//! use transom::{Rx, Server, Tx};
//!
//! #[transom::service]
//! trait Numbers {
//!     async fn sum(&self, numbers: Rx<u64>) -> u64;
//!     async fn below(&self, end: u64) -> Rx<u64>;
//! }
//!
//! struct Counting;
//!
//! impl Numbers for Counting {
//!     async fn sum(&self, mut numbers: Rx<u64>) -> u64 {
//!         let mut sum = 0;
//!         while let Ok(Some(number)) = numbers.recv().await {
//!             sum += number;
//!         }
//!         sum
//!     }
//!     async fn below(&self, end: u64) -> Rx<u64> {
//!         let (tx, rx) = transom::channel();
//!         tokio::spawn(async move { tx.send_all(0..end).await });
//!         rx
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = Server::new("mem:numbers", NumbersServer::new(Counting)).bind()?;
//! # tokio::spawn(listener.run());
//! let client: NumbersClient = transom::connect("mem:numbers").await?;
//! let (tx, rx) = transom::channel();
//! let sending = async move {
//!     tx.send(1).await?;
//!     tx.send(2).await
//! };
//! let (sum, sent) = tokio::join!(client.sum(rx), sending);
//! assert_eq!((sum?, sent?), (3, ()));
//!
//! let mut numbers = client.below(3).await?;
//! while let Some(number) = numbers.recv().await? {
//!     println!("{number}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # A host and its cell
//!
//! A [`Host`] starts processes, its cells, watches them and starts them again. A cell needs no address, and goes with its
//! host, however that ended.
//!
//! ```no_run
//! use std::process::Command;
//! use transom::{Host, RestartPolicy, cell};
//! # #[transom::service]
//! # trait Index { async fn count(&self, word: &str) -> u64; }
//! # struct Words;
//! # impl Index for Words { async fn count(&self, _: &str) -> u64 { 0 } }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // One program can be the host and all of its cells.
//!     if cell::is_cell() {
//!         return Ok(cell::run(IndexServer::new(Words)).await?);
//!     }
//!     let host = Host::new();
//!     let program = Command::new(std::env::current_exe()?);
//!     let cell = host.spawn(program).restart(RestartPolicy::always()).start().await?;
//!     let index: IndexClient = cell.client();
//!     println!("{}", index.count("bell").await?);
//!     host.shutdown().await;
//!     Ok(())
//! }
//! ```
//!
//! # Seeing calls
//!
//! Whoever collects `tracing` spans with the target `transom::call` and the level DEBUG sees each call as `transom.call`
//! where it is made and as `transom.handle` where it is answered: service, method, and how it ended. The fields `trace_id`,
//! `span_id` and `parent_id` make one trace of them, across processes and proxies; they travel as the metadata `traceparent`,
//! as W3C's *Trace Context* has it, and a call with such an entry is part of that trace. Calls that a handler makes over
//! [`Context::client`], or [within](Call::within) its own, are part of its trace. Metadata is in no span. When nobody
//! collects them, spans cost nothing. On sessions that begin while somebody collects events with the target `transom::frame`
//! and the level TRACE, each frame is one.
//!
//! [`Session::stats`] says at any time what there has been on a session, and what is under way: calls of either side and how
//! they ended, channels and their items, frames and bytes, how often this side slept and woke its peer.
//!
//! # What can be relied upon
//!
//! * **The other side may be hostile.** What it writes is copied first and checked then; breaking a [`Rule`] costs it its
//!   session, and nobody else anything. [`Access`] says who may come at all: by default the user who serves, and whoever is
//!   on this machine over TCP, where nobody's user is known. [`Options::policy`] says who may stay, on either side, once a
//!   peer has introduced itself; who may not is told why.
//! * **A death is noticed at once**, not by a time-out, but for that of a whole machine over TCP: see
//!   [`Options::keepalive`]. Calls in flight end as [`CallError::Disconnected`], which says
//!   whether they may have run; the memory shared with the dead goes with the session.
//! * **What a peer can have of this process is bounded** by [`Limits`] and [`Options`].
//! * **Dropping a call cancels it**, on the other side, too. Whatever is asynchronous here says what is lost when it is
//!   dropped.
//!
//! # What it does not do
//!
//! It encrypts nothing, over TCP either, does not speak to other languages, does not publish and subscribe, and is no
//! sandbox: a cell has all the rights of its user. Arguments, results and items are copied, once in and once out.
//! It runs on 64-bit little-endian Linux and nowhere else.
//!
//! # Where to read on
//!
//! * [`service`], for what may be in a service; [`CallError`], for what can happen to a call; [`Call`], for deadlines.
//! * [`channel`], [`Tx`] and [`Rx`], for items that go on after a call, or while it lasts; the module [`tunnel`], for byte
//!   streams.
//! * [`Session::open`], [`Service::accepting`] and [`Router`], for several connections on a session; the module [`proxy`],
//!   for passing them on.
//! * [`Fd`], for descriptors in arguments, results and items; [`FdError`].
//! * [`Server`], [`Connector`] and [`Address`], for more than [`serve`] and [`connect`] offer; [`Session`];
//!   [`ShutdownHandle`], for servers that end politely.
//! * [`raw`], for calls whose types are not known where they are made or answered.
//! * [`Host`], [`Spawn`], [`RestartPolicy`] and [`DeathReport`]; the module [`cell`], for the other end.
//! * `ARCHITECTURE.md` in the repository, for how it is built and what always holds.
//!
//! # Features and environment
//!
//! `macros`, the attribute, and `tokio`, all that is asynchronous, hosts included, are there by default; `testing`, links
//! that break on demand, is not. With `TRANSOM_SHM=off` in the environment of either side sessions stay on the socket.
#![cfg_attr(not(all(feature = "macros", feature = "tokio")), allow(rustdoc::broken_intra_doc_links))]

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
#[cfg(feature = "tokio")]
pub mod proxy;
#[cfg(all(doctest, feature = "macros", feature = "tokio"))]
mod readme;
mod service;
mod session;
mod sys;
#[cfg(feature = "tokio")]
pub mod tunnel;

/// Helpers for tests of what is built on sessions. With the feature `testing`.
///
/// ```
/// use std::io::ErrorKind::ConnectionReset;
/// use transom::{Connector, Options};
/// use transom::testing::{Breaker, Cut, Direction};
///
/// let breaker = Breaker::new();
/// let connector = Connector::new("mem:app").options(Options::new().breaker(&breaker));
/// // Once connected: nothing arrives any more, then so does the end.
/// breaker.hold(Direction::Incoming);
/// breaker.cut(Cut::Io(ConnectionReset));
/// ```
#[cfg(any(test, feature = "testing"))]
pub mod testing {
    pub use crate::link::{Breaker, Cut, Direction, Slow};
}

pub use endpoint::{
    ConnectError, Connector, OpenError, Options, ServeError, Server, ShutdownHandle, blocking,
};
#[cfg(feature = "tokio")]
pub use endpoint::{Listener, connect, serve};
#[cfg(feature = "tokio")]
pub use host::{Cause, Cell, DeathReport, Deaths, Host, RestartPolicy, Spawn, SpawnError};
pub use link::{
    Access, Address, AddressError, BadFrameHeader, Corrupt, FallbackReason, FdError, HandoverError,
    InheritError, Malformed, Peer, PeerReason, Refused, Transport, Versions,
};
pub use memory::AttachError;
pub use service::{
    Accepting, Acceptor, Argument, Call, CallError, CallOptions, Cancellation, Client, Connection,
    ConnectionError, Context, Descriptor, Extensions, Fd, IncomingConnection, Item, OpenConnection,
    Operation, RecvError, Response, Router, Rx, SendAllError, SendError, SendFailure, Service, Session,
    TryRecvError, TrySendError, Tx, channel, channel_with_window, raw,
};
pub use session::{
    BadLimit, CallStats, CloseReason, ConnectionSettings, Entry, Keepalive, Limits, Metadata, MetadataError,
    Method, Negotiated, ProtocolError, Refusal, RejectReason, Rejection, Role, Rule, SessionStats, Side,
    TrafficStats, Value,
};

#[doc(hidden)]
pub use service::private as __private;
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
