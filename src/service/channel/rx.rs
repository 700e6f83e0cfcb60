//! The end of a channel to receive from.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use facet::Facet;
use futures_core::Stream;

use super::Item;
use super::crowd::block_on;
use super::error::{RecvError, TryRecvError};
use super::inbox::Inbox;
use super::pairing::{Leave, Pairing};
use crate::codec::{Handle, HandleError, ItemCodec, Kind, Receiver};
use crate::service::Connection;
use crate::service::coop::cooperate;
use crate::session::{ChannelId, Flow, Metadata};

/// The end of a channel that items are received from.
///
/// As items are received the sender may send more: it is never further ahead than a window.
///
/// Dropping it resets the channel: the sender's next item fails. Passing it on, in a call's arguments or in its result,
/// moves it to the peer.
#[derive(Facet)]
#[facet(proxy = Receiver)]
pub struct Rx<T> {
    // Read by reflection: the first field is the end.
    #[facet(opaque)]
    end: Arc<Handle>,
    #[facet(opaque)]
    pub(super) pairing: Arc<Pairing>,
    #[facet(opaque)]
    codec: ItemCodec<T>,
    #[facet(opaque)]
    pub(super) inbox: Inbox,
    /// Whether the stream has told how it ended.
    #[facet(opaque)]
    told: bool,
}

impl<T> Rx<T> {
    /// An end of a pair.
    pub(super) fn new(pairing: Arc<Pairing>) -> Self {
        let end = Handle::new(Kind::Receiver, Arc::clone(&pairing) as _);
        Self::with(end, pairing)
    }

    /// An end that has come with a message, without having been in a value.
    pub(in crate::service) fn arrived(connection: &Connection, channel: ChannelId) -> Self {
        let pairing = Arc::new(Pairing::arriving(Flow::In));
        pairing.bind(connection, channel);
        Self::with(Handle::taken(Kind::Receiver, Arc::clone(&pairing) as _), pairing)
    }

    pub(in crate::service) fn end(&self) -> &Arc<Handle> {
        &self.end
    }

    fn with(end: Arc<Handle>, pairing: Arc<Pairing>) -> Self {
        Self { end, pairing, codec: ItemCodec::new(), inbox: Inbox::default(), told: false }
    }

    /// What the sender said when it closed the channel, once all items have been received.
    pub fn end_metadata(&self) -> Option<&Metadata> {
        self.inbox.end()?.as_ref().ok()
    }
}

impl<T: Item> Rx<T> {
    /// Receives the next item; `None` when the sender has closed the channel and all have been received.
    ///
    /// # Errors
    /// [`RecvError`] says why there is none. After [`RecvError::Undecodable`] the next one may be received.
    ///
    /// # Cancel safety
    /// No item is lost when this is dropped.
    pub async fn recv(&mut self) -> Result<Option<T>, RecvError> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Like [`recv`](Self::recv), for those who poll.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    #[inline]
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<T>, RecvError>> {
        cooperate(cx, |cx| self.poll_next_item(Some(cx.waker())))
    }

    /// Receives the next item if it is here; `None` when the sender has closed the channel and all have been received.
    ///
    /// # Errors
    /// [`TryRecvError`] says whether one may come.
    pub fn try_recv(&mut self) -> Result<Option<T>, TryRecvError> {
        match self.poll_next_item(None) {
            Poll::Ready(received) => received.map_err(TryRecvError::Failed),
            Poll::Pending => Err(TryRecvError::Empty),
        }
    }

    /// Like [`recv`](Self::recv), with this thread.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub fn blocking_recv(&mut self) -> Result<Option<T>, RecvError> {
        loop {
            if let Some(received) = self.next_here() {
                return received;
            }
            match self.pairing.bound(Flow::In) {
                Some(bound) => self.inbox.block_fill(bound),
                None => {
                    let bound = poll_fn(|cx| self.pairing.poll_bound(Flow::In, cx.waker()));
                    block_on(bound).err().into_iter().for_each(|unbound| self.inbox.fail(unbound));
                }
            }
        }
    }

    /// The next item, or what comes after all items. Without a waker it only looks.
    #[inline]
    fn poll_next_item(&mut self, waker: Option<&Waker>) -> Poll<Result<Option<T>, RecvError>> {
        loop {
            if let Some(received) = self.next_here() {
                return Poll::Ready(received);
            }
            ready!(self.poll_more(waker));
        }
    }

    /// Takes more from the session. Without a waker it only looks.
    #[inline]
    fn poll_more(&mut self, waker: Option<&Waker>) -> Poll<()> {
        match (self.pairing.bound(Flow::In), waker) {
            (Some(bound), _) => ready!(self.inbox.poll_fill(bound, waker)),
            (None, Some(waker)) => {
                let bound = ready!(self.pairing.poll_bound(Flow::In, waker));
                bound.err().into_iter().for_each(|unbound| self.inbox.fail(unbound));
            }
            (None, None) => match self.pairing.outlook(Flow::In) {
                Some(unbound) => self.inbox.fail(unbound),
                None => return Poll::Pending,
            },
        }
        Poll::Ready(())
    }

    /// Ready when the next item is here, or what comes after all items. Without a waker it only looks.
    #[cfg(feature = "tokio")]
    pub(super) fn poll_here(&mut self, waker: Option<&Waker>) -> Poll<()> {
        while self.inbox.first().is_none() && self.inbox.end().is_none() {
            ready!(self.poll_more(waker));
        }
        Poll::Ready(())
    }

    /// What has been taken from the session: the next item, or the end.
    #[inline]
    fn next_here(&mut self) -> Option<Result<Option<T>, RecvError>> {
        if let Some(item) = self.inbox.next(&self.codec) {
            self.inbox.give_back(self.pairing.bound(Flow::In));
            return Some(item.map(Some));
        }
        Some(self.inbox.end()?.as_ref().map(|_| None).map_err(RecvError::clone))
    }
}

impl<T> Drop for Rx<T> {
    fn drop(&mut self) {
        self.pairing.leave(Flow::In, Leave::Reset);
    }
}

/// Items until the sender closes the channel, or an error that ends it.
impl<T: Item> Stream for Rx<T> {
    type Item = Result<T, RecvError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let rx = self.get_mut();
        Poll::Ready(match ready!(rx.poll_recv(cx)) {
            // What ends the stream is said once.
            Err(error) if error.is_final() && std::mem::replace(&mut rx.told, true) => None,
            received => received.transpose(),
        })
    }
}

#[doc(hidden)]
impl<T> TryFrom<Receiver> for Rx<T> {
    type Error = HandleError;

    fn try_from(receiver: Receiver) -> Result<Self, HandleError> {
        let pairing = Arc::new(Pairing::arriving(Flow::In));
        Ok(Self::with(receiver.handle(Arc::clone(&pairing) as _)?, pairing))
    }
}

#[doc(hidden)]
impl<T> TryFrom<&Rx<T>> for Receiver {
    type Error = HandleError;

    fn try_from(rx: &Rx<T>) -> Result<Self, HandleError> {
        Self::of(&rx.end)
    }
}

impl<T> fmt::Debug for Rx<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channel = self.pairing.bound(Flow::In).map(|bound| bound.channel);
        f.debug_struct("Rx").field("channel", &channel).finish_non_exhaustive()
    }
}
