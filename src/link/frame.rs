//! The frame: a fixed header of 32 bytes, the same on every link, and a payload.
//!
//! ```text
//!  0        4     5      6             8            12         16         24         32
//!  | length | kind| flags| descriptors | connection | sequence | id (u64) | method   |
//! ```
//! All little-endian. How many descriptors come with the frame, and the number of the message that brings them, are zero
//! where none do.

use transom_shm_layout::ring::Words;
#[cfg(test)]
use transom_shm_layout::ring::words;

use super::Buffer;
use super::descriptors::{Descriptors, MOST_DESCRIPTORS};

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Kind {
    /// The initiator's opening: version, limits, metadata.
    Hello = 1,
    /// The acceptor's answer to a hello.
    Welcome = 2,
    /// The initiator accepts the answer; the session is open.
    Confirm = 3,
    /// Either side refuses the handshake, with a reason.
    Refuse = 4,
    /// Names a method and the hash of its types, before its first call.
    Bind = 5,
    /// A request.
    Call = 6,
    /// The successful answer to a request.
    Response = 7,
    /// The unsuccessful answer to a request: a code and its details.
    Failure = 8,
    /// The caller no longer wants the answer.
    Cancel = 9,
    /// No more calls will be made; the session ends when those in flight have.
    Goodbye = 10,
    /// The peer broke a rule; the session is over.
    ProtocolError = 11,
    /// Asks for a virtual connection: its settings, the service, metadata.
    Open = 12,
    /// The peer takes the connection.
    Accept = 13,
    /// The peer does not take the connection, with a reason.
    Reject = 14,
    /// Whoever sends this sends nothing more on the connection.
    Close = 15,
    /// Items of a channel.
    Item = 16,
    /// The end of a channel, after all its items.
    End = 17,
    /// A channel is over at once: its receiver takes no more, or its sender gives up.
    Reset = 18,
    /// The receiver of a channel lets its sender send more.
    Credit = 19,
    /// The sender of a channel has no credit, and says what it has heard.
    Starved = 20,
    /// Asks whether the peer is alive.
    Ping = 21,
    /// Says so.
    Pong = 22,
}

impl Kind {
    const ALL: [Self; 22] = [
        Self::Hello,
        Self::Welcome,
        Self::Confirm,
        Self::Refuse,
        Self::Bind,
        Self::Call,
        Self::Response,
        Self::Failure,
        Self::Cancel,
        Self::Goodbye,
        Self::ProtocolError,
        Self::Open,
        Self::Accept,
        Self::Reject,
        Self::Close,
        Self::Item,
        Self::End,
        Self::Reset,
        Self::Credit,
        Self::Starved,
        Self::Ping,
        Self::Pong,
    ];

    /// The flags that a frame of this kind may carry.
    fn flags(self) -> Flags {
        match self {
            Self::Call | Self::Response => Flags::MORE.with(Flags::OPTIONS).with(Flags::DESCRIPTORS),
            Self::Item => Flags::MORE.with(Flags::BATCH).with(Flags::DESCRIPTORS),
            Self::Hello
            | Self::Welcome
            | Self::Bind
            | Self::Failure
            | Self::Open
            | Self::Accept
            | Self::Reject
            | Self::End => Flags::MORE,
            Self::Confirm
            | Self::Refuse
            | Self::Cancel
            | Self::Goodbye
            | Self::ProtocolError
            | Self::Close
            | Self::Reset
            | Self::Credit
            | Self::Starved
            | Self::Ping
            | Self::Pong => Flags::NONE,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte).checked_sub(1)?).copied()
    }
}

/// The bits of a header's flag byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(u8);

impl Flags {
    /// No flag.
    pub(crate) const NONE: Self = Self(0);
    /// More fragments of this message follow.
    pub(crate) const MORE: Self = Self(1);
    /// The payload begins with options (deadline, metadata, channels) before the body.
    pub(crate) const OPTIONS: Self = Self(2);
    /// The payload is several items, each preceded by its length.
    pub(crate) const BATCH: Self = Self(4);
    /// Descriptors come with the frame. Only links see it.
    pub(crate) const DESCRIPTORS: Self = Self(8);
    const KNOWN: u8 = 15;

    /// Whether every bit of `other` is set.
    pub(crate) fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets of bits.
    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These bits without `other`.
    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Payload bytes in this frame.
    pub(crate) length: u32,
    /// What the frame is.
    pub(crate) kind: Kind,
    /// See [`Flags`].
    pub(crate) flags: Flags,
    /// How many descriptors come with it. Only links see it: whoever takes the frame has the descriptors.
    pub(crate) descriptors: u16,
    /// The connection it belongs to; 0 is the root.
    pub(crate) connection: u32,
    /// The number of the message that brings them, where that is apart from the frame; else 0. Only links see it.
    pub(crate) sequence: u32,
    /// The request or channel; 0 where there is none.
    pub(crate) id: u64,
    /// The method, for calls and bindings; the number of items, for items; else 0.
    pub(crate) method: u64,
}

/// Why 32 bytes are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadHeader {
    /// The kind is none that this version knows.
    #[error("unknown frame kind {0}")]
    Kind(u8),
    /// A flag is set that this version does not know.
    #[error("unknown frame flags {0:#x}")]
    Flags(u8),
    /// Bytes are not zero that have no meaning in this frame, or on this link.
    #[error("reserved header bytes are not zero")]
    Reserved,
    /// Descriptors are announced for a frame that cannot carry any, or none at all, or more than go with one frame.
    #[error("{0} descriptors are announced for a frame that cannot carry so many")]
    Descriptors(u16),
}

impl Header {
    /// Bytes of a header on every link.
    pub(crate) const LEN: usize = 32;

    /// A header of `kind` on the root connection, everything else zero.
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            length: 0,
            kind,
            flags: Flags::NONE,
            descriptors: 0,
            connection: 0,
            sequence: 0,
            id: 0,
            method: 0,
        }
    }

    /// Whether it carries only flags that its kind knows.
    #[inline]
    pub(crate) fn has_known_flags(&self) -> bool {
        self.kind.flags().contains(self.flags)
    }

    /// This header of a frame with which so many descriptors come, in the message of this number.
    pub(super) fn announcing(self, descriptors: usize, sequence: u32) -> Self {
        debug_assert!((1..=MOST_DESCRIPTORS).contains(&descriptors));
        let flags = self.flags.with(Flags::DESCRIPTORS);
        Self { flags, descriptors: descriptors as u16, sequence, ..self }
    }

    /// This header as it was without descriptors.
    pub(super) fn announcing_none(self) -> Self {
        Self { flags: self.flags.without(Flags::DESCRIPTORS), descriptors: 0, sequence: 0, ..self }
    }

    /// The bytes that go on the link.
    pub(crate) fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0..4].copy_from_slice(&self.length.to_le_bytes());
        bytes[4] = self.kind as u8;
        bytes[5] = self.flags.0;
        bytes[6..8].copy_from_slice(&self.descriptors.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.connection.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.id.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.method.to_le_bytes());
        bytes
    }

    /// Reads a header that has already been copied to private memory.
    ///
    /// # Errors
    /// [`BadHeader`] names what this version does not know.
    #[inline]
    pub(crate) fn decode([first, second, id, method]: Words) -> Result<Self, BadHeader> {
        let (kind, flags) = ((first >> 32) as u8, (first >> 40) as u8);
        if flags & !Flags::KNOWN != 0 {
            return Err(BadHeader::Flags(flags));
        }
        let header = Self {
            length: first as u32,
            kind: Kind::from_byte(kind).ok_or(BadHeader::Kind(kind))?,
            flags: Flags(flags),
            descriptors: (first >> 48) as u16,
            connection: second as u32,
            sequence: (second >> 32) as u32,
            id,
            method,
        };
        if header.flags.contains(Flags::DESCRIPTORS) {
            if !header.kind.flags().contains(Flags::DESCRIPTORS)
                || !(1..=MOST_DESCRIPTORS).contains(&usize::from(header.descriptors))
            {
                return Err(BadHeader::Descriptors(header.descriptors));
            }
        } else if header.descriptors != 0 || header.sequence != 0 {
            return Err(BadHeader::Reserved);
        }
        Ok(header)
    }
}

/// One message on a link, its payload in private memory.
#[derive(Debug)]
pub(crate) struct Frame {
    /// What it says of itself.
    pub(crate) header: Header,
    /// `header.length` bytes.
    pub(crate) payload: Buffer,
    /// What came with it.
    pub(crate) descriptors: Descriptors,
}

impl Frame {
    /// A frame without descriptors.
    pub(crate) fn new(header: Header, payload: Buffer) -> Self {
        Self { header, payload, descriptors: Descriptors::default() }
    }
}

/// A place for frames to come to.
impl Default for Frame {
    fn default() -> Self {
        Self::new(Header::new(Kind::Goodbye), Buffer::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_the_link() {
        for kind in Kind::ALL {
            let header = Header {
                length: 0x0102_0304,
                kind,
                flags: Flags::MORE.with(Flags::OPTIONS),
                connection: 7,
                id: u64::MAX - 1,
                method: 0x1122_3344_5566_7788,
                ..Header::new(kind)
            };
            assert_eq!(Header::decode(words(&header.encode())), Ok(header));
            let announcing = header.announcing(64, u32::MAX);
            let carries = matches!(kind, Kind::Call | Kind::Response | Kind::Item);
            let expected = if carries { Ok(announcing) } else { Err(BadHeader::Descriptors(64)) };
            assert_eq!(Header::decode(words(&announcing.encode())), expected);
            assert_eq!(announcing.announcing_none(), header);
        }
    }

    #[test]
    fn the_bytes_are_where_the_layout_says() {
        let header = Header { length: 5, id: 9, method: 11, connection: 3, ..Header::new(Kind::Call) };
        let mut expected = [0; 32];
        (expected[0], expected[4], expected[8], expected[16], expected[24]) = (5, 6, 3, 9, 11);
        assert_eq!(header.encode(), expected);
        (expected[5], expected[6], expected[12]) = (8, 2, 13);
        assert_eq!(header.announcing(2, 13).encode(), expected);
    }

    #[test]
    fn what_this_version_does_not_know_is_refused() {
        let good = Header::new(Kind::Call).encode();
        let with = |at: usize, byte: u8| {
            let mut bytes = good;
            bytes[at] = byte;
            Header::decode(words(&bytes))
        };
        assert_eq!(with(4, 0), Err(BadHeader::Kind(0)));
        assert_eq!(with(4, 23), Err(BadHeader::Kind(23)));
        assert_eq!(with(5, 16), Err(BadHeader::Flags(16)));
        assert_eq!(with(6, 1), Err(BadHeader::Reserved));
        assert_eq!(with(13, 1), Err(BadHeader::Reserved));
        assert_eq!(with(5, 8), Err(BadHeader::Descriptors(0)));
    }
}
