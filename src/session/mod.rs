//! The session protocol: a state machine without I/O and without a clock.

mod method;

pub use close::{CloseReason, Rule};
pub(crate) use failure::Failure;
pub use metadata::Metadata;
pub(crate) use method::Method;
pub use negotiated::Negotiated;

mod close {
    //! Why sessions end. (To be filled by the session's own files.)
    /// Why a session ended.
    #[derive(Clone, Debug)]
    #[non_exhaustive]
    pub enum CloseReason {
        /// This side closed it.
        Local,
    }
    /// A rule of the protocol.
    #[derive(Clone, Copy, Debug)]
    #[non_exhaustive]
    pub enum Rule {}
}
mod metadata {
    //! Entries that go along with calls.
    /// Ordered entries that go along with a call.
    #[derive(Clone, Debug, Default)]
    pub struct Metadata {}
}
mod negotiated {
    //! What both sides agreed on.
    /// What both sides agreed on.
    #[derive(Clone, Debug)]
    pub struct Negotiated {}
}
mod failure {
    //! Why a call failed.
    use crate::link::Buffer;
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
    }
}
