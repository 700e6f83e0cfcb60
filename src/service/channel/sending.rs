//! Items on their way into a session: one, or as many as there is credit for.

use std::task::{Context, Poll, Waker, ready};

use super::crowd::Turn;
use super::error::{SendAllError, SendError, SendFailure};
use super::pairing::Bound;
use super::{Departing, Item, Tx};
use crate::codec::{Body, Encode, EncodeError, Handles, ItemCodec, Message, Sink};
use crate::link::Buffer;
use crate::service::coop::cooperate;
use crate::session::{Flow, ITEM_LENGTH, ITEM_OVERHEAD, ItemRun};

/// The most bytes of a batch: small enough for the receiver to take some while others are on their way.
const BATCH: usize = 16 * 1024;

/// An item with its codec.
struct One<'i, T> {
    codec: &'i ItemCodec<T>,
    item: &'i T,
}

impl<T: Item> Encode for One<'_, T> {
    #[inline]
    fn size(&self) -> Option<usize> {
        self.codec.size(self.item)
    }

    #[inline]
    fn encode<S: Sink>(&self, out: &mut S) -> Result<(), EncodeError> {
        self.codec.encode(self.item, out)
    }

    #[inline]
    fn handles(&self, handles: &mut Handles) {
        self.codec.handles(self.item, handles);
    }
}

/// Appends the encoding of an item to others; what goes along with it.
#[inline]
pub(super) fn encode<T: Item>(
    codec: &ItemCodec<T>,
    item: &T,
    into: &mut Vec<u8>,
) -> Result<Departing, EncodeError> {
    if !codec.passes() {
        codec.encode(item, into)?;
        return Ok(Departing::default());
    }
    let mut handles = Handles::new();
    codec.handles(item, &mut handles);
    Departing::around(&handles, || codec.encode(item, into)).map(|((), departing)| departing)
}

/// An item that is being sent.
pub(super) struct Sending<'t, T> {
    tx: &'t Tx<T>,
    item: T,
    /// Its encoding, if it is not written where it will be read, and what goes along with it.
    encoded: Option<(Buffer, Departing)>,
    turn: Option<Turn<'t>>,
}

impl<'t, T: Item> Sending<'t, T> {
    #[inline]
    pub(super) fn new(tx: &'t Tx<T>, item: T) -> Self {
        Self { tx, item, encoded: None, turn: None }
    }

    /// Sends the item when there is a channel, it is this one's turn, and there are credit and room.
    #[inline]
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<(), SendFailure>> {
        let bound = ready!(self.tx.pairing().poll_bound(Flow::Out, cx.waker()))?;
        if self.turn.is_none() {
            self.turn = Some(ready!(self.tx.turns().poll_take(cx.waker())));
        }
        let sent = ready!(self.attempt(bound, Some(cx.waker())));
        self.turn = None;
        Poll::Ready(sent)
    }

    /// Sends the item now, if that can be.
    pub(super) fn attempt_now(&mut self) -> Poll<Result<(), SendFailure>> {
        let pairing = self.tx.pairing();
        let Some(bound) = pairing.bound(Flow::Out) else {
            return pairing
                .outlook(Flow::Out)
                .map_or(Poll::Pending, |unbound| Poll::Ready(Err(unbound.into())));
        };
        match self.tx.turns().try_take() {
            Some(_turn) => self.attempt(bound, None),
            None => Poll::Pending,
        }
    }

    /// Sends the item, with this thread.
    pub(super) fn block(&self) -> Result<(), SendFailure> {
        let (bound, _turn) = self.tx.block()?;
        let (message, departing) = Departing::encode(One { codec: self.tx.codec(), item: &self.item })?;
        let descriptors = &departing.descriptors();
        let run = ItemRun { body: &message, count: 1, batch: false, descriptors };
        Ok(bound.calls().send_blocking(bound.channel, &run)?)
    }

    #[inline]
    fn attempt(&mut self, bound: &Bound, waker: Option<&Waker>) -> Poll<Result<(), SendFailure>> {
        let send = |body: &dyn Body, departing: &Departing| {
            let descriptors = &departing.descriptors();
            let run = ItemRun { body, count: 1, batch: false, descriptors };
            bound.calls().poll_send(bound.channel, &run, waker)
        };
        if let Some((encoded, departing)) = &self.encoded {
            return send(&&encoded[..], departing).map_err(SendFailure::from);
        }
        let (message, departing) = Departing::encode(One { codec: self.tx.codec(), item: &self.item })?;
        let sent = send(&message, &departing);
        if sent.is_pending()
            && let Message::Bytes(encoded) = message
        {
            self.encoded = Some((encoded, departing));
        }
        sent.map_err(SendFailure::from)
    }

    pub(super) fn into_item(self) -> T {
        self.item
    }

    /// The item with the reason, if it was not sent.
    #[inline]
    pub(super) fn outcome(self, sent: Result<(), SendFailure>) -> Result<(), SendError<T>> {
        sent.map_err(|reason| SendError { item: self.item, reason })
    }
}

/// Items that are being sent, in batches as large as credit allows.
pub(super) struct SendingAll<'t, T, I> {
    tx: &'t Tx<T>,
    items: I,
    batch: Batch,
    sent: u64,
    turn: Option<Turn<'t>>,
}

impl<'t, T: Item, I: Iterator<Item = T>> SendingAll<'t, T, I> {
    pub(super) fn new(tx: &'t Tx<T>, items: I) -> Self {
        Self { tx, items, batch: Batch::default(), sent: 0, turn: None }
    }

    /// Ready when all items have been sent.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendFailure>> {
        let bound = ready!(self.tx.pairing().poll_bound(Flow::Out, cx.waker()))?;
        if self.turn.is_none() {
            self.turn = Some(ready!(self.tx.turns().poll_take(cx.waker())));
        }
        while self.prepare(bound)? {
            ready!(cooperate(cx, |cx| {
                self.batch.send(|run| bound.calls().poll_send(bound.channel, run, Some(cx.waker())))
            }))?;
            self.advance();
        }
        self.turn = None;
        Poll::Ready(Ok(()))
    }

    /// Sends all items, with this thread.
    pub(super) fn block(&mut self) -> Result<(), SendFailure> {
        let (bound, _turn) = self.tx.block()?;
        while self.prepare(bound)? {
            self.batch.send(|run| bound.calls().send_blocking(bound.channel, run))?;
            self.advance();
        }
        Ok(())
    }

    /// Fills the batch if it is empty. Whether there is something to send.
    fn prepare(&mut self, bound: &Bound) -> Result<bool, SendFailure> {
        if self.batch.count == 0 {
            let credit = bound.calls().credit(bound.channel)?;
            let room = BATCH.min(usize::try_from(bound.payload).unwrap_or(BATCH));
            self.batch.fill(self.tx.codec(), &mut self.items, credit, room)?;
        }
        Ok(self.batch.count > 0)
    }

    fn advance(&mut self) {
        self.sent += u64::from(self.batch.count);
        self.batch.sent();
    }

    pub(super) fn outcome(self, sent: Result<(), SendFailure>) -> Result<(), SendAllError> {
        sent.map_err(|reason| SendAllError { sent: self.sent, reason })
    }
}

/// Items that go in one frame, encoded. If there are several, each is preceded by its length.
#[derive(Default)]
struct Batch {
    bytes: Buffer,
    /// Where in `bytes` the last of the items ends. Behind them is one more at most, which did not go with them.
    end: usize,
    count: u32,
    /// What stands behind them instead: one that cannot be encoded.
    failure: Option<SendFailure>,
    /// What goes along with the one item, if it may have descriptors in it.
    departing: Departing,
}

impl Batch {
    /// Takes items while there is credit for them and they take no more than `room`, and one at least.
    fn fill<T: Item>(
        &mut self,
        codec: &ItemCodec<T>,
        items: &mut impl Iterator<Item = T>,
        credit: u64,
        room: usize,
    ) -> Result<(), SendFailure> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let mut cost = 0;
        loop {
            let start = self.end;
            // One may be left from the last time.
            if self.bytes.len() == start {
                let Some(item) = items.next() else { return Ok(()) };
                if let Err(failure) = self.encode(codec, &item) {
                    self.bytes.truncate(start);
                    if self.count == 0 {
                        return Err(failure);
                    }
                    self.failure = Some(failure);
                    return Ok(());
                }
            }
            cost += (self.bytes.len() - start - ITEM_LENGTH) as u64 + ITEM_OVERHEAD;
            if self.count > 0 && (cost > credit || self.bytes.len() > room) {
                return Ok(());
            }
            self.count += 1;
            self.end = self.bytes.len();
            // Descriptors go with an item that is alone.
            if cost >= credit || self.end >= room || codec.passes() {
                return Ok(());
            }
        }
    }

    /// Appends an item and, before it, its length.
    fn encode<T: Item>(&mut self, codec: &ItemCodec<T>, item: &T) -> Result<(), SendFailure> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; ITEM_LENGTH]);
        self.departing = encode(codec, item, &mut self.bytes)?;
        let size = self.bytes.len() - start - ITEM_LENGTH;
        let too_large = |_| SendFailure::TooLarge { size: size as u64, limit: u32::MAX.into() };
        let length = u32::try_from(size).map_err(too_large)?;
        self.bytes[start..start + ITEM_LENGTH].copy_from_slice(&length.to_le_bytes());
        Ok(())
    }

    /// Has the items sent.
    fn send<R>(&self, send: impl FnOnce(&ItemRun<'_>) -> R) -> R {
        let batch = self.count > 1;
        let bytes = if batch { &self.bytes[..self.end] } else { &self.bytes[ITEM_LENGTH..self.end] };
        let descriptors = &self.departing.descriptors();
        send(&ItemRun { body: &bytes, count: self.count, batch, descriptors })
    }

    /// The items have been sent.
    fn sent(&mut self) {
        self.bytes.drain(..self.end);
        (self.end, self.count) = (0, 0);
        self.departing = Departing::default();
    }
}
