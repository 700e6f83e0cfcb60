//! The rules of the protocol, by name and by number.

use crate::link::{BadFrameHeader, Corrupt};

macro_rules! rules {
    ($($(#[doc = $doc:literal])* $name:ident = $code:literal => $text:literal;)*) => {
        /// A rule of the protocol that a peer can break. Its number on the wire never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
        #[non_exhaustive]
        #[repr(u16)]
        pub enum Rule {
            /// A rule that this version does not know.
            #[error("a rule unknown to this version")]
            Unknown = 0,
            $($(#[doc = $doc])* #[error($text)] $name = $code,)*
        }

        impl Rule {
            /// The rule with this number, or [`Rule::Unknown`].
            pub(super) fn from_code(code: u16) -> Self {
                match code {
                    $($code => Self::$name,)*
                    _ => Self::Unknown,
                }
            }
        }
    };
}

rules! {
    /// A ring position is one that the peer may have published.
    RingPosition = 1 => "a ring position is outside what may be published";
    /// A frame is no longer than what was published and what a frame may hold.
    FrameLength = 2 => "a frame is longer than a frame may be";
    /// A frame's header is one that this version knows.
    FrameHeader = 3 => "a frame's header is not one of this version";
    /// Only the handshake's frames come before it is done.
    HandshakeFirst = 4 => "a frame that is not the handshake's came before it was done";
    /// The handshake's frames come once, in order, from the right side.
    HandshakeOrder = 5 => "a frame of the handshake came where it has no place";
    /// A handshake frame is well formed.
    HandshakeForm = 6 => "a frame of the handshake is malformed";
    /// One side is the initiator and the other the acceptor, with different parities.
    HandshakeRole = 7 => "role or parity in the handshake does not fit";
    /// No limit is offered that makes no sense.
    HandshakeLimit = 8 => "a limit in the handshake makes no sense";
    /// A frame belongs to a connection that is open.
    Connection = 9 => "a frame belongs to no open connection";
    /// A frame carries only flags that its kind knows.
    Flags = 10 => "a frame carries a flag that its kind does not know";
    /// A request's ID has its caller's parity.
    RequestParity = 11 => "a request's ID has the wrong parity";
    /// Each request's ID is higher than all before it.
    RequestOrder = 12 => "a request's ID is not higher than those before it";
    /// No more requests are in flight than agreed.
    RequestLimit = 13 => "more requests are in flight than agreed";
    /// A message is no larger than agreed.
    PayloadLimit = 14 => "a message is larger than agreed";
    /// An answer is for a request that was made.
    AnswerToNothing = 15 => "an answer is for a request that was never made";
    /// A cancellation is for a request that was made.
    CancelOfNothing = 16 => "a cancellation is for a request that was never made";
    /// A failure's code and details are well formed.
    FailureForm = 17 => "a failure is malformed";
    /// The options that precede a request's body are well formed.
    OptionsForm = 18 => "the options of a request are malformed";
    /// Metadata is no larger than agreed.
    MetadataLimit = 19 => "metadata is larger than agreed";
    /// A binding is well formed.
    BindingForm = 20 => "the binding of a method is malformed";
    /// A method is bound before it is called.
    BindingFirst = 21 => "a method was called before it was bound";
    /// A message in fragments announces its size and fills it exactly.
    FragmentSize = 22 => "fragments do not add up to the size announced";
    /// Messages in fragments follow one another in the order they were announced.
    FragmentOrder = 23 => "a fragment came out of order";
    /// No request follows a goodbye.
    CallAfterGoodbye = 24 => "a request came after the goodbye";
    /// A goodbye is well formed and said once.
    GoodbyeForm = 25 => "a goodbye is malformed or repeated";
    /// A peer is not woken again and again for nothing.
    EmptyWake = 26 => "too many wake-ups for nothing";
    /// Nothing but descriptors comes on a lifeline, and they are taken with their frames.
    Lifeline = 27 => "the lifeline carries something else than descriptors";
    /// A channel's frames come after its declaration, and its ID has its declarer's parity and is higher than all before.
    ChannelOrder = 28 => "a channel's ID was never declared, or declared out of order";
    /// No more channels are live than agreed.
    ChannelLimit = 29 => "more channels are open than agreed";
    /// A declaration or a frame of a channel is well formed, and from the side that it must come from.
    ChannelForm = 30 => "a frame or a declaration of a channel is malformed, or from the wrong side";
    /// A frame of items says how many there are.
    ItemForm = 31 => "a frame of items is malformed";
    /// No item is sent without credit.
    CreditOverrun = 32 => "an item was sent without credit";
    /// A connection's ID has its opener's parity and is higher than all before.
    ConnectionOrder = 33 => "a connection's ID has the wrong parity or is not higher than those before it";
    /// No more connections are open than agreed.
    ConnectionLimit = 34 => "more connections are open than agreed";
    /// What opens, accepts, rejects or closes a connection is well formed, and from the side that it must come from.
    ConnectionForm = 35 => "a frame that opens or closes a connection is malformed, or from the wrong side";
    /// A ping or a pong is well formed.
    PingForm = 36 => "a ping or a pong is malformed";
    /// With a frame come as many descriptors as it announces.
    Descriptors = 37 => "a frame's descriptors are not those that it announces";
    /// Descriptors come with the first fragment of a message, and with an item that comes alone.
    DescriptorPlace = 38 => "descriptors came with a later fragment or with several items";
    /// No more descriptors are in requests in flight than may be: [`Limits::requests`](crate::Limits::requests).
    DescriptorLimit = 39 => "more descriptors are in requests in flight than may be";
}

impl Rule {
    /// Its number on the wire.
    pub fn code(self) -> u16 {
        self as u16
    }
}

impl From<Corrupt> for Rule {
    fn from(corrupt: Corrupt) -> Self {
        match corrupt {
            Corrupt::Position { .. } => Self::RingPosition,
            Corrupt::Length { .. } => Self::FrameLength,
            Corrupt::Lifeline => Self::Lifeline,
            Corrupt::Descriptors { .. } | Corrupt::Header(BadFrameHeader::Descriptors(_)) => {
                Self::Descriptors
            }
            Corrupt::Header(
                BadFrameHeader::Kind(_) | BadFrameHeader::Flags(_) | BadFrameHeader::Reserved,
            ) => Self::FrameHeader,
            Corrupt::EmptyWakes { .. } => Self::EmptyWake,
        }
    }
}
