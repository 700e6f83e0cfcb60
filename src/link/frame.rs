//! The frame: a fixed header of 32 bytes, the same on every link, and a payload.
//!
//! ```text
//!  0        4     5      6         8            12        16         24         32
//!  | length | kind| flags| reserved| connection | reserved| id (u64) | method   |
//! ```
//! All little-endian; reserved bytes are zero when written and refused when not zero.

use super::Buffer;

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
            Self::Call | Self::Response => Flags::MORE.with(Flags::OPTIONS),
            Self::Item => Flags::MORE.with(Flags::BATCH),
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
    const KNOWN: u8 = 7;

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
    /// The connection it belongs to; 0 is the root.
    pub(crate) connection: u32,
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
    /// Reserved bytes are not zero.
    #[error("reserved header bytes are not zero")]
    Reserved,
}

impl Header {
    /// Bytes of a header on every link.
    pub(crate) const LEN: usize = 32;

    /// A header of `kind` on the root connection, everything else zero.
    pub(crate) fn new(kind: Kind) -> Self {
        Self { length: 0, kind, flags: Flags::NONE, connection: 0, id: 0, method: 0 }
    }

    /// Whether it carries only flags that its kind knows.
    #[inline]
    pub(crate) fn has_known_flags(&self) -> bool {
        self.kind.flags().contains(self.flags)
    }

    /// The bytes that go on the link.
    pub(crate) fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0..4].copy_from_slice(&self.length.to_le_bytes());
        bytes[4] = self.kind as u8;
        bytes[5] = self.flags.0;
        bytes[8..12].copy_from_slice(&self.connection.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.id.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.method.to_le_bytes());
        bytes
    }

    /// Reads a header out of bytes that have already been copied to private memory.
    ///
    /// # Errors
    /// [`BadHeader`] names what this version does not know.
    pub(crate) fn decode(bytes: &[u8; Self::LEN]) -> Result<Self, BadHeader> {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        if bytes[5] & !Flags::KNOWN != 0 {
            return Err(BadHeader::Flags(bytes[5]));
        }
        if bytes[6] != 0 || bytes[7] != 0 || word(12) != 0 {
            return Err(BadHeader::Reserved);
        }
        Ok(Self {
            length: word(0),
            kind: Kind::from_byte(bytes[4]).ok_or(BadHeader::Kind(bytes[4]))?,
            flags: Flags(bytes[5]),
            connection: word(8),
            id: long(16),
            method: long(24),
        })
    }
}

/// One message on a link, its payload in private memory.
#[derive(Debug)]
pub(crate) struct Frame {
    /// What it says of itself.
    pub(crate) header: Header,
    /// `header.length` bytes.
    pub(crate) payload: Buffer,
}

/// A place for frames to come to.
impl Default for Frame {
    fn default() -> Self {
        Self { header: Header::new(Kind::Goodbye), payload: Buffer::default() }
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
            };
            assert_eq!(Header::decode(&header.encode()), Ok(header));
        }
    }

    #[test]
    fn the_bytes_are_where_the_layout_says() {
        let header = Header { length: 5, id: 9, method: 11, connection: 3, ..Header::new(Kind::Call) };
        let mut expected = [0; 32];
        (expected[0], expected[4], expected[8], expected[16], expected[24]) = (5, 6, 3, 9, 11);
        assert_eq!(header.encode(), expected);
    }

    #[test]
    fn what_this_version_does_not_know_is_refused() {
        let good = Header::new(Kind::Call).encode();
        let with = |at: usize, byte: u8| {
            let mut bytes = good;
            bytes[at] = byte;
            Header::decode(&bytes)
        };
        assert_eq!(with(4, 0), Err(BadHeader::Kind(0)));
        assert_eq!(with(4, 23), Err(BadHeader::Kind(23)));
        assert_eq!(with(5, 8), Err(BadHeader::Flags(8)));
        assert_eq!(with(6, 1), Err(BadHeader::Reserved));
        assert_eq!(with(13, 1), Err(BadHeader::Reserved));
    }
}
