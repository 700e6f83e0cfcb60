//! Channels: one-way streams of items, made by passing one end in the arguments or the result of a call.
//!
//! ```text
//!  channel() ──> Tx ─┐                                                     ┌─> Rx of the handler
//!            └─> Rx  └─ passed in a call, or in its result: Departing ──> Arriving
//!                 │           number, declare, bind                take, bind
//!                 └──────── Pairing: unbound ──> bound ───────────────────────> session
//! ```
//!
//! An end in a message is a number ([`Handle`](crate::codec::Handle)); which channel it stands for is in the message's list.
//! Both ends of a pair share a [`Pairing`](pairing::Pairing), which knows the session's channel once one of them has been
//! passed on.

#[cfg(feature = "tokio")]
mod bytes;
mod crowd;
mod error;
mod inbox;
mod pairing;
mod passing;
mod rx;
mod sending;
mod sink;
mod tx;

use std::sync::Arc;

use facet::Facet;

use crowd::Crowd;
pub use error::{RecvError, SendAllError, SendError, SendFailure, TryRecvError, TrySendError};
use pairing::Pairing;
pub(in crate::service) use passing::{Departing, bind};
pub use rx::Rx;
pub use tx::Tx;

/// What channels carry: anything that is `Facet`, `Send`, and borrows nothing.
///
/// Numbers, strings, bytes, lists, options and small tuples of these, and arrays of bytes or floats, are encoded without
/// reflection. An item has no channel ends in it; it may have descriptors, [`Fd`](crate::Fd).
pub trait Item: Facet<'static> + Send + 'static {}

impl<T: Facet<'static> + Send + 'static> Item for T {}

/// A channel for one end to be passed on, in the arguments of a call or in its result, and the other to be kept.
///
/// ```
/// # use transom::{CallError, Rx, Tx};
/// #[transom::service]
/// trait Clock {
///     async fn ticks(&self, count: u32, out: Tx<u32>);
/// }
/// # async fn example(clock: ClockClient) -> Result<(), Box<dyn std::error::Error>> {
/// let (tx, mut rx) = transom::channel();
/// clock.ticks(3, tx).await?;
/// while let Some(tick) = rx.recv().await? {
///     println!("{tick}");
/// }
/// # Ok(())
/// # }
/// ```
///
/// Until one end has been passed on nothing is carried: sending and receiving wait. When one end is dropped before that,
/// the other one ends at once.
pub fn channel<T: Item>() -> (Tx<T>, Rx<T>) {
    pair(None)
}

/// Like [`channel`], and if the receiving end is kept, its sender may be ahead by `window` bytes rather than as much as the
/// connection's limits say. An item counts as its encoding and 32 bytes more, and 1024 more for each descriptor in it; one
/// that is larger than the window is sent alone.
pub fn channel_with_window<T: Item>(window: u32) -> (Tx<T>, Rx<T>) {
    pair(Some(window.max(1)))
}

fn pair<T: Item>(window: Option<u32>) -> (Tx<T>, Rx<T>) {
    let pairing = Arc::new(Pairing::new(window));
    (Tx::new(Arc::clone(&pairing)), Rx::new(pairing))
}
