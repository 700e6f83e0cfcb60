//! Messages that found no room in the link, or need more than one frame, in the order in which they go out.
//!
//! It is bounded because every message in it has a slot elsewhere: an answer its request's, a call or a cancellation
//! its call's, a verdict or an end its connection's, an item its channel's; of what only the latest counts there is one
//! for each channel and for the session; the others are sent once in a session.
//!
//! While a message goes out in fragments others may go in between, but for those that must not overtake it: items keep
//! behind what declares their channel and behind earlier items, and answers behind items.

use std::collections::VecDeque;

use super::assembly::SIZE;
use crate::link::{Buffer, Flags, Full, Header, Kind, Transmit};

/// A message on its way.
#[derive(Debug)]
struct Message {
    header: Header,
    bytes: Buffer,
    /// How many of its bytes are in the link.
    sent: usize,
}

/// The messages that wait.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Message>,
}

impl Outbox {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether a message may go out before those that wait: nothing waits but the rest of one that it may overtake.
    #[inline]
    fn lets_pass(&self, header: &Header) -> bool {
        match self.waiting.front() {
            None => true,
            Some(message) => {
                self.waiting.len() == 1 && message.sent > 0 && may_overtake(header, &message.header)
            }
        }
    }

    /// Writes a message of one frame into the link.
    ///
    /// # Errors
    /// [`Full`] if there is no room now, it is too long for one frame, or others wait before it.
    #[inline]
    pub(super) fn try_send(
        &self,
        header: Header,
        length: usize,
        out: &mut dyn Transmit,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<(), Full> {
        if length > out.max_payload() || !self.lets_pass(&header) {
            return Err(Full);
        }
        write(out.reserve(length)?);
        // At most `max_payload`, which a frame's length can hold.
        out.commit(&Header { length: u32::try_from(length).map_err(|_| Full)?, ..header });
        Ok(())
    }

    /// Whether a message of one frame and this length might go out now.
    pub(super) fn has_room(&self, length: usize, out: &mut dyn Transmit) -> bool {
        let passes = match self.waiting.front() {
            None => true,
            Some(message) => self.waiting.len() == 1 && message.sent > 0,
        };
        passes && out.reserve(length).is_ok()
    }

    /// Sends a message now, or keeps it until there is room. It never overtakes another.
    pub(super) fn send(&mut self, header: Header, bytes: &[u8], out: &mut dyn Transmit) {
        if !self.is_empty()
            || self.try_send(header, bytes.len(), out, |place| place.copy_from_slice(bytes)).is_err()
        {
            self.keep(header, Buffer::copy_of(bytes));
        }
    }

    /// Like [`send`](Self::send), in place of an earlier message of the same kind, connection and ID that still waits.
    pub(super) fn send_latest(&mut self, header: Header, bytes: &[u8], out: &mut dyn Transmit) {
        let same = |known: &Header| {
            (known.kind, known.connection, known.id) == (header.kind, header.connection, header.id)
        };
        match self.waiting.iter_mut().find(|message| message.sent == 0 && same(&message.header)) {
            Some(message) => message.bytes = Buffer::copy_of(bytes),
            None => self.send(header, bytes, out),
        }
    }

    /// Keeps a message that is to go out when there is room.
    pub(super) fn keep(&mut self, header: Header, bytes: Buffer) {
        self.waiting.push_back(Message { header, bytes, sent: 0 });
    }

    /// Takes back a message of which nothing has been sent.
    pub(super) fn take_back(&mut self, is_it: impl Fn(&Header) -> bool) -> bool {
        let found = self.waiting.iter().position(|message| message.sent == 0 && is_it(&message.header));
        found.and_then(|at| self.waiting.remove(at)).is_some()
    }

    /// Writes what there is room for, until a message is wholly in the link.
    pub(super) fn next_sent(&mut self, out: &mut dyn Transmit) -> Option<Header> {
        while let Some(message) = self.waiting.front_mut() {
            if message.advance(out).ok()? {
                return self.waiting.pop_front().map(|message| message.header);
            }
        }
        None
    }

    /// The bytes of all messages that wait.
    #[cfg(any(fuzzing, test))]
    pub(super) fn kept(&self) -> usize {
        self.waiting.iter().map(|message| message.bytes.len()).sum()
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }
}

/// Whether a whole message may go out while the rest of another one waits.
#[inline]
fn may_overtake(header: &Header, fragments: &Header) -> bool {
    if header.connection != fragments.connection {
        return true;
    }
    match header.kind {
        Kind::Response | Kind::Failure => fragments.kind != Kind::Item,
        Kind::Item | Kind::End | Kind::Reset | Kind::Credit | Kind::Starved => match fragments.kind {
            Kind::Item => fragments.id != header.id,
            Kind::Call | Kind::Response => false,
            _ => true,
        },
        _ => true,
    }
}

impl Message {
    /// Sends its next frame; whether that was the last.
    fn advance(&mut self, out: &mut dyn Transmit) -> Result<bool, Full> {
        let most = out.max_payload();
        let whole = self.bytes.len() <= most;
        let prefix = if whole || self.sent > 0 { 0 } else { SIZE };
        let left = self.bytes.len() - self.sent;
        let length = left.min(most - prefix);
        let place = out.reserve(prefix + length)?;
        let (size, place) = place.split_at_mut(prefix);
        size.copy_from_slice(&(self.bytes.len() as u64).to_le_bytes()[..prefix]);
        place.copy_from_slice(&self.bytes[self.sent..self.sent + length]);
        self.sent += length;
        let last = self.sent == self.bytes.len();
        let flags = if last { self.header.flags } else { self.header.flags.with(Flags::MORE) };
        let length = u32::try_from(prefix + length).map_err(|_| Full)?;
        out.commit(&Header { flags, length, ..self.header });
        Ok(last)
    }
}
