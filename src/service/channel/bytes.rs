//! Channels of bytes for those who carry byte streams: sent from where they are, and read where they have arrived.

use std::task::{Context, Poll, ready};

use super::error::{RecvError, SendFailure};
use super::{Rx, Tx};
use crate::codec::{BYTES_LENGTH, Bytes, DecodeError, Message};
use crate::service::coop::cooperate;
use crate::session::{Flow, ItemRun};

impl Tx<Vec<u8>> {
    /// Ready with the most bytes that an item may have, once there is a channel.
    pub(crate) fn poll_most(&self, cx: &Context<'_>) -> Poll<Result<usize, SendFailure>> {
        let bound = ready!(self.pairing().poll_bound(Flow::Out, cx.waker()))?;
        let most = usize::try_from(bound.payload).unwrap_or(usize::MAX);
        Poll::Ready(Ok(most.saturating_sub(BYTES_LENGTH)))
    }

    /// Sends bytes as one item. Nobody else may be sending.
    pub(crate) fn poll_send_bytes(
        &mut self,
        bytes: &[u8],
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendFailure>> {
        cooperate(cx, |cx| {
            let bound = ready!(self.pairing().poll_bound(Flow::Out, cx.waker()))?;
            let message = Message::new(Bytes(bytes))?;
            let run = ItemRun { body: &message, count: 1, batch: false, descriptors: &[] };
            bound.calls().poll_send(bound.channel, &run, Some(cx.waker())).map_err(SendFailure::from)
        })
    }
}

impl Rx<Vec<u8>> {
    /// Ready with the bytes of the next item, which stays the next until it is [done with](Self::bytes_done).
    pub(crate) fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<&[u8]>, RecvError>> {
        ready!(cooperate(cx, |cx| self.poll_here(Some(cx.waker()))));
        Poll::Ready(match self.inbox.first() {
            Some(item) => item.ok_or(DecodeError::End).and_then(Bytes::decode).map(|bytes| Some(bytes.0)),
            None => return Poll::Ready(self.inbox.end().map_or(Ok(None), |end| end.clone().map(|_| None))),
        })
        .map_err(RecvError::from)
    }

    /// The bytes of the next item have been read.
    pub(crate) fn bytes_done(&mut self) {
        let length = self.inbox.first().flatten().map(<[u8]>::len);
        self.inbox.advance(length);
        self.inbox.give_back(self.pairing.bound(Flow::In));
    }

    /// Ready when the sender has reset the channel, even though some of its items are here.
    pub(crate) fn poll_reset(&mut self, cx: &Context<'_>) -> Poll<RecvError> {
        loop {
            match (self.inbox.known_end(), self.pairing.bound(Flow::In)) {
                (Some(Err(RecvError::Reset)), _) => return Poll::Ready(RecvError::Reset),
                (None, Some(bound)) => ready!(self.inbox.poll_fill(bound, Some(cx.waker()))),
                _ => return Poll::Pending,
            }
        }
    }
}
