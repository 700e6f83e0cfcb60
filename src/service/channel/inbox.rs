//! Items that have left the session and wait for the application: taken from it many at a time, and handed out one by one.

use std::collections::VecDeque;
use std::mem::take;
use std::task::{Poll, Waker};

use super::Item;
use super::error::RecvError;
use super::pairing::{Bound, Unbound};
use super::passing::bind_descriptors;
use crate::codec::{DecodeError, Handles, ItemCodec};
use crate::session::{Gone, ITEM_LENGTH, ITEM_OVERHEAD, Items, Metadata, Received};

/// What was taken from a session and not yet handed out.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    queue: VecDeque<Items>,
    /// Where in the first payload the next item begins.
    at: usize,
    /// What the items of the first payload cost that were handed out.
    cost: u64,
    /// How many they are.
    count: u32,
    /// The credit to be given back.
    consumed: u64,
    /// What comes after all items.
    end: Option<Result<Metadata, RecvError>>,
}

impl Inbox {
    /// The next item, if one is here.
    #[inline]
    pub(super) fn next<T: Item>(&mut self, codec: &ItemCodec<T>) -> Option<Result<T, RecvError>> {
        let bytes = self.first()?;
        let item = bytes.ok_or(DecodeError::End).and_then(|bytes| codec.decode(bytes));
        let length = bytes.map(<[u8]>::len);
        let item = if codec.passes() { item.and_then(|item| self.bind(codec, item)) } else { item };
        self.advance(length);
        Some(item.map_err(RecvError::from))
    }

    /// Has the descriptors in the next item stand for those that came with it.
    #[cold]
    fn bind<T: Item>(&mut self, codec: &ItemCodec<T>, item: T) -> Result<T, DecodeError> {
        let mut handles = Handles::new();
        codec.handles(&item, &mut handles);
        if let Some(first) = self.queue.front_mut() {
            bind_descriptors(&handles, &mut first.descriptors)?;
        }
        Ok(item)
    }

    /// The encoding of the next item, if one is here; the batch may not be one.
    #[inline]
    pub(super) fn first(&self) -> Option<Option<&[u8]>> {
        let first = self.queue.front()?;
        Some(if first.batch { part(&first.payload, self.at) } else { Some(&first.payload[..]) })
    }

    /// The next item, of this length, is done with.
    #[inline]
    pub(super) fn advance(&mut self, length: Option<usize>) {
        let Some(first) = self.queue.front() else { return };
        match length {
            Some(length) if self.count + 1 < first.count => {
                self.at += ITEM_LENGTH + length;
                self.count += 1;
                let cost = length as u64 + ITEM_OVERHEAD;
                self.cost += cost;
                self.consumed += cost;
            }
            // The last one, or a batch that is not one, whose items end here.
            _ => {
                self.consumed += first.cost().saturating_sub(self.cost);
                (self.at, self.cost, self.count) = (0, 0, 0);
                self.queue.pop_front();
            }
        }
    }

    /// What comes after all items, once it is known and they have been handed out.
    pub(super) fn end(&self) -> Option<&Result<Metadata, RecvError>> {
        self.end.as_ref().filter(|_| self.queue.is_empty())
    }

    /// What will come after all items, if it is known.
    #[cfg(feature = "tokio")]
    pub(super) fn known_end(&self) -> Option<&Result<Metadata, RecvError>> {
        self.end.as_ref()
    }

    /// Asks the session for more. Ready when there is something.
    #[inline]
    pub(super) fn poll_fill(&mut self, bound: &Bound, waker: Option<&Waker>) -> Poll<()> {
        let consumed = take(&mut self.consumed);
        bound.calls().poll_receive(bound.channel, consumed, &mut self.queue, waker).map(|got| self.note(got))
    }

    /// Waits for more, with this thread.
    pub(super) fn block_fill(&mut self, bound: &Bound) {
        let consumed = take(&mut self.consumed);
        let got = bound.calls().receive_blocking(bound.channel, consumed, &mut self.queue);
        self.note(got);
    }

    fn note(&mut self, got: Result<Received, Gone>) {
        match got {
            Ok(Received::Items) => {}
            Ok(Received::End(metadata)) => self.end = Some(Ok(metadata)),
            Err(gone) => self.end = Some(Err(gone.into())),
        }
    }

    /// Gives credit back if it has become enough, before all items have been handed out.
    #[inline]
    pub(super) fn give_back(&mut self, bound: Option<&Bound>) {
        if let Some(bound) = bound
            && self.consumed >= bound.refund
            && self.end.is_none()
            && !self.queue.is_empty()
        {
            // What is not there yet is not waited for.
            let _ready = self.poll_fill(bound, None);
        }
    }

    /// Nothing will ever come.
    pub(super) fn fail(&mut self, unbound: Unbound) {
        self.end = Some(match unbound {
            Unbound::Finished(metadata) => Ok(metadata),
            Unbound::Reset => Err(RecvError::Reset),
            Unbound::PassedOn => Err(RecvError::PassedOn),
        });
    }
}

/// The item of a batch whose length is at this place.
fn part(batch: &[u8], at: usize) -> Option<&[u8]> {
    let (length, rest) = batch.get(at..)?.split_first_chunk()?;
    rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)
}
