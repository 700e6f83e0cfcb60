//! Why a call failed, as the wire says it: one byte of code, then details.

use super::CloseReason;
use super::wire::{Malformed, Reader, Writer, shortened};
use crate::link::{Buffer, FdError};

/// Why a call failed, as the wire says it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The handler's own error, encoded.
    User(Buffer),
    /// No such method.
    UnknownMethod,
    /// Arguments or result did not decode, or their types differ; the text says what.
    InvalidPayload(String),
    /// Cancelled, or the handler gave no reply.
    Cancelled,
    /// Out of time.
    DeadlineExceeded,
    /// The handler panicked.
    HandlerPanicked,
    /// The message exceeds what the peer takes.
    TooLarge {
        /// Its size.
        size: u64,
        /// The most it may be.
        limit: u64,
    },
    /// The peer takes no calls now.
    Refused,
    /// More channels would be open than agreed.
    Channels {
        /// The most there may be.
        limit: u32,
    },
    /// Descriptors were not passed.
    Descriptors(FdError),
    /// Whoever the call was forwarded to is gone.
    Upstream {
        /// Why. Details that are told here only are lost on the way.
        reason: CloseReason,
        /// Whether it may have run the call.
        maybe_executed: bool,
    },
}

const USER: u8 = 1;
const UNKNOWN_METHOD: u8 = 2;
const INVALID_PAYLOAD: u8 = 3;
const CANCELLED: u8 = 4;
const DEADLINE_EXCEEDED: u8 = 5;
const HANDLER_PANICKED: u8 = 6;
const TOO_LARGE: u8 = 7;
const REFUSED: u8 = 8;
const CHANNELS: u8 = 9;
const UPSTREAM: u8 = 10;
const DESCRIPTORS: u8 = 11;

const UNSUPPORTED: u8 = 1;
const TOO_MANY: u8 = 2;
const REFUSED_BY_SYSTEM: u8 = 3;

/// The most bytes of an explanation that go on the wire.
const TEXT_LENGTH: usize = 512;

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::User(_) => USER,
            Self::UnknownMethod => UNKNOWN_METHOD,
            Self::InvalidPayload(_) => INVALID_PAYLOAD,
            Self::Cancelled => CANCELLED,
            Self::DeadlineExceeded => DEADLINE_EXCEEDED,
            Self::HandlerPanicked => HANDLER_PANICKED,
            Self::TooLarge { .. } => TOO_LARGE,
            Self::Refused => REFUSED,
            Self::Channels { .. } => CHANNELS,
            Self::Upstream { .. } => UPSTREAM,
            Self::Descriptors(_) => DESCRIPTORS,
        }
    }

    /// How many bytes [`encode`](Self::encode) writes.
    pub(super) fn encoded_size(&self) -> usize {
        1 + match self {
            Self::User(error) => error.len(),
            Self::InvalidPayload(text) => shortened(text, TEXT_LENGTH).len(),
            Self::TooLarge { .. } => 16,
            Self::Channels { .. } => 4,
            Self::Upstream { .. } => 5,
            Self::Descriptors(_) => 9,
            _ => 0,
        }
    }

    pub(super) fn encode(&self, place: &mut [u8]) {
        let mut to = Writer::new(place);
        to.put(&[self.code()]);
        match self {
            Self::User(error) => to.put(error),
            Self::InvalidPayload(text) => to.put(shortened(text, TEXT_LENGTH).as_bytes()),
            Self::TooLarge { size, limit } => {
                to.put(&size.to_le_bytes());
                to.put(&limit.to_le_bytes());
            }
            Self::Channels { limit } => to.put(&limit.to_le_bytes()),
            Self::Upstream { reason, maybe_executed } => {
                to.put(&reason.encode());
                to.put(&[u8::from(*maybe_executed)]);
            }
            Self::Descriptors(error) => {
                let (code, numbers) = match *error {
                    FdError::Unsupported => (UNSUPPORTED, [0; 2]),
                    FdError::TooMany { count, limit } => (TOO_MANY, [count, limit]),
                    FdError::Refused { errno } => (REFUSED_BY_SYSTEM, [errno.cast_unsigned(), 0]),
                };
                to.put(&[code]);
                numbers.iter().for_each(|number| to.put(&number.to_le_bytes()));
            }
            _ => {}
        }
    }

    pub(super) fn decode(mut payload: Buffer) -> Result<Self, Malformed> {
        let mut from = Reader::new(&payload);
        let failure = match from.u8()? {
            USER => {
                payload.drain(..1);
                return Ok(Self::User(payload));
            }
            INVALID_PAYLOAD if payload.len() <= 1 + TEXT_LENGTH => {
                let text = from.take(payload.len() - 1)?;
                Self::InvalidPayload(std::str::from_utf8(text).map_err(|_| Malformed)?.to_owned())
            }
            UNKNOWN_METHOD => Self::UnknownMethod,
            CANCELLED => Self::Cancelled,
            DEADLINE_EXCEEDED => Self::DeadlineExceeded,
            HANDLER_PANICKED => Self::HandlerPanicked,
            TOO_LARGE => Self::TooLarge { size: from.u64()?, limit: from.u64()? },
            REFUSED => Self::Refused,
            CHANNELS => Self::Channels { limit: from.u32()? },
            UPSTREAM => {
                let reason = CloseReason::decode(from.u8()?, from.u8()?, from.u16()?)?;
                Self::Upstream { reason, maybe_executed: from.u8()? != 0 }
            }
            DESCRIPTORS => Self::Descriptors(match (from.u8()?, from.u32()?, from.u32()?) {
                (UNSUPPORTED, 0, 0) => FdError::Unsupported,
                (TOO_MANY, count, limit) => FdError::TooMany { count, limit },
                (REFUSED_BY_SYSTEM, errno, 0) => FdError::Refused { errno: errno.cast_signed() },
                _ => return Err(Malformed),
            }),
            _ => return Err(Malformed),
        };
        from.end()?;
        Ok(failure)
    }
}
