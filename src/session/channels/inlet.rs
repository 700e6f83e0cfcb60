//! The receiving end of a channel.

use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::task::{Poll, Waker};

use transom_shm_layout::credit::{Grant, Granter};

use super::items::cost;
use super::{Declarer, Gone, Items, Received};
use crate::link::{Flags, Frame, Header, Transmit};
use crate::session::io::Io;
use crate::session::{Metadata, Rule};

/// The receiving end of a channel.
pub(super) struct Inlet {
    declarer: Declarer,
    granter: Granter,
    /// From how much on what was consumed is granted at once.
    batch: u64,
    /// What was consumed and is not granted yet.
    consumed: u64,
    /// What grants are stored in where the link has no cells; nobody reads it.
    private: AtomicU64,
    /// What has arrived and has not been taken.
    queue: VecDeque<Items>,
    /// How it ended, once the sender's last frame is here or the connection is over.
    end: Option<Result<Metadata, Gone>>,
    /// The application takes no more.
    dropped: bool,
    waker: Option<Waker>,
}

impl Inlet {
    pub(super) fn new(declarer: Declarer, window: u32, out: &dyn Transmit) -> Self {
        let private = AtomicU64::new(0);
        let generation = declarer.cell.map_or(0, |cell| cell.generation);
        let cell = declarer.cell.and_then(|cell| out.own_cell(cell.index));
        let granter = Granter::open(cell.unwrap_or(&private), generation, window);
        Self {
            declarer,
            granter,
            batch: u64::from(window / 2),
            consumed: 0,
            private,
            queue: VecDeque::new(),
            end: None,
            dropped: false,
            waker: None,
        }
    }

    /// The bytes of what waits to be taken.
    #[cfg(any(fuzzing, test))]
    pub(super) fn kept(&self) -> usize {
        self.queue.iter().map(|items| items.payload.len()).sum()
    }

    /// How many items wait to be taken.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.queue.iter().map(|items| items.count as usize).sum()
    }

    /// What waits to be taken: its cost, and in how many frames it came.
    #[cfg(test)]
    pub(super) fn held(&self) -> (u64, usize) {
        (self.queue.iter().map(Items::cost).sum(), self.queue.len())
    }

    /// Items have come in.
    #[inline]
    pub(super) fn items(&mut self, frame: &mut Frame, io: &mut Io) -> Result<(), Rule> {
        let count = u32::try_from(frame.header.method).map_err(|_| Rule::ItemForm)?;
        let batch = frame.header.flags.contains(Flags::BATCH);
        if count == 0 || !batch && count != 1 {
            return Err(Rule::ItemForm);
        }
        let descriptors = frame.descriptors.sent();
        if batch && descriptors > 0 {
            return Err(Rule::DescriptorPlace);
        }
        let cost = cost(frame.payload.len(), count, batch, descriptors).ok_or(Rule::ItemForm)?;
        if self.dropped || self.end.is_some() {
            return Ok(());
        }
        self.granter.receive(cost).map_err(|_| Rule::CreditOverrun)?;
        io.received.items += u64::from(count);
        let (payload, descriptors) =
            (std::mem::take(&mut frame.payload), std::mem::take(&mut frame.descriptors));
        self.queue.push_back(Items { payload, count, batch, descriptors });
        io.wakers.extend(self.waker.take());
        Ok(())
    }

    /// The sender's last frame is here, or the connection is over. Gives the declarer, since the channel is not live any
    /// more.
    pub(super) fn ended(&mut self, end: Result<Metadata, Gone>, io: &mut Io) -> Option<Declarer> {
        if self.end.is_some() {
            return None;
        }
        if end == Err(Gone::Reset) {
            self.queue.clear();
        }
        self.end = Some(end);
        io.wakers.extend(self.waker.take());
        Some(self.declarer)
    }

    /// The sender says that it has no credit, and which grant it has heard.
    pub(super) fn starved(&mut self, heard: u64, header: Header, io: &mut Io, out: &mut dyn Transmit) {
        if !self.dropped && self.end.is_none() && self.granter.starved(Grant::from_bits(heard)) {
            self.tell(header, io, out);
        }
    }

    /// Tells the sender of the latest grant.
    fn tell(&self, header: Header, io: &mut Io, out: &mut dyn Transmit) {
        io.outbox.send_latest(header, &self.granter.latest().bits().to_le_bytes(), out);
    }

    /// The application has taken `consumed` since it last asked, and asks for what is there. Half a window is granted at a
    /// time, and all of it before the application waits: an item larger than the window may wait for the rest.
    #[inline]
    pub(super) fn receive(
        &mut self,
        consumed: u64,
        into: &mut VecDeque<Items>,
        waker: Option<&Waker>,
        header: Header,
        io: &mut Io,
        out: &mut dyn Transmit,
    ) -> Poll<Result<Received, Gone>> {
        self.consumed += consumed;
        let grants = self.queue.is_empty() || self.consumed >= self.batch;
        if grants && self.consumed > 0 && self.end.is_none() {
            let consumed = std::mem::take(&mut self.consumed);
            let cell = self.declarer.cell.and_then(|cell| out.own_cell(cell.index));
            let tells = self.granter.grant(cell.unwrap_or(&self.private), consumed);
            if tells || cell.is_none() {
                self.tell(header, io, out);
            }
        }
        if !self.queue.is_empty() {
            into.append(&mut self.queue);
            return Poll::Ready(Ok(Received::Items));
        }
        match &self.end {
            Some(end) => Poll::Ready(end.clone().map(Received::End)),
            None => {
                io.register(&mut self.waker, waker);
                Poll::Pending
            }
        }
    }

    /// The application takes no more. Whether the sender has yet to send its last frame, so that it must be told.
    pub(super) fn drop_end(&mut self, io: &mut Io) -> bool {
        io.spent.extend(self.waker.take());
        self.queue.clear();
        let tells = !self.dropped && self.end.is_none();
        self.dropped = true;
        tells
    }

    /// Whether nobody has anything to ask of it any more.
    pub(super) fn is_spent(&self) -> bool {
        self.dropped && self.end.is_some()
    }
}
