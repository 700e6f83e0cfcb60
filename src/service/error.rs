//! How a call can fail, as its caller sees it.

use std::convert::Infallible;

use crate::codec::{DecodeError, EncodeError, Reader};
use crate::link::FdError;
use crate::session::{CloseReason, Failure};

/// How a call failed. `E` is the method's own error; methods that do not return a `Result` have none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError<E = Infallible> {
    /// The handler returned its own error.
    #[error("the service answered with an error: {0:?}")]
    User(E),
    /// The peer serves no such method.
    #[error("the peer serves no such method")]
    UnknownMethod,
    /// Arguments or result cannot be encoded or decoded, or both sides know the method with different types.
    #[error("arguments or result do not fit the method: {detail}")]
    InvalidPayload {
        /// What does not fit, in words.
        detail: String,
    },
    /// The call was cancelled, or its handler gave no answer.
    #[error("cancelled, or left unanswered")]
    Cancelled,
    /// The call's time was up.
    #[error("the deadline has passed")]
    DeadlineExceeded,
    /// The handler panicked.
    #[error("the handler panicked")]
    HandlerPanicked,
    /// The arguments or the result are larger than both sides agreed to take.
    #[error("a message of {size} bytes exceeds {limit}")]
    TooLarge {
        /// Their size.
        size: u64,
        /// The most it may be.
        limit: u64,
    },
    /// The peer takes no calls now; it did not run this one.
    #[error("the peer takes no calls now")]
    Refused,
    /// The call would have declared more channels than may be open; it did not run.
    #[error("more than {limit} channels would be open")]
    TooManyChannels {
        /// The most there may be.
        limit: u32,
    },
    /// Descriptors in the arguments or in the result were not passed. With those in the arguments nothing was sent; a
    /// result is that of a call that has run.
    #[error(transparent)]
    Descriptors(FdError),
    /// The peer forwards the call, and whoever it forwards it to was gone before the answer came.
    #[error("disconnected behind the peer ({reason}){}", if *.maybe_executed { "; the call may have run" } else { "" })]
    Upstream {
        /// Why, as the peer says.
        reason: CloseReason,
        /// Whether it may have run the call.
        maybe_executed: bool,
    },
    /// The session or the connection ended before the answer came.
    #[error("disconnected ({reason}){}", if *.maybe_executed { "; the call may have run" } else { "" })]
    Disconnected {
        /// Why it ended.
        reason: CloseReason,
        /// Whether the peer may have run the call.
        maybe_executed: bool,
    },
}

impl<E> CallError<E> {
    /// The same failure with the method's own error changed.
    pub fn map_user<F>(self, change: impl FnOnce(E) -> F) -> CallError<F> {
        match self {
            Self::User(error) => CallError::User(change(error)),
            Self::UnknownMethod => CallError::UnknownMethod,
            Self::InvalidPayload { detail } => CallError::InvalidPayload { detail },
            Self::Cancelled => CallError::Cancelled,
            Self::DeadlineExceeded => CallError::DeadlineExceeded,
            Self::HandlerPanicked => CallError::HandlerPanicked,
            Self::TooLarge { size, limit } => CallError::TooLarge { size, limit },
            Self::Refused => CallError::Refused,
            Self::TooManyChannels { limit } => CallError::TooManyChannels { limit },
            Self::Descriptors(error) => CallError::Descriptors(error),
            Self::Upstream { reason, maybe_executed } => CallError::Upstream { reason, maybe_executed },
            Self::Disconnected { reason, maybe_executed } => {
                CallError::Disconnected { reason, maybe_executed }
            }
        }
    }

    /// Whether the call surely did not run and the same call may succeed another time, for a
    /// disconnected one over another session.
    pub fn can_retry(&self) -> bool {
        match self {
            Self::Refused | Self::TooManyChannels { .. } => true,
            Self::Upstream { maybe_executed, reason } | Self::Disconnected { maybe_executed, reason } => {
                !maybe_executed && !reason.is_final()
            }
            _ => false,
        }
    }

    pub(super) fn undecodable(error: &DecodeError) -> Self {
        Self::InvalidPayload { detail: error.to_string() }
    }

    pub(super) fn unencodable(error: &EncodeError) -> Self {
        Self::InvalidPayload { detail: error.to_string() }
    }

    /// What a peer's failure means, the method's own error read by `decode`.
    pub(super) fn from_failure(
        failure: Failure,
        decode: impl FnOnce(&mut Reader<'_>) -> Result<E, DecodeError>,
    ) -> Self {
        match failure {
            Failure::User(bytes) => {
                let mut from = Reader::new(&bytes);
                match decode(&mut from).and_then(|error| from.end().map(|()| error)) {
                    Ok(error) => Self::User(error),
                    Err(error) => Self::undecodable(&error),
                }
            }
            Failure::UnknownMethod => Self::UnknownMethod,
            Failure::InvalidPayload(detail) => Self::InvalidPayload { detail },
            Failure::Cancelled => Self::Cancelled,
            Failure::DeadlineExceeded => Self::DeadlineExceeded,
            Failure::HandlerPanicked => Self::HandlerPanicked,
            Failure::TooLarge { size, limit } => Self::TooLarge { size, limit },
            Failure::Refused => Self::Refused,
            Failure::Channels { limit } => Self::TooManyChannels { limit },
            Failure::Descriptors(error) => Self::Descriptors(error),
            Failure::Upstream { reason, maybe_executed } => Self::Upstream { reason, maybe_executed },
        }
    }
}

impl CallError<Vec<u8>> {
    /// What is answered to a caller that is to have this error, encoded if it is the method's own.
    pub(super) fn into_failure(self) -> Failure {
        match self {
            Self::User(error) => Failure::User(error.into()),
            Self::UnknownMethod => Failure::UnknownMethod,
            Self::InvalidPayload { detail } => Failure::InvalidPayload(detail),
            Self::Cancelled => Failure::Cancelled,
            Self::DeadlineExceeded => Failure::DeadlineExceeded,
            Self::HandlerPanicked => Failure::HandlerPanicked,
            Self::TooLarge { size, limit } => Failure::TooLarge { size, limit },
            Self::Refused => Failure::Refused,
            Self::TooManyChannels { limit } => Failure::Channels { limit },
            Self::Descriptors(error) => Failure::Descriptors(error),
            // Whoever is told this is not the one who was disconnected.
            Self::Upstream { reason, maybe_executed } | Self::Disconnected { reason, maybe_executed } => {
                Failure::Upstream { reason, maybe_executed }
            }
        }
    }
}
