//! Descriptors that travel with frames.
//!
//! They are as the peer sent them: whatever they are, and their flags shared with it, so that it can make reading from one
//! of them wait that did not wait before.

use std::io;
use std::os::fd::OwnedFd;

use super::{Corrupt, Header};
use crate::sys;
use crate::sys::scm::Message;

/// The most descriptors that go with one frame.
pub(crate) const MOST_DESCRIPTORS: usize = sys::scm::MOST;

/// The most descriptors that are on their way in one direction, where the link can know: the kernel counts them, for all
/// processes of a user together.
pub(super) const IN_FLIGHT: usize = 4 * MOST_DESCRIPTORS;

/// Why descriptors did not go with a frame. Then nothing of the frame has gone either.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotPassed {
    /// There is no room for them now.
    #[error("there is no room for descriptors now")]
    Full,
    /// They are more than go with one frame.
    #[error("{count} descriptors are more than {MOST_DESCRIPTORS}")]
    TooMany {
        /// How many they are.
        count: usize,
    },
    /// No descriptors go over this link.
    #[error("no descriptors go over this link")]
    Unsupported,
    /// The operating system refused.
    #[error("passing descriptors: {0}")]
    Refused(#[source] io::Error),
}

/// Descriptors were sent with a message and could not be taken in: too many are open here, or this process may not have
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the descriptors that came with a message could not be taken in")]
pub(crate) struct Lost;

/// The descriptors that came with a frame, in the order in which they were sent. Dropped, they are closed.
#[derive(Debug, Default)]
pub(crate) struct Descriptors(Option<Box<Result<Vec<OwnedFd>, Lost>>>);

impl Descriptors {
    /// What `received` brought for the frame with this header.
    ///
    /// # Errors
    /// [`Corrupt::Descriptors`] if it is not what the header announces.
    pub(super) fn of(header: &Header, came: Vec<OwnedFd>, received: Message) -> Result<Self, Corrupt> {
        let announced = usize::from(header.descriptors);
        let came = if received.truncated && came.len() <= announced {
            Err(Lost)
        } else if came.len() == announced {
            Ok(came)
        } else {
            return Err(Corrupt::Descriptors { announced, came: came.len() });
        };
        Ok(Self(Some(Box::new(came))))
    }

    /// Descriptors of this process, for a frame that stays in it.
    pub(super) fn own(descriptors: Vec<OwnedFd>) -> Self {
        Self(Some(Box::new(Ok(descriptors))))
    }

    /// Takes them out; none, if none came.
    ///
    /// # Errors
    /// [`Lost`]: what they came with makes no sense without them.
    #[cfg_attr(not(test), expect(dead_code, reason = "sessions pass no descriptors yet"))]
    pub(crate) fn take(&mut self) -> Result<Vec<OwnedFd>, Lost> {
        self.0.take().map_or(Ok(Vec::new()), |came| *came)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.as_deref().and_then(|came| came.as_ref().ok()).map_or(0, Vec::len)
    }

    /// Closes what nobody has taken out.
    #[inline]
    pub(crate) fn close(&mut self) {
        if self.0.is_some() {
            self.0 = None;
        }
    }
}
