//! Passing the items of a channel on to another one.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use super::part::{Part, Progress};
use crate::driver::Calls;
use crate::session::{ChannelId, Gone, Items, Metadata, Received};

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

    fn finish(&mut self, metadata: &Metadata) {
        if !std::mem::replace(&mut self.ended, true) {
            self.calls.finish(self.channel, metadata);
        }
    }

    fn reset(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.calls.reset(self.channel);
        }
    }
}

/// Nobody passes anything on any more.
impl Drop for End {
    fn drop(&mut self) {
        self.reset();
    }
}

/// Passes all items that come `from` a channel on `to` another one, and how it ends.
pub(super) fn start(from: End, to: End) -> Running {
    let pump = Running(Arc::new(Mutex::new(Pump::new(from, to))));
    let running = pump.clone();
    tokio::spawn(poll_fn(move |cx| running.lock().run(cx)));
    pump
}

/// A pump that a task runs.
#[derive(Clone)]
pub(super) struct Running(Arc<Mutex<Pump>>);

impl Running {
    fn lock(&self) -> MutexGuard<'_, Pump> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ready when what has come so far has been sent, or waits for credit: then what is sent next overtakes nothing that
    /// could have been sent. `goal` is the caller's to keep while it waits.
    pub(super) fn poll_passed(&self, goal: &mut Option<u64>, cx: &Context<'_>) -> Poll<()> {
        let mut pump = self.lock();
        // In the name of the task: whatever this waits for wakes that one, and it wakes whoever waits here.
        let task = pump.task.clone();
        if pump.poll(&mut Context::from_waker(&task)).is_ready() {
            task.wake();
            return Poll::Ready(());
        }
        let goal = *goal.get_or_insert(pump.sent + pump.waiting.len() as u64);
        if pump.sent >= goal || pump.starves() {
            return Poll::Ready(());
        }
        pump.follower = Some(cx.waker().clone());
        Poll::Pending
    }
}

struct Pump {
    from: End,
    to: End,
    /// Items that have been taken and not been sent: at most what the sender has credit for.
    waiting: VecDeque<Items>,
    /// How much of the first of them has been sent.
    progress: Progress,
    /// What they cost that have been sent since the sender was last told.
    passed: u64,
    /// How many frames have been sent.
    sent: u64,
    /// The most bytes that a frame there may have, if one was too large.
    most: u64,
    /// How the channel has ended, after the items that wait.
    end: Option<Metadata>,
    /// Both ends have ended.
    over: bool,
    /// What runs it.
    task: Waker,
    /// Who waits for items to be sent.
    follower: Option<Waker>,
}

impl Pump {
    fn new(from: End, to: End) -> Self {
        Self {
            from,
            to,
            waiting: VecDeque::new(),
            progress: Progress::default(),
            passed: 0,
            sent: 0,
            most: u64::MAX,
            end: None,
            over: false,
            task: Waker::noop().clone(),
            follower: None,
        }
    }

    /// Ready when both ends have ended.
    fn run(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.task.clone_from(cx.waker());
        let over = self.poll(cx);
        self.follower.take().into_iter().for_each(Waker::wake);
        over
    }

    /// Passes on what there is.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.over {
            if let Some(metadata) = ready!(self.poll_end(cx)) {
                self.to.finish(&metadata.propagated());
            }
            self.over = true;
            self.waiting.clear();
            // The one has said that it ends; this says to the other that this has been seen, or that nobody is left.
            self.to.reset();
            self.from.reset();
        }
        Poll::Ready(())
    }

    /// Ready with the end of the channel after all its items, or with `None` if either side is gone.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<Metadata>> {
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
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        while let Some(items) = self.waiting.front() {
            // Others have their turn, too.
            let turn = ready!(tokio::task::coop::poll_proceed(cx));
            let part = self.next_part(items)?;
            let descriptors = items.descriptors.borrow().unwrap_or_default();
            let run = part.run(&descriptors);
            match ready!(self.to.calls.poll_send(self.to.channel, &run, Some(cx.waker()))) {
                // It arrives without them, and does not decode there.
                Err(Gone::Descriptors(_)) => {
                    self.waiting.iter_mut().take(1).for_each(|items| items.descriptors.lose());
                    continue;
                }
                // The sides of that connection have agreed on less than those of the other one.
                Err(Gone::TooLarge { limit, .. }) if part.is_divisible() && limit < self.most => {
                    self.most = limit;
                    continue;
                }
                sent => sent?,
            }
            turn.made_progress();
            self.passed += part.cost();
            match self.progress.after(part, items) {
                Some(progress) => self.progress = progress,
                None => {
                    self.progress = Progress::default();
                    self.waiting.pop_front();
                    self.sent += 1;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// What is to be sent next of a frame: what is left of it, or what there is credit for.
    fn next_part<'a>(&self, items: &'a Items) -> Result<Part<'a>, Gone> {
        let rest = self.progress.rest(items);
        if !rest.is_divisible() {
            return Ok(rest);
        }
        Ok(rest.within(self.to.calls.credit(self.to.channel)?, self.most))
    }

    /// Whether there is no credit for what is to be sent next.
    fn starves(&self) -> bool {
        let next = self.waiting.front().map(|items| self.next_part(items));
        match (next, self.to.calls.credit(self.to.channel)) {
            (Some(Ok(part)), Ok(credit)) => part.cost() > credit,
            _ => false,
        }
    }
}
