//! The application's receiving ends of channels.

use std::collections::VecDeque;
use std::task::Poll;

use super::ensure;
use super::parties::Then;
use super::truth::{Last, Stream, item};
use super::world::Scene;
use crate::session::{ChannelId, Gone, ITEM_LENGTH, Items, Received};

/// Takes items in its own time, until there are no more.
#[derive(Debug)]
pub(super) struct Receiving {
    channel: ChannelId,
    queue: VecDeque<Items>,
    consumed: u64,
}

impl Scene<'_> {
    /// A receiving end is let go of.
    pub(super) fn refuse(&mut self, channel: ChannelId) {
        self.note(|| format!("refuses {channel:?}"));
        self.truth.stream(channel).refused = true;
        self.session.reset_channel(channel, self.out);
    }
}

impl Receiving {
    pub(super) fn new(channel: ChannelId) -> Self {
        Self { channel, queue: VecDeque::new(), consumed: 0 }
    }

    pub(super) fn channel(&self) -> ChannelId {
        self.channel
    }

    /// What it holds: how much of it has taken credit, and in how many frames.
    pub(super) fn held(&self) -> (u64, usize) {
        (self.queue.iter().map(Items::cost).sum::<u64>() + self.consumed, self.queue.len())
    }

    fn items(&self) -> usize {
        self.queue.iter().map(|items| items.count as usize).sum()
    }

    pub(super) fn run(&mut self, scene: &mut Scene<'_>) -> Then {
        if !self.queue.is_empty() && !scene.random.one_in(4) {
            self.take_one(scene);
            return Then::Again;
        }
        let consumed = std::mem::take(&mut self.consumed);
        // While it has something to do it only looks.
        let waker = self.queue.is_empty().then(|| scene.waker.clone());
        let had = self.items();
        let received =
            scene.session.poll_receive(self.channel, consumed, &mut self.queue, waker.as_ref(), scene.out);
        scene.truth.stream(self.channel).fetched += self.items() - had;
        match received {
            Poll::Pending if waker.is_some() => Then::Waits,
            Poll::Pending | Poll::Ready(Ok(Received::Items)) => Then::Again,
            Poll::Ready(Ok(Received::End(metadata))) => {
                while !self.queue.is_empty() {
                    self.take_one(scene);
                }
                let stream = scene.truth.stream(self.channel);
                let all = stream.taken == stream.sent.len();
                ensure!(all, "{:?} has ended before all of its items came: {stream:?}", self.channel);
                let right = stream.last == Some(Last::End(metadata));
                ensure!(right, "{:?} has ended otherwise: {stream:?}", self.channel);
                scene.truth.reached.ends += 1;
                self.let_go(scene)
            }
            Poll::Ready(Err(gone)) => {
                let reset = scene.truth.stream(self.channel).last == Some(Last::Reset);
                scene.truth.gone(scene.me, self.channel, &gone, reset);
                scene.truth.reached.resets += u64::from(gone == Gone::Reset);
                self.let_go(scene)
            }
        }
    }

    fn let_go(&self, scene: &mut Scene<'_>) -> Then {
        scene.note(|| format!("has all of {:?}", self.channel));
        scene.session.reset_channel(self.channel, scene.out);
        Then::Done
    }

    fn take_one(&mut self, scene: &mut Scene<'_>) {
        let Some(items) = self.queue.pop_front() else { return };
        scene.note(|| format!("takes {items:?} of {:?}", self.channel));
        scene.truth.reached.items += u64::from(items.count);
        let stream = scene.truth.stream(self.channel);
        let mut rest = items.payload.as_slice();
        for _ in 0..items.count {
            let length = if items.batch { length(&mut rest) } else { rest.len() };
            let (bytes, behind) = rest.split_at(length);
            rest = behind;
            check(stream, self.channel, bytes);
        }
        ensure!(rest.is_empty(), "there are more than {} items", items.count);
        self.consumed += items.cost();
    }
}

fn length(from: &mut &[u8]) -> usize {
    match from.split_first_chunk::<ITEM_LENGTH>() {
        Some((length, rest)) => {
            *from = rest;
            u32::from_le_bytes(*length) as usize
        }
        None => super::broken("an item of a batch has no length".to_owned()),
    }
}

/// Checks that an item is the next.
fn check(stream: &mut Stream, channel: ChannelId, bytes: &[u8]) {
    let at = stream.taken;
    let expected = stream.sent.get(at).map(|&length| item(channel, at, length));
    let right = expected.is_some_and(|expected| expected.eq(bytes.iter().copied()));
    ensure!(right, "item {at} of {channel:?} is wrong");
    stream.taken += 1;
}
