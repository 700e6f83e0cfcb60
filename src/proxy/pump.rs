//! Passing the items of a channel on to another one.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::driver::Calls;
use crate::session::{ChannelId, Gone, ItemRun, Items, Metadata, Received};

/// A channel's end here, to be ended by whoever holds this.
pub(super) struct End {
    calls: Arc<dyn Calls>,
    channel: ChannelId,
    ended: bool,
}

impl End {
    pub(super) fn new(calls: &Arc<dyn Calls>, channel: ChannelId) -> Self {
        Self { calls: Arc::clone(calls), channel, ended: false }
    }

    fn finish(mut self, metadata: &Metadata) {
        self.ended = true;
        self.calls.finish(self.channel, metadata);
    }
}

/// Nobody passes anything on any more.
impl Drop for End {
    fn drop(&mut self) {
        if !self.ended {
            self.calls.reset(self.channel);
        }
    }
}

/// Passes all items that come `from` a channel on `to` another one, and how it ends.
pub(super) fn start(from: End, to: End) {
    tokio::spawn(async move {
        let mut pump = Pump { from, to, waiting: VecDeque::new(), passed: 0, end: None };
        if let Some(metadata) = poll_fn(|cx| pump.poll(cx)).await {
            pump.to.finish(&metadata.propagated());
            // The sender has ended its channel; this says that its end has been seen.
            drop(pump.from);
        }
    });
}

struct Pump {
    from: End,
    to: End,
    /// Items that have been taken and not been sent: at most what the sender has credit for.
    waiting: VecDeque<Items>,
    /// What they cost that have been sent since the sender was last told.
    passed: u64,
    /// How the channel has ended, after the items that wait.
    end: Option<Metadata>,
}

impl Pump {
    /// Ready with the end of the channel after all its items, or with `None` if either side is gone.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Metadata>> {
        loop {
            let sent = self.poll_send(cx);
            if let Poll::Ready(Err(_)) = sent {
                return Poll::Ready(None);
            }
            if self.end.is_some() {
                return if sent.is_pending() { Poll::Pending } else { Poll::Ready(self.end.take()) };
            }
            // Also while nothing can be sent: that the sender has given up is not to wait for that.
            let (from, waker, passed) = (&self.from, cx.waker(), std::mem::take(&mut self.passed));
            match from.calls.poll_receive(from.channel, passed, &mut self.waiting, Some(waker)) {
                Poll::Ready(Ok(Received::Items)) => {}
                Poll::Ready(Ok(Received::End(metadata))) => self.end = Some(metadata),
                Poll::Ready(Err(_)) => return Poll::Ready(None),
                Poll::Pending if sent.is_pending() => return Poll::Pending,
                Poll::Pending => return self.to.calls.poll_gone(self.to.channel, waker).map(|_| None),
            }
        }
    }

    /// Sends what waits; ready when nothing does.
    fn poll_send(&mut self, cx: &Context<'_>) -> Poll<Result<(), Gone>> {
        while let Some(items) = self.waiting.front() {
            let body = items.payload.as_slice();
            let run = ItemRun { body: &body, count: items.count, batch: items.batch };
            ready!(self.to.calls.poll_send(self.to.channel, &run, Some(cx.waker())))?;
            self.passed += items.cost();
            self.waiting.pop_front();
        }
        Poll::Ready(Ok(()))
    }
}
