//! The application's sending ends of channels.

use std::collections::VecDeque;
use std::task::Poll;

use super::ensure;
use super::parties::{Party, Then};
use super::receiving::Receiving;
use super::truth::{Last, item};
use super::world::Scene;
use crate::session::{ChannelId, Flow, Gone, ItemRun, Metadata};

/// Sends some items, and ends.
#[derive(Debug)]
pub(super) struct Sending {
    channel: ChannelId,
    /// The lengths of the items of each frame.
    runs: VecDeque<Vec<usize>>,
    last: Last,
    /// It asks whether the receiver is gone, too.
    watches: bool,
    /// Before it ends, it waits for the receiver to be gone.
    lingers: bool,
}

impl Scene<'_> {
    /// Somebody has an end of a channel from now on.
    pub(super) fn begin(&mut self, channel: ChannelId, flow: Flow) {
        // Now and then nobody wants it.
        let dropped = self.random.one_in(8);
        match flow {
            Flow::In if dropped => self.refuse(channel),
            Flow::Out if dropped => self.end(channel),
            Flow::In => self.added.push(Party::Receiving(Receiving::new(channel))),
            Flow::Out => {
                let sending = self.sending(channel);
                self.added.push(Party::Sending(sending));
            }
        }
    }

    fn sending(&mut self, channel: ChannelId) -> Sending {
        let window = self.truth.stream(channel).window as usize;
        let most = self.setup.agreed.payload as usize + 40;
        let mut length = || match self.random.below(12) {
            0 => self.random.up_to(most),
            1 => self.random.up_to(3 * window),
            2 => self.random.up_to(window),
            _ => self.random.up_to(24),
        };
        let lengths: Vec<usize> = (0..24).map(|_| length()).collect();
        let mut lengths = lengths.into_iter();
        let runs = (0..self.random.up_to(8)).map(|_| {
            let count = if self.random.one_in(2) { 1 } else { 1 + self.random.index(3) };
            lengths.by_ref().take(count).collect()
        });
        let runs = runs.collect();
        let last = if self.random.one_in(6) { Last::Reset } else { Last::End(self.some_metadata()) };
        let (watches, lingers) = (self.random.one_in(3), self.random.one_in(8));
        Sending { channel, runs, last, watches, lingers: lingers && !self.desk.rests }
    }

    /// A sending end is let go of before it has sent all.
    pub(super) fn end(&mut self, channel: ChannelId) {
        let last = if self.random.one_in(2) { Last::Reset } else { Last::End(self.some_metadata()) };
        self.finish(channel, last);
    }

    fn finish(&mut self, channel: ChannelId, last: Last) {
        self.note(|| format!("ends {channel:?}: {last:?}"));
        let open = self.session.credit(channel, self.out).is_ok();
        let admitted = match &last {
            Last::End(metadata) if self.setup.agreed.admit(metadata) => last.clone(),
            Last::End(_) => Last::End(Metadata::new()),
            Last::Reset => Last::Reset,
        };
        if open {
            self.truth.stream(channel).last = Some(admitted);
        }
        match last {
            Last::End(metadata) => self.session.finish_channel(channel, &metadata, self.out),
            Last::Reset => self.session.reset_channel(channel, self.out),
        }
    }
}

impl Sending {
    pub(super) fn channel(&self) -> ChannelId {
        self.channel
    }

    /// Whether it has sent all, and waits for the receiver to be gone.
    pub(super) fn is_lingering(&self) -> bool {
        self.lingers && self.runs.is_empty()
    }

    /// Waits for nobody any more.
    pub(super) fn hurry(&mut self) {
        self.lingers = false;
    }

    pub(super) fn run(&mut self, scene: &mut Scene<'_>) -> Then {
        if self.watches || self.lingers && self.runs.is_empty() {
            match scene.session.poll_gone(self.channel, &scene.waker) {
                Poll::Ready(gone) => return self.gone(gone, scene),
                Poll::Pending if self.runs.is_empty() && self.lingers => return Then::Waits,
                Poll::Pending => {}
            }
        }
        let Some(lengths) = self.runs.front() else {
            scene.finish(self.channel, self.last.clone());
            return Then::Done;
        };
        let batch = lengths.len() > 1 || scene.random.one_in(8);
        let bytes = self.bytes(lengths, scene.truth.stream(self.channel).sent.len(), batch);
        let run = ItemRun { body: &bytes.as_slice(), count: lengths.len() as u32, batch, descriptors: &[] };
        // Now and then it only tries.
        let waker = (!scene.random.one_in(6)).then(|| scene.waker.clone());
        match scene.session.poll_send(self.channel, &run, waker.as_ref(), scene.out) {
            Poll::Pending if waker.is_some() => Then::Waits,
            Poll::Pending => Then::Again,
            Poll::Ready(Ok(())) => {
                scene.note(|| format!("sends {lengths:?} on {:?}", self.channel));
                let stream = scene.truth.stream(self.channel);
                ensure!(stream.last.is_none(), "{:?} has ended, and takes items", self.channel);
                stream.sent.extend(lengths);
                self.runs.pop_front();
                Then::Again
            }
            Poll::Ready(Err(Gone::TooLarge { size, limit })) => {
                ensure!(size == bytes.len() as u64 && size > limit, "{size} are not too large for {limit}");
                self.runs.pop_front();
                Then::Again
            }
            Poll::Ready(Err(gone)) => self.gone(gone, scene),
        }
    }

    fn bytes(&self, lengths: &[usize], first: usize, batch: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (at, &length) in lengths.iter().enumerate() {
            if batch {
                bytes.extend(u32::try_from(length).expect("items are small here").to_le_bytes());
            }
            bytes.extend(item(self.channel, first + at, length));
        }
        bytes
    }

    fn gone(&self, gone: Gone, scene: &mut Scene<'_>) -> Then {
        scene.note(|| format!("{:?} is gone: {gone:?}", self.channel));
        let refused = scene.truth.stream(self.channel).refused;
        scene.truth.gone(scene.me, self.channel, &gone, refused);
        if gone == Gone::Reset {
            scene.truth.stream(self.channel).last = Some(Last::Reset);
        }
        scene.truth.reached.resets += u64::from(gone == Gone::Reset);
        scene.finish(self.channel, self.last.clone());
        Then::Done
    }
}
