//! How sending and receiving fail.

use super::pairing::Unbound;
use crate::codec::{DecodeError, EncodeError};
use crate::link::FdError;
use crate::session::{CloseReason, Gone};

/// Why an item was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendFailure {
    /// The receiving end was dropped, or the call that was to pass it on came to nothing.
    #[error("the receiver takes no more")]
    Reset,
    /// The connection ended.
    #[error("disconnected ({0})")]
    Disconnected(CloseReason),
    /// The item is larger than both sides agreed to take. The channel goes on.
    #[error("an item of {size} bytes exceeds {limit}")]
    TooLarge {
        /// Its size.
        size: u64,
        /// The most it may be.
        limit: u64,
    },
    /// The item cannot be encoded. The channel goes on.
    #[error("an item cannot be encoded: {detail}")]
    Unencodable {
        /// Why, in words.
        detail: String,
    },
    /// The descriptors in the item were not passed. The channel goes on.
    #[error(transparent)]
    Descriptors(FdError),
    /// This end has been passed on.
    #[error("this end of the channel was passed on")]
    PassedOn,
}

/// An item that was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct SendError<T> {
    /// The item.
    pub item: T,
    /// Why it was not sent.
    pub reason: SendFailure,
}

/// An item that was not sent at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrySendError<T> {
    /// There is no credit or no room, others wait to send, or neither end was passed on yet.
    #[error("the item would have to wait")]
    Full(T),
    /// It can never be sent.
    #[error("{}", .0.reason)]
    Failed(SendError<T>),
}

/// Items that were not all sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}, after {sent} items")]
pub struct SendAllError {
    /// How many were. Those that came after them are lost.
    pub sent: u64,
    /// Why no more were.
    pub reason: SendFailure,
}

/// Why no item was received.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// The sending end was reset, or the call that was to pass it on came to nothing.
    #[error("the sender has reset the channel")]
    Reset,
    /// The connection ended.
    #[error("disconnected ({0})")]
    Disconnected(CloseReason),
    /// An item is not one. It is skipped, and the channel goes on.
    #[error("an item does not fit its type: {detail}")]
    Undecodable {
        /// What does not fit, in words.
        detail: String,
    },
    /// This end has been passed on.
    #[error("this end of the channel was passed on")]
    PassedOn,
}

/// Why no item was received at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TryRecvError {
    /// None is here yet.
    #[error("no item is here yet")]
    Empty,
    /// There was something else than an item.
    #[error(transparent)]
    Failed(#[from] RecvError),
}

impl RecvError {
    /// Whether nothing is ever received after it.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Undecodable { .. })
    }
}

impl From<Gone> for SendFailure {
    fn from(gone: Gone) -> Self {
        match gone {
            Gone::Reset => Self::Reset,
            Gone::Closed(reason) => Self::Disconnected(reason),
            Gone::TooLarge { size, limit } => Self::TooLarge { size, limit },
            Gone::Descriptors(error) => Self::Descriptors(error),
        }
    }
}

impl From<Unbound> for SendFailure {
    fn from(unbound: Unbound) -> Self {
        match unbound {
            Unbound::PassedOn => Self::PassedOn,
            Unbound::Finished(_) | Unbound::Reset => Self::Reset,
        }
    }
}

impl From<EncodeError> for SendFailure {
    fn from(error: EncodeError) -> Self {
        Self::Unencodable { detail: error.to_string() }
    }
}

impl From<Gone> for RecvError {
    fn from(gone: Gone) -> Self {
        match gone {
            // What is not sent is never received.
            Gone::Reset | Gone::TooLarge { .. } | Gone::Descriptors(_) => Self::Reset,
            Gone::Closed(reason) => Self::Disconnected(reason),
        }
    }
}

impl From<DecodeError> for RecvError {
    fn from(error: DecodeError) -> Self {
        Self::Undecodable { detail: error.to_string() }
    }
}
