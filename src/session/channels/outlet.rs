//! The sending end of a channel.

use std::task::{Poll, Waker};

use transom_shm_layout::credit::{Grant, Sender};

use super::{Declarer, Gone, ItemRun};
use crate::link::{Flags, Header, Kind, Transmit};
use crate::session::ChannelId;
use crate::session::io::Io;
use crate::session::outbox::{Along, NotNow};

/// The sending end of a channel.
pub(super) struct Outlet {
    declarer: Declarer,
    credit: Sender,
    /// Why it carries no more, once its last frame has been said or the connection is over.
    gone: Option<Gone>,
    /// Its last frame waits for room in the link.
    untold: bool,
    /// The application sends no more.
    dropped: bool,
    /// What the receiver was told to have been heard, when it was told that this end starves. Until more is heard it owes an
    /// answer.
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
            untold: false,
            dropped: false,
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
        if !run.descriptors.is_empty()
            && let Err(error) = out.check_descriptors(run.descriptors.len())
        {
            return Poll::Ready(Err(Gone::Descriptors(error)));
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
        let write = |place: &mut [u8]| run.body.write(place);
        let along = Along { declared: &[], descriptors: run.descriptors };
        match io.outbox.begin(header, along, length, out, write) {
            Ok(_) => {}
            Err(NotNow::Never(error)) => return Poll::Ready(Err(Gone::Descriptors(error))),
            Err(why) => {
                if waker.is_some() {
                    io.room.wait_for(length, along, why, &io.outbox, out);
                    if !std::mem::replace(&mut self.wants_room, true) {
                        io.room.senders.push(channel);
                    }
                }
                io.register(&mut self.waker, waker);
                return Poll::Pending;
            }
        }
        io.outbox.sent.items += u64::from(run.count);
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
        io.wakers.extend(self.waker.take());
    }

    /// There is room in the link again.
    pub(super) fn room(&mut self, io: &mut Io) {
        self.wants_room = false;
        io.wakers.extend(self.waker.take());
    }

    /// Says its last frame, a reset or an end with metadata, unless it has. Gives the declarer if that is in the link by now:
    /// then the channel is not live any more.
    pub(super) fn say_last(
        &mut self,
        header: Header,
        metadata: &[u8],
        io: &mut Io,
        out: &mut dyn Transmit,
    ) -> Option<Declarer> {
        if self.gone.is_some() {
            return None;
        }
        let mine = |kind| Header { kind, ..header };
        io.outbox.take_back(mine(Kind::Starved));
        if header.kind == Kind::Reset {
            // Items of which nothing is sent need not go any more.
            io.outbox.take_back(mine(Kind::Item));
        }
        self.untold = !io.outbox.send(header, metadata, out);
        self.over(Gone::Reset, io);
        (!self.untold).then_some(self.declarer)
    }

    /// Its last frame is in the link. Gives the declarer, since the channel is not live any more.
    pub(super) fn said_last(&mut self) -> Option<Declarer> {
        std::mem::take(&mut self.untold).then_some(self.declarer)
    }

    /// The connection is over. Gives the declarer if the channel was live.
    pub(super) fn closed(&mut self, gone: Gone, io: &mut Io) -> Option<Declarer> {
        let live = self.gone.is_none() || self.untold;
        self.untold = false;
        self.over(gone, io);
        live.then_some(self.declarer)
    }

    /// It carries no more.
    fn over(&mut self, gone: Gone, io: &mut Io) {
        self.gone.get_or_insert(gone);
        io.wakers.extend(self.waker.take());
        io.wakers.extend(self.watcher.take());
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

    /// The application is gone.
    pub(super) fn drop_end(&mut self, io: &mut Io) {
        io.spent.extend(self.waker.take());
        io.spent.extend(self.watcher.take());
        self.dropped = true;
    }

    /// Whether nobody has anything to ask of it any more.
    pub(super) fn is_spent(&self) -> bool {
        self.dropped && self.gone.is_some() && !self.untold
    }
}
