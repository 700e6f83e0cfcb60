//! From addresses to sessions: connecting, listening, and what every session is opened with.
//!
//! [`open`] joins what lies below: the hand-over makes a link of a socket, a driver runs a session on it, and the
//! session is its user's once the handshake is done. A [`Connector`] and the two listeners come to it from addresses;
//! hosts and cells come to it with sockets of their own.

pub mod blocking;
mod connect;
mod door;
mod error;
#[cfg(feature = "tokio")]
mod listener;
mod open;
mod options;
mod patience;
mod policy;
mod reconnect;
mod server;
mod tcp;

pub use connect::Connector;
#[cfg(feature = "tokio")]
pub use connect::connect;
pub use door::ShutdownHandle;
pub use error::{ConnectError, OpenError, ServeError};
#[cfg(feature = "tokio")]
pub use listener::{Listener, serve};
#[cfg(feature = "tokio")]
pub(crate) use open::open;
pub(crate) use open::{Opening, open_blocking};
pub use options::Options;
#[cfg(feature = "tokio")]
pub(crate) use patience::shortened;
pub use server::Server;
