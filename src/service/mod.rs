//! What users write and call: services, clients, contexts, errors.
//!
//! `#[transom::service]` turns a trait into a server, two clients and a description; they stand on what is here.
//! A [`Session`] makes clients, a [`Call`] is a call that a client makes, a [`Service`] answers what the peer
//! calls, with a [`Context`] for handlers that ask for it. [`private`] is what generated code needs besides.

mod accept;
mod blocking;
mod call;
mod cancellation;
mod channel;
mod connection;
mod context;
mod coop;
mod descriptor;
mod dispatcher;
mod error;
mod extensions;
mod fd;
mod flight;
mod opening;
mod park;
pub mod private;
pub mod raw;
mod renewal;
mod response;
mod scope;
mod session;
#[cfg(all(test, feature = "macros", feature = "tokio"))]
mod tests;
pub(crate) mod trace;

pub use accept::{Accepting, Acceptor, IncomingConnection, Router};
pub use blocking::CallOptions;
pub use call::Call;
pub use cancellation::Cancellation;
pub use channel::{
    Item, RecvError, Rx, SendAllError, SendError, SendFailure, TryRecvError, TrySendError, Tx, channel,
    channel_with_window,
};
pub use connection::Connection;
pub use context::Context;
pub use descriptor::{Argument, Descriptor, Operation};
pub use dispatcher::Service;
pub(crate) use dispatcher::dispatcher;
pub use error::CallError;
pub use extensions::Extensions;
pub use fd::Fd;
pub use opening::{ConnectionError, OpenConnection};
pub(crate) use park::{park_on, park_until};
pub(crate) use renewal::{Renewal, Renewed, Renewing};
pub use response::Response;
pub use session::{Client, Session};
