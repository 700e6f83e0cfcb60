//! Sending as a sink: an item is put in, and flushed.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_sink::Sink;

use super::error::SendFailure;
use super::pairing::Leave;
use super::sending::encode;
use super::{Item, Tx};
use crate::link::Buffer;
use crate::service::coop::cooperate;
use crate::session::{Flow, ItemRun, Metadata};

/// An item that was put in is sent before the next one, or by flushing or closing; dropping the sink loses it.
impl<T: Item> Sink<T> for Tx<T> {
    type Error = SendFailure;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendFailure>> {
        self.poll_flush(cx)
    }

    fn start_send(self: Pin<&mut Self>, item: T) -> Result<(), SendFailure> {
        let tx = self.get_mut();
        let mut bytes = Buffer::new();
        let departing = encode(tx.codec(), &item, &mut bytes)?;
        tx.slot = Some((bytes, departing));
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendFailure>> {
        let tx = self.get_mut();
        let Some((bytes, departing)) = &tx.slot else { return Poll::Ready(Ok(())) };
        let bytes: &[u8] = bytes;
        // Nobody else sends: whoever polls a sink has it for itself.
        let sent = ready!(cooperate(cx, |cx| {
            let bound = ready!(tx.pairing().poll_bound(Flow::Out, cx.waker()))?;
            let descriptors = &departing.descriptors();
            let run = ItemRun { body: &bytes, count: 1, batch: false, descriptors };
            bound.calls().poll_send(bound.channel, &run, Some(cx.waker())).map_err(SendFailure::from)
        }));
        tx.slot = None;
        Poll::Ready(sent)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendFailure>> {
        ready!(self.as_mut().poll_flush(cx))?;
        self.get_mut().leave(Leave::Finish(Metadata::new()));
        Poll::Ready(Ok(()))
    }
}
