//! Why a side does not take a session or a connection, as its peer is told: a code, a text, and metadata.

use std::fmt::{self, Write as _};

use super::wire::{Malformed, Reader, Writer, short, shortened};
use super::{Limits, Metadata};

/// The most bytes of a reason in words.
const TEXT: usize = 512;

/// Why a side does not take a session or a connection.
///
/// ```
/// use transom::{RejectReason, Rejection};
///
/// let rejection = Rejection::new(RejectReason::Forbidden).with_text("not on Sundays");
/// assert_eq!(rejection.to_string(), "forbidden: not on Sundays");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct Rejection {
    /// Why, as far as this version knows the reason.
    pub reason: RejectReason,
    /// The same in words, if there is more to say; the first 512 bytes go to the peer.
    pub text: String,
    /// More about it.
    pub metadata: Metadata,
}

/// Why a side does not take a session or a connection. A number on the wire never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
#[repr(u8)]
pub enum RejectReason {
    /// It takes none at all.
    #[error("it takes no connections")]
    NoAcceptor = 1,
    /// It does not serve what was asked for.
    #[error("it serves nothing of that name")]
    UnknownService = 2,
    /// Whoever asks may not.
    #[error("forbidden")]
    Forbidden = 3,
    /// Not now, but another time.
    #[error("not ready")]
    NotReady = 4,
    /// What is asked is about to end: the session that a connection was to be of, or the server.
    #[error("about to end")]
    Draining = 5,
    /// For a reason of its own, which the text says, or one that this version does not know.
    #[error("for another reason")]
    Other = 6,
    /// Whoever asks has not shown who it is.
    #[error("unauthenticated")]
    Unauthenticated = 7,
}

impl RejectReason {
    /// Whether whoever asks may be taken another time: [`NotReady`](Self::NotReady) and [`Draining`](Self::Draining).
    pub fn can_retry(self) -> bool {
        matches!(self, Self::NotReady | Self::Draining)
    }

    /// Its number on the wire.
    pub(super) fn code(self) -> u8 {
        self as u8
    }

    /// The reason with this number.
    pub(super) fn from_code(code: u8) -> Self {
        match code {
            1 => Self::NoAcceptor,
            2 => Self::UnknownService,
            3 => Self::Forbidden,
            4 => Self::NotReady,
            5 => Self::Draining,
            7 => Self::Unauthenticated,
            _ => Self::Other,
        }
    }
}

impl Rejection {
    /// For this reason, and nothing more to say.
    pub fn new(reason: RejectReason) -> Self {
        Self { reason, text: String::new(), metadata: Metadata::new() }
    }

    /// Says it in words, too.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    /// Says more about it; what is beyond the limits is not sent.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// What goes on the wire; metadata beyond the limits does not.
    pub(super) fn encode(&self, limits: &Limits) -> Vec<u8> {
        let text = shortened(&self.text, TEXT);
        let metadata = if limits.admit(&self.metadata) { &self.metadata } else { Metadata::empty() };
        let mut bytes = vec![0; 1 + 2 + text.len() + metadata.encoded_size()];
        let mut to = Writer::new(&mut bytes);
        to.put(&[self.reason.code()]);
        to.put(&short(text.len()));
        to.put(text.as_bytes());
        metadata.encode(&mut to);
        bytes
    }

    pub(super) fn decode(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (reason, text) = (RejectReason::from_code(from.u8()?), from.text()?.to_owned());
        Ok(Self { reason, text, metadata: Metadata::decode(from)? })
    }
}

impl From<RejectReason> for Rejection {
    fn from(reason: RejectReason) -> Self {
        Self::new(reason)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.reason, self.text.as_str()) {
            (reason, "") => write!(f, "{reason}"),
            (RejectReason::Other, text) => write_plain(f, text),
            (reason, text) => {
                write!(f, "{reason}: ")?;
                write_plain(f, text)
            }
        }
    }
}

/// Writes a text that a peer may have chosen, and that may end up in a log: on one line, whatever is in it.
fn write_plain(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    text.chars().try_for_each(|char| match char.is_control() {
        true => write!(f, "{}", char.escape_default()),
        false => f.write_char(char),
    })
}
