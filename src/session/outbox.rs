//! Messages that found no room in the link, or need more than one frame, in the order in which they go out.
//!
//! It is bounded because every message in it has a slot elsewhere: an answer its request's, a call or a cancellation
//! its call's, a verdict or an end its connection's, a last frame its channel's; of what only the latest counts there is one
//! for each channel and for the session; the others are sent once in a session. A call or items in fragments are kept only
//! when nothing else waits.
//!
//! While a message goes out in fragments others may go in between, but for those that must not overtake it: see
//! [`Message::lets_pass`].

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::assembly::SIZE;
use super::options::Declaration;
use super::stats::Traffic;
use crate::link::{Buffer, FdError, Flags, Full, Header, Kind, NotPassed, Transmit};

/// A message on its way.
#[derive(Debug)]
struct Message {
    header: Header,
    bytes: Buffer,
    /// How many of its bytes are in the link.
    sent: usize,
    /// The first and the last of the channels that it declares.
    declares: Option<(u64, u64)>,
    /// What goes with its first frame.
    descriptors: Vec<OwnedFd>,
}

/// What goes along with a message.
#[derive(Clone, Copy, Default)]
pub(super) struct Along<'a> {
    /// The channels that it declares.
    pub(super) declared: &'a [Declaration],
    /// The descriptors in it.
    pub(super) descriptors: &'a [BorrowedFd<'a>],
}

/// The messages that wait.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Message>,
    /// How often it has changed what others might overtake.
    turns: u64,
    /// What has gone into the link.
    pub(super) sent: Traffic,
}

/// Why a message cannot go out at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotNow {
    /// There is no room in the link.
    NoRoom,
    /// Others go before it.
    Behind,
    /// It is too long for one frame; nothing is before it.
    TooLong,
    /// There is no room for its descriptors.
    NoPlace,
    /// Its descriptors never go.
    Never(FdError),
}

impl From<Full> for NotNow {
    fn from(_: Full) -> Self {
        Self::NoRoom
    }
}

impl From<NotPassed> for NotNow {
    fn from(not: NotPassed) -> Self {
        match not {
            NotPassed::Full => Self::NoPlace,
            NotPassed::Never(error) => Self::Never(error),
        }
    }
}

impl Outbox {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How often it has changed what others might overtake.
    pub(super) fn turns(&self) -> u64 {
        self.turns
    }

    /// The message of which others might overtake the rest, if no more than that waits.
    #[inline]
    fn rest(&self) -> Option<&Message> {
        self.waiting.front().filter(|message| self.waiting.len() == 1 && message.sent > 0)
    }

    /// Writes a message of one frame into the link, and what goes along with it.
    ///
    /// # Errors
    /// [`NotNow`]; nothing has changed.
    #[inline]
    pub(super) fn try_send_with(
        &mut self,
        header: Header,
        along: Along<'_>,
        length: usize,
        out: &mut dyn Transmit,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<(), NotNow> {
        if !self.is_empty() {
            let passes = length <= out.max_payload()
                && self.rest().is_some_and(|message| message.lets_pass(&header, !along.declared.is_empty()));
            if !passes {
                return Err(NotNow::Behind);
            }
        } else if length > out.max_payload() {
            return Err(NotNow::TooLong);
        }
        write(out.reserve(length)?);
        // At most `max_payload`, which a frame's length can hold.
        let header = Header { length: u32::try_from(length).map_err(|_| NotNow::TooLong)?, ..header };
        out.commit_with(&header, along.descriptors)?;
        self.sent.count(header.kind, header.flags, length);
        Ok(())
    }

    /// Writes a message of one frame into the link.
    ///
    /// # Errors
    /// [`NotNow`]; nothing has changed.
    #[inline]
    pub(super) fn try_send(
        &mut self,
        header: Header,
        length: usize,
        out: &mut dyn Transmit,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<(), NotNow> {
        self.try_send_with(header, Along::default(), length, out, write)
    }

    /// Whether a message of one frame and this length might go out now.
    pub(super) fn has_room(&self, length: usize, out: &mut dyn Transmit) -> bool {
        (self.is_empty() || self.rest().is_some()) && out.reserve(length).is_ok()
    }

    /// Sends a message now, or keeps it until there is room; whether it is in the link. It never overtakes another.
    pub(super) fn send(&mut self, header: Header, bytes: &[u8], out: &mut dyn Transmit) -> bool {
        let sent = self.is_empty()
            && self.try_send(header, bytes.len(), out, |place| place.copy_from_slice(bytes)).is_ok();
        if !sent {
            self.keep_plain(header, bytes);
        }
        sent
    }

    /// Sends a message of which only the latest counts: in place of an earlier one of the same kind, connection and ID that
    /// still waits, and past the rest of another that it may overtake.
    pub(super) fn send_latest(&mut self, header: Header, bytes: &[u8], out: &mut dyn Transmit) {
        match self.waiting.iter_mut().find(|message| message.sent == 0 && message.is_of(&header)) {
            Some(message) => message.bytes = Buffer::copy_of(bytes),
            None => {
                if self.try_send(header, bytes.len(), out, |place| place.copy_from_slice(bytes)).is_err() {
                    self.keep_plain(header, bytes);
                }
            }
        }
    }

    /// Writes a message into the link, or keeps it if it is too long for one frame; whether it is in the link.
    ///
    /// # Errors
    /// [`NotNow`]; nothing has changed.
    #[inline]
    pub(super) fn begin(
        &mut self,
        header: Header,
        along: Along<'_>,
        length: usize,
        out: &mut dyn Transmit,
        write: impl Fn(&mut [u8]),
    ) -> Result<bool, NotNow> {
        match self.try_send_with(header, along, length, out, &write) {
            Ok(()) => return Ok(true),
            Err(NotNow::TooLong) => {}
            Err(why) => return Err(why),
        }
        let mut bytes = Buffer::new();
        bytes.resize(length, 0);
        write(&mut bytes);
        let mut message = Message::new(header, along.declared, bytes, Vec::new());
        if !along.descriptors.is_empty() {
            // So nothing keeps them, and whoever sends them learns whether they go.
            message.advance_with(along.descriptors, out, &mut self.sent)?;
        }
        self.waiting.push_back(message);
        Ok(false)
    }

    /// Keeps a message that is to go out when there is room, with what goes along.
    pub(super) fn keep(
        &mut self,
        header: Header,
        declared: &[Declaration],
        bytes: Buffer,
        descriptors: Vec<OwnedFd>,
    ) {
        self.waiting.push_back(Message::new(header, declared, bytes, descriptors));
    }

    /// Keeps a message that nothing goes along with.
    fn keep_plain(&mut self, header: Header, bytes: &[u8]) {
        self.keep(header, &[], Buffer::copy_of(bytes), Vec::new());
    }

    /// Takes back all messages of this kind, connection and ID of which nothing has been sent; whether there was any.
    #[inline]
    pub(super) fn take_back(&mut self, header: Header) -> bool {
        !self.is_empty() && self.take_back_if(|message| message.is_of(&header))
    }

    /// Takes back everything of a connection of which nothing has been sent. The rest of what has been begun goes out: the
    /// peer has its beginning.
    #[cold]
    pub(super) fn take_back_connection(&mut self, connection: u32) {
        self.take_back_if(|message| message.header.connection == connection);
    }

    fn take_back_if(&mut self, is_it: impl Fn(&Message) -> bool) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|message| message.sent > 0 || !is_it(message));
        let any = self.waiting.len() < before;
        self.turns += u64::from(any);
        any
    }

    /// Writes what there is room for, until a message is wholly in the link.
    pub(super) fn next_sent(&mut self, out: &mut dyn Transmit) -> Option<Header> {
        while let Some(message) = self.waiting.front_mut() {
            let begins = message.sent == 0;
            let done = message.advance(out, &mut self.sent).ok()?;
            self.turns += u64::from(begins || done);
            if done {
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

    /// How many messages wait.
    #[cfg(any(fuzzing, test))]
    pub(super) fn count(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.turns += 1;
    }
}

impl Message {
    fn new(header: Header, declared: &[Declaration], bytes: Buffer, descriptors: Vec<OwnedFd>) -> Self {
        let declares = declared.first().zip(declared.last()).map(|(first, last)| (first.id, last.id));
        Self { header, bytes, sent: 0, declares, descriptors }
    }

    /// Whether it is of the same kind, connection and ID.
    fn is_of(&self, header: &Header) -> bool {
        let known = &self.header;
        (known.kind, known.connection, known.id) == (header.kind, header.connection, header.id)
    }

    /// Whether a whole message may go out while the rest of this one waits. Nothing overtakes what tells of its connection
    /// or its method, nor items what declares their channel or items before them. Declarations keep their order, since
    /// channels' IDs rise. An answer comes after all that its handler has sent.
    #[inline]
    fn lets_pass(&self, header: &Header, declares: bool) -> bool {
        if header.connection != self.header.connection {
            return true;
        }
        match self.header.kind {
            Kind::Open | Kind::Accept | Kind::Bind => false,
            Kind::Call | Kind::Response => match (self.declares, header.kind) {
                (None, _) => true,
                (Some((first, last)), Kind::Item | Kind::Credit | Kind::Starved) => {
                    !(first..=last).contains(&header.id)
                }
                (Some(_), _) => !declares,
            },
            Kind::Item | Kind::End => match header.kind {
                Kind::Response | Kind::Failure => false,
                Kind::Item => self.header.id != header.id,
                _ => true,
            },
            _ => true,
        }
    }

    /// Sends its next frame; whether that was the last. Descriptors that the operating system refuses by now do not go:
    /// whoever gets the message finds that they are missing.
    fn advance(&mut self, out: &mut dyn Transmit, sent: &mut Traffic) -> Result<bool, NotNow> {
        if self.descriptors.is_empty() {
            return self.advance_with(&[], out, sent);
        }
        let descriptors = std::mem::take(&mut self.descriptors);
        let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        match self.advance_with(&borrowed, out, sent) {
            Err(NotNow::Never(_)) => self.advance_with(&[], out, sent),
            Err(why) => {
                self.descriptors = descriptors;
                Err(why)
            }
            Ok(last) => Ok(last),
        }
    }

    /// Sends its next frame, and these descriptors with it; whether that was the last.
    fn advance_with(
        &mut self,
        descriptors: &[BorrowedFd<'_>],
        out: &mut dyn Transmit,
        traffic: &mut Traffic,
    ) -> Result<bool, NotNow> {
        let most = out.max_payload();
        let whole = self.bytes.len() <= most;
        let prefix = if whole || self.sent > 0 { 0 } else { SIZE };
        let left = self.bytes.len() - self.sent;
        let length = left.min(most - prefix);
        let place = out.reserve(prefix + length)?;
        let (size, place) = place.split_at_mut(prefix);
        size.copy_from_slice(&(self.bytes.len() as u64).to_le_bytes()[..prefix]);
        place.copy_from_slice(&self.bytes[self.sent..self.sent + length]);
        let sent = self.sent + length;
        let last = sent == self.bytes.len();
        let flags = if last { self.header.flags } else { self.header.flags.with(Flags::MORE) };
        let payload = prefix + length;
        let length = u32::try_from(payload).map_err(|_| Full)?;
        out.commit_with(&Header { flags, length, ..self.header }, descriptors)?;
        traffic.count(self.header.kind, flags, payload);
        self.sent = sent;
        Ok(last)
    }
}
