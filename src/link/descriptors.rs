//! Descriptors that travel with frames.
//!
//! They are as the peer sent them: whatever they are, and their flags shared with it, so that it can make reading from one
//! of them wait that did not wait before.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Corrupt, Header};
use crate::sys;
use crate::sys::scm::Message;

/// The most descriptors that go with one frame.
pub(crate) const MOST_DESCRIPTORS: usize = sys::scm::MOST;

/// The most descriptors that are on their way in one direction, where the link can know: the kernel counts them, for all
/// processes of a user together.
pub(super) const IN_FLIGHT: usize = 4 * MOST_DESCRIPTORS;

/// Why descriptors did not go with a frame. Then nothing of the frame has gone either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotPassed {
    /// There is no room for them now.
    Full,
    /// They never will.
    Never(FdError),
}

/// Why file descriptors were not passed with a message. Nothing of the message has gone either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FdError {
    /// No descriptors go over this link: over TCP none do.
    #[error("no descriptors go over this link")]
    Unsupported,
    /// They are more than go with one message.
    #[error("{count} descriptors are more than {limit}")]
    TooMany {
        /// How many they are.
        count: u32,
        /// How many go with one message.
        limit: u32,
    },
    /// The operating system refused: too many of this user's are on their way, say, or too many are open here.
    #[error("passing descriptors: {}", io::Error::from_raw_os_error(*errno))]
    Refused {
        /// What it said.
        errno: i32,
    },
}

impl FdError {
    /// What the operating system said.
    pub(crate) fn refused(error: &io::Error) -> Self {
        Self::Refused { errno: error.raw_os_error().unwrap_or_default() }
    }
}

impl From<FdError> for NotPassed {
    fn from(error: FdError) -> Self {
        Self::Never(error)
    }
}

/// Descriptors were sent with a message and could not be taken in: too many are open here, or wait here, or this process may
/// not have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the descriptors that came with a message could not be taken in")]
pub(crate) struct Lost;

/// The descriptors that came with a frame, in the order in which they were sent. Dropped, they are closed.
#[derive(Debug, Default)]
pub(crate) struct Descriptors(Option<Box<Arrived>>);

#[derive(Debug)]
struct Arrived {
    /// How many were sent.
    sent: usize,
    descriptors: Result<Vec<OwnedFd>, Lost>,
    /// Their part of what may wait.
    _share: Option<Share>,
}

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
        Ok(Self::new(announced, came))
    }

    /// Descriptors of this process, for a frame that stays in it.
    pub(crate) fn own(descriptors: Vec<OwnedFd>) -> Self {
        Self::new(descriptors.len(), Ok(descriptors))
    }

    fn new(sent: usize, descriptors: Result<Vec<OwnedFd>, Lost>) -> Self {
        Self(Some(Box::new(Arrived { sent, descriptors, _share: None })))
    }

    /// Whether none were sent.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How many were sent, whatever has become of them.
    #[inline]
    pub(crate) fn sent(&self) -> usize {
        self.0.as_ref().map_or(0, |arrived| arrived.sent)
    }

    /// Has them count among those that wait here, from now on until they are taken out or closed. If those are as many
    /// as may be, they are lost.
    #[cold]
    pub(crate) fn wait_within(&mut self, quota: &Quota) {
        if let Some(arrived) = &mut self.0
            && let Ok(descriptors) = &arrived.descriptors
        {
            match quota.share(descriptors.len()) {
                Some(share) => arrived._share = Some(share),
                None => arrived.descriptors = Err(Lost),
            }
        }
    }

    /// Takes them out; none, if none came.
    ///
    /// # Errors
    /// [`Lost`]: what they came with makes no sense without them.
    pub(crate) fn take(&mut self) -> Result<Vec<OwnedFd>, Lost> {
        let Some(arrived) = &mut self.0 else { return Ok(Vec::new()) };
        arrived._share = None;
        match &mut arrived.descriptors {
            Ok(descriptors) => Ok(std::mem::take(descriptors)),
            Err(lost) => Err(*lost),
        }
    }

    /// Closes them: from now on they are lost.
    pub(crate) fn lose(&mut self) {
        if let Some(arrived) = &mut self.0 {
            (arrived.descriptors, arrived._share) = (Err(Lost), None);
        }
    }

    /// All of them, to be sent on.
    ///
    /// # Errors
    /// [`Lost`], as of [`take`](Self::take).
    pub(crate) fn borrow(&self) -> Result<Vec<BorrowedFd<'_>>, Lost> {
        match self.0.as_deref() {
            None => Ok(Vec::new()),
            Some(Arrived { descriptors: Ok(all), .. }) => Ok(all.iter().map(AsFd::as_fd).collect()),
            Some(Arrived { descriptors: Err(lost), .. }) => Err(*lost),
        }
    }

    /// Closes what nobody has taken out.
    #[inline]
    pub(crate) fn close(&mut self) {
        if self.0.is_some() {
            self.0 = None;
        }
    }
}

/// How many descriptors of a peer's may wait here for whoever they are for.
#[derive(Debug)]
pub(crate) struct Quota {
    most: usize,
    waiting: Arc<AtomicUsize>,
}

/// A part of a quota, given back when it is dropped.
#[derive(Debug)]
struct Share {
    count: usize,
    waiting: Arc<AtomicUsize>,
}

impl Quota {
    /// So many at a time.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, waiting: Arc::default() }
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn share(&self, count: usize) -> Option<Share> {
        // A count and nothing else: nobody is told anything by it.
        let before = self.waiting.fetch_add(count, Ordering::Relaxed);
        let share = Share { count, waiting: Arc::clone(&self.waiting) };
        (before + count <= self.most).then_some(share)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.count, Ordering::Relaxed);
    }
}
