//! The sending end of a channel.

use std::task::{Poll, Waker};

use transom_shm_layout::credit::{Grant, Sender};

use super::{Declarer, Gone, ItemRun};
use crate::link::{Buffer, Flags, Header, Kind, Transmit};
use crate::session::ChannelId;
use crate::session::io::Io;

/// The sending end of a channel.
pub(super) struct Outlet {
    declarer: Declarer,
    credit: Sender,
    /// Why it carries no more, once its last frame has been sent or the connection is over.
    gone: Option<Gone>,
    /// What the receiver was told to have been heard, when it was told that this end starves.
    starving: Option<Grant>,
    /// Whether this end is listed among those that wait for room in the link.
    wants_room: bool,
    /// Who waits for credit or room.
    waker: Option<Waker>,
    /// Who waits for the receiver to be gone.
    watcher: Option<Waker>,
}

impl Outlet {
    pub(super) fn new(declarer: Declarer, window: u32) -> Self {
        let generation = declarer.cell.map_or(0, |cell| cell.generation);
        Self {
            declarer,
            credit: Sender::new(generation, window),
            gone: None,
            starving: None,
            wants_room: false,
            waker: None,
            watcher: None,
        }
    }

    fn look(&mut self, out: &dyn Transmit) {
        if let Some(cell) = self.declarer.cell.and_then(|cell| out.peer_cell(cell.index)) {
            self.credit.look(cell);
        }
    }

    /// How much credit there is.
    #[inline]
    pub(super) fn credit(&mut self, out: &dyn Transmit) -> Result<u64, Gone> {
        match &self.gone {
            Some(gone) => Err(gone.clone()),
            None => {
                self.look(out);
                Ok(self.credit.credit())
            }
        }
    }

    /// Sends items if there is credit and room.
    #[inline]
    pub(super) fn send(
        &mut self,
        run: &ItemRun<'_>,
        waker: Option<&Waker>,
        channel: ChannelId,
        limit: u64,
        io: &mut Io,
        out: &mut dyn Transmit,
    ) -> Poll<Result<(), Gone>> {
        if let Some(gone) = &self.gone {
            return Poll::Ready(Err(gone.clone()));
        }
        let (length, cost) = (run.body.length(), run.cost());
        let size = length as u64;
        if size > limit {
            return Poll::Ready(Err(Gone::TooLarge { size, limit }));
        }
        if !self.credit.affords(cost) {
            self.look(out);
            if !self.credit.affords(cost) {
                self.starve(waker, channel, io, out);
                return Poll::Pending;
            }
        }
        let ChannelId { connection, id } = channel;
        let flags = if run.batch { Flags::BATCH } else { Flags::NONE };
        let header = Header { connection, id, flags, method: run.count.into(), ..Header::new(Kind::Item) };
        if io.outbox.try_send(header, length, out, |place| run.body.write(place)).is_err() {
            if length <= out.max_payload() || !io.outbox.is_empty() {
                io.room.wait_for(length.min(out.max_payload()));
                if waker.is_some() && !std::mem::replace(&mut self.wants_room, true) {
                    io.room.senders.push(channel);
                }
                io.register(&mut self.waker, waker);
                return Poll::Pending;
            }
            let mut bytes = Buffer::new();
            bytes.resize(length, 0);
            run.body.write(&mut bytes);
            io.outbox.keep(header, bytes);
        }
        let spent = self.credit.spend(cost);
        debug_assert!(spent, "there was credit");
        Poll::Ready(Ok(()))
    }

    /// There is no credit. Before anybody sleeps the receiver is told, so that it tells of its next grant.
    #[cold]
    fn starve(&mut self, waker: Option<&Waker>, channel: ChannelId, io: &mut Io, out: &mut dyn Transmit) {
        io.register(&mut self.waker, waker);
        let heard = self.credit.heard();
        // Without a cell every grant is told anyway.
        if waker.is_none() || self.declarer.cell.is_none() || self.starving == Some(heard) {
            return;
        }
        self.starving = Some(heard);
        let ChannelId { connection, id } = channel;
        let header = Header { connection, id, ..Header::new(Kind::Starved) };
        io.outbox.send_latest(header, &heard.bits().to_le_bytes(), out);
    }

    /// The receiver tells of a grant.
    pub(super) fn hear(&mut self, grant: u64, io: &mut Io) {
        self.credit.hear(Grant::from_bits(grant));
        self.starving = None;
        io.wakers.extend(self.waker.take());
    }

    /// There is room in the link again.
    pub(super) fn room(&mut self, io: &mut Io) {
        self.wants_room = false;
        io.wakers.extend(self.waker.take());
    }

    /// The receiver takes no more. Gives the declarer, since the channel is not live any more: its last frame is sent.
    pub(super) fn reset_by_peer(
        &mut self,
        header: Header,
        io: &mut Io,
        out: &mut dyn Transmit,
    ) -> Option<Declarer> {
        if self.gone.is_some() {
            return None;
        }
        // Items of which nothing is sent need not go any more.
        let is_it = |known: &Header| {
            (known.kind, known.connection, known.id) == (Kind::Item, header.connection, header.id)
        };
        while io.outbox.take_back(is_it) {}
        io.outbox.send(header, &[], out);
        self.over(Gone::Reset, io)
    }

    /// It carries no more.
    pub(super) fn over(&mut self, gone: Gone, io: &mut Io) -> Option<Declarer> {
        if self.gone.is_some() {
            return None;
        }
        self.gone = Some(gone);
        io.wakers.extend(self.waker.take());
        io.wakers.extend(self.watcher.take());
        Some(self.declarer)
    }

    /// Ready when it carries no more.
    pub(super) fn poll_gone(&mut self, waker: &Waker, io: &mut Io) -> Poll<Gone> {
        match &self.gone {
            Some(gone) => Poll::Ready(gone.clone()),
            None => {
                io.register(&mut self.watcher, Some(waker));
                Poll::Pending
            }
        }
    }

    /// The application is gone. Whether the last frame has yet to be sent.
    pub(super) fn drop_end(&mut self, io: &mut Io) -> bool {
        io.spent.extend(self.waker.take());
        io.spent.extend(self.watcher.take());
        self.gone.is_none()
    }

    pub(super) fn declarer(&self) -> Declarer {
        self.declarer
    }
}
