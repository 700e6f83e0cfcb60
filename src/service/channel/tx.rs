//! The end of a channel to send on.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use facet::Facet;

use super::crowd::{Turn, Turns, block_on};
use super::error::{SendAllError, SendError, SendFailure, TrySendError};
use super::pairing::{Bound, Leave, Pairing};
use super::sending::{Sending, SendingAll};
use super::{Crowd, Departing, Item};
use crate::codec::{Handle, HandleError, ItemCodec, Kind, Sender};
use crate::link::Buffer;
use crate::service::Connection;
use crate::service::coop::cooperate;
use crate::session::{ChannelId, Flow, Metadata};

/// The end of a channel that items are sent on.
///
/// Sending waits while the receiver is a window behind. Several tasks may send; items of each come in its order.
///
/// Dropping it closes the channel, as [`close`](Self::close) does. Passing it on, in a call's arguments or in its result,
/// moves it to the peer.
#[derive(Facet)]
#[facet(proxy = Sender)]
pub struct Tx<T> {
    // Read by reflection: the first field is the end.
    #[facet(opaque)]
    end: Arc<Handle>,
    #[facet(opaque)]
    pairing: Arc<Pairing>,
    #[facet(opaque)]
    codec: ItemCodec<T>,
    #[facet(opaque)]
    turns: Turns,
    /// Those who wait for the receiver to be gone.
    #[facet(opaque)]
    watching: Arc<Crowd>,
    /// An item that waits to be sent, for those who use this as a sink.
    #[facet(opaque)]
    pub(super) slot: Option<(Buffer, Departing)>,
    #[facet(opaque)]
    left: bool,
}

impl<T> Tx<T> {
    /// An end of a pair.
    pub(super) fn new(pairing: Arc<Pairing>) -> Self {
        let end = Handle::new(Kind::Sender, Arc::clone(&pairing) as _);
        Self::with(end, pairing)
    }

    /// An end that has come with a message, without having been in a value.
    pub(in crate::service) fn arrived(connection: &Connection, channel: ChannelId) -> Self {
        let pairing = Arc::new(Pairing::arriving(Flow::Out));
        pairing.bind(connection, channel);
        Self::with(Handle::taken(Kind::Sender, Arc::clone(&pairing) as _), pairing)
    }

    pub(in crate::service) fn end(&self) -> &Arc<Handle> {
        &self.end
    }

    fn with(end: Arc<Handle>, pairing: Arc<Pairing>) -> Self {
        Self {
            end,
            pairing,
            codec: ItemCodec::new(),
            turns: Turns::default(),
            watching: Arc::default(),
            slot: None,
            left: false,
        }
    }

    pub(super) fn leave(&mut self, leave: Leave) {
        if !std::mem::replace(&mut self.left, true) {
            self.pairing.leave(Flow::Out, leave);
        }
    }
}

impl<T: Item> Tx<T> {
    /// Sends an item, as soon as there is credit for it and room.
    ///
    /// # Errors
    /// [`SendError`] says why it was not sent, and gives it back.
    ///
    /// # Cancel safety
    /// When this is dropped the item has not been sent, and no credit is lost.
    pub async fn send(&self, item: T) -> Result<(), SendError<T>> {
        let mut sending = Sending::new(self, item);
        let sent = poll_fn(|cx| cooperate(cx, |cx| sending.poll(cx))).await;
        sending.outcome(sent)
    }

    /// Sends an item if that can be now.
    ///
    /// # Errors
    /// [`TrySendError`] says whether it may be sent later, and gives it back.
    pub fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        let mut sending = Sending::new(self, item);
        match sending.attempt_now() {
            Poll::Ready(sent) => sending.outcome(sent).map_err(TrySendError::Failed),
            Poll::Pending => Err(TrySendError::Full(sending.into_item())),
        }
    }

    /// Sends items, as many in one step as there is credit for.
    ///
    /// # Errors
    /// [`SendAllError`] says how many were sent, and why no more.
    ///
    /// # Cancel safety
    /// When this is dropped the first items have been sent, up to any, and all others are lost.
    pub async fn send_all<I>(&self, items: I) -> Result<(), SendAllError>
    where
        I: IntoIterator<Item = T>,
    {
        let mut sending = SendingAll::new(self, items.into_iter());
        let sent = poll_fn(|cx| sending.poll(cx)).await;
        sending.outcome(sent)
    }

    /// Like [`send`](Self::send), with this thread.
    ///
    /// # Errors
    /// [`SendError`] says why the item was not sent, and gives it back.
    pub fn blocking_send(&self, item: T) -> Result<(), SendError<T>> {
        let sending = Sending::new(self, item);
        let sent = sending.block();
        sending.outcome(sent)
    }

    /// Like [`send_all`](Self::send_all), with this thread.
    ///
    /// # Errors
    /// [`SendAllError`] says how many items were sent, and why no more.
    pub fn blocking_send_all(&self, items: impl IntoIterator<Item = T>) -> Result<(), SendAllError> {
        let mut sending = SendingAll::new(self, items.into_iter());
        let sent = sending.block();
        sending.outcome(sent)
    }

    /// Closes the channel: its receiver gets all items, and then the end.
    pub fn close(self) {
        drop(self);
    }

    /// Like [`close`](Self::close), and the end says this, too.
    pub fn close_with(mut self, metadata: Metadata) {
        self.leave(Leave::Finish(metadata));
    }

    /// Ends the channel at once: the receiver may not get the last items, and learns that it was reset.
    pub fn reset(mut self) {
        self.leave(Leave::Reset);
    }

    /// Waits until the receiver takes no more, and says why.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped.
    pub async fn closed(&self) -> SendFailure {
        poll_fn(|cx| self.poll_closed(cx)).await
    }

    /// Like [`closed`](Self::closed), for those who poll.
    pub fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<SendFailure> {
        let bound = match ready!(self.pairing.poll_bound(Flow::Out, cx.waker())) {
            Ok(bound) => bound,
            Err(unbound) => return Poll::Ready(unbound.into()),
        };
        self.watching.join(cx.waker());
        let all = Arc::clone(&self.watching).into();
        bound.calls().poll_gone(bound.channel, &all).map(SendFailure::from)
    }

    /// Whether the receiver is known to take no more.
    pub fn is_closed(&self) -> bool {
        match self.pairing.bound(Flow::Out) {
            Some(bound) => bound.calls().credit(bound.channel).is_err(),
            None => self.pairing.outlook(Flow::Out).is_some(),
        }
    }

    #[inline]
    pub(super) fn pairing(&self) -> &Pairing {
        &self.pairing
    }

    #[inline]
    pub(super) fn codec(&self) -> &ItemCodec<T> {
        &self.codec
    }

    #[inline]
    pub(super) fn turns(&self) -> &Turns {
        &self.turns
    }

    /// Waits, with this thread, for a channel and for the turn.
    #[inline]
    pub(super) fn block(&self) -> Result<(&Bound, Turn<'_>), SendFailure> {
        let bound = match self.pairing.bound(Flow::Out) {
            Some(bound) => bound,
            None => block_on(poll_fn(|cx| self.pairing.poll_bound(Flow::Out, cx.waker())))?,
        };
        let turn = match self.turns.try_take() {
            Some(turn) => turn,
            None => block_on(poll_fn(|cx| self.turns.poll_take(cx.waker()))),
        };
        Ok((bound, turn))
    }
}

impl<T> Drop for Tx<T> {
    fn drop(&mut self) {
        self.leave(Leave::Finish(Metadata::new()));
    }
}

#[doc(hidden)]
impl<T> TryFrom<Sender> for Tx<T> {
    type Error = HandleError;

    fn try_from(sender: Sender) -> Result<Self, HandleError> {
        let pairing = Arc::new(Pairing::arriving(Flow::Out));
        Ok(Self::with(sender.handle(Arc::clone(&pairing) as _)?, pairing))
    }
}

#[doc(hidden)]
impl<T> TryFrom<&Tx<T>> for Sender {
    type Error = HandleError;

    fn try_from(tx: &Tx<T>) -> Result<Self, HandleError> {
        Self::of(&tx.end)
    }
}

impl<T> fmt::Debug for Tx<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channel = self.pairing.bound(Flow::Out).map(|bound| bound.channel);
        f.debug_struct("Tx").field("channel", &channel).finish_non_exhaustive()
    }
}
