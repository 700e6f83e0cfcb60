//! What the peer's frames and the application do to channels.

use std::collections::VecDeque;
use std::task::{Poll, Waker};

use super::{
    Channel, ChannelId, Channels, CloseReason, Gone, Io, ItemRun, Items, Limits, Metadata, Reader, Received,
    Rule,
};
use crate::link::{Frame, Header, Kind, Transmit};
use crate::session::wire::Writer;

/// A channel that is not known: its application has let go of it.
const FORGOTTEN: Gone = Gone::Reset;

impl Channels {
    fn header(&self, kind: Kind, id: u64) -> Header {
        Header { connection: self.connection, id, ..Header::new(kind) }
    }

    fn channel(&self, id: u64) -> ChannelId {
        ChannelId { connection: self.connection, id }
    }

    /// Takes in a frame of a channel.
    #[inline]
    pub(in crate::session) fn handle(
        &mut self,
        frame: &mut Frame,
        limits: &Limits,
        io: &mut Io,
        out: &mut dyn Transmit,
    ) -> Result<(), Rule> {
        let (id, kind, connection) = (frame.header.id, frame.header.kind, self.connection);
        let answer = |kind| Header { connection, id, ..Header::new(kind) };
        let ended = match (self.table.get_mut(&id), kind) {
            (None, _) => return self.stale(id),
            (Some(Channel::In(inlet)), Kind::Item) => return inlet.items(frame, io),
            (Some(Channel::In(inlet)), Kind::End | Kind::Reset) => {
                let end = match kind {
                    Kind::End => Ok(read_metadata(&frame.payload, limits)?),
                    _ => Err(Gone::Reset),
                };
                // What waits to be said to its sender is of no use any more.
                io.outbox.take_back(answer(Kind::Credit));
                io.outbox.take_back(answer(Kind::Reset));
                inlet.ended(end, io)
            }
            (Some(Channel::In(inlet)), Kind::Starved) => {
                inlet.starved(read_grant(&frame.payload)?, answer(Kind::Credit), io, out);
                return Ok(());
            }
            (Some(Channel::Out(outlet)), Kind::Credit) => {
                outlet.hear(read_grant(&frame.payload)?, io);
                return Ok(());
            }
            (Some(Channel::Out(outlet)), Kind::Reset) => outlet.say_last(answer(Kind::Reset), &[], io, out),
            (Some(_), _) => return Err(Rule::ChannelForm),
        };
        if let Some(declarer) = ended {
            self.over(declarer, io);
        }
        self.reap(id);
        Ok(())
    }

    /// A frame of a channel that is not live: late, or of one that never was.
    fn stale(&self, id: u64) -> Result<(), Rule> {
        let known = if self.role.owns(id) { id < self.next } else { id != 0 && id <= self.highest };
        if known { Ok(()) } else { Err(Rule::ChannelOrder) }
    }

    /// How much credit there is for sending.
    #[inline]
    pub(in crate::session) fn credit(&mut self, id: u64, out: &dyn Transmit) -> Result<u64, Gone> {
        match self.table.get_mut(&id) {
            Some(Channel::Out(outlet)) => outlet.credit(out),
            _ => Err(FORGOTTEN),
        }
    }

    /// Sends items if there is credit and room; else whom to wake when there may be, or nobody.
    #[inline]
    pub(in crate::session) fn send(
        &mut self,
        id: u64,
        run: &ItemRun<'_>,
        waker: Option<&Waker>,
        limits: &Limits,
        io: &mut Io,
        out: &mut dyn Transmit,
    ) -> Poll<Result<(), Gone>> {
        let channel = self.channel(id);
        match self.table.get_mut(&id) {
            Some(Channel::Out(outlet)) => outlet.send(run, waker, channel, limits.payload, io, out),
            _ => Poll::Ready(Err(FORGOTTEN)),
        }
    }

    /// Takes what has arrived; see [`Inlet::receive`](super::Inlet::receive).
    #[inline]
    pub(in crate::session) fn receive(
        &mut self,
        id: u64,
        consumed: u64,
        into: &mut VecDeque<Items>,
        waker: Option<&Waker>,
        io: &mut Io,
        out: &mut dyn Transmit,
    ) -> Poll<Result<Received, Gone>> {
        let header = self.header(Kind::Credit, id);
        match self.table.get_mut(&id) {
            Some(Channel::In(inlet)) => inlet.receive(consumed, into, waker, header, io, out),
            _ => Poll::Ready(Err(FORGOTTEN)),
        }
    }

    /// Ready when the receiver of a channel takes no more.
    pub(in crate::session) fn poll_gone(&mut self, id: u64, waker: &Waker, io: &mut Io) -> Poll<Gone> {
        match self.table.get_mut(&id) {
            Some(Channel::Out(outlet)) => outlet.poll_gone(waker, io),
            _ => Poll::Ready(FORGOTTEN),
        }
    }

    /// There is room in the link again, for which this channel's sender waits.
    pub(in crate::session) fn room(&mut self, id: u64, io: &mut Io) {
        if let Some(Channel::Out(outlet)) = self.table.get_mut(&id) {
            outlet.room(io);
        }
    }

    /// The application has sent all that it wants to: the end follows the items. `metadata` is within the limits.
    pub(in crate::session) fn finish(
        &mut self,
        id: u64,
        metadata: &Metadata,
        io: &mut Io,
        out: &mut dyn Transmit,
    ) {
        let header = self.header(Kind::End, id);
        let Some(Channel::Out(outlet)) = self.table.get_mut(&id) else { return };
        outlet.drop_end(io);
        let mut bytes = vec![0; metadata.encoded_size()];
        metadata.encode(&mut Writer::new(&mut bytes));
        if let Some(declarer) = outlet.say_last(header, &bytes, io, out) {
            self.over(declarer, io);
        }
        self.reap(id);
    }

    /// The last frame of a channel on which this side sends is in the link.
    pub(in crate::session) fn said_last(&mut self, id: u64, io: &mut Io) {
        if let Some(Channel::Out(outlet)) = self.table.get_mut(&id) {
            if let Some(declarer) = outlet.said_last() {
                self.over(declarer, io);
            }
            self.reap(id);
        }
    }

    /// The application lets go of its end at once.
    pub(in crate::session) fn reset(&mut self, id: u64, io: &mut Io, out: &mut dyn Transmit) {
        let header = self.header(Kind::Reset, id);
        match self.table.get_mut(&id) {
            None => {}
            Some(Channel::In(inlet)) => {
                let tells = inlet.drop_end(io);
                if tells {
                    io.outbox.take_back(Header { kind: Kind::Credit, ..header });
                    io.outbox.send(header, &[], out);
                }
            }
            Some(Channel::Out(outlet)) => {
                outlet.drop_end(io);
                if let Some(declarer) = outlet.say_last(header, &[], io, out) {
                    self.over(declarer, io);
                }
            }
        }
        self.reap(id);
    }

    /// The connection is over: channels carry no more. What has arrived may still be taken.
    pub(in crate::session) fn end(&mut self, reason: &CloseReason, io: &mut Io) {
        let gone = || Gone::Closed(reason.clone());
        let mut over = Vec::new();
        for channel in self.table.values_mut() {
            over.extend(match channel {
                Channel::In(inlet) => inlet.ended(Err(gone()), io),
                Channel::Out(outlet) => outlet.closed(gone(), io),
            });
        }
        for declarer in over {
            self.over(declarer, io);
        }
        self.table.retain(|_, channel| !channel.is_spent());
    }

    /// Forgets an end that nobody has anything to ask of any more.
    pub(super) fn reap(&mut self, id: u64) {
        if self.table.get(&id).is_some_and(Channel::is_spent) {
            self.table.remove(&id);
        }
    }
}

impl Channel {
    fn is_spent(&self) -> bool {
        match self {
            Self::In(inlet) => inlet.is_spent(),
            Self::Out(outlet) => outlet.is_spent(),
        }
    }
}

fn read_grant(payload: &[u8]) -> Result<u64, Rule> {
    let mut from = Reader::new(payload);
    let grant = from.u64().map_err(|_| Rule::ChannelForm)?;
    from.end().map(|()| grant).map_err(|_| Rule::ChannelForm)
}

fn read_metadata(payload: &[u8], limits: &Limits) -> Result<Metadata, Rule> {
    let mut from = Reader::new(payload);
    let metadata = Metadata::decode(&mut from).map_err(|_| Rule::ChannelForm)?;
    from.end().map_err(|_| Rule::ChannelForm)?;
    limits.check_metadata(&metadata)?;
    Ok(metadata)
}
