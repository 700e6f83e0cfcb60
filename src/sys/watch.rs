//! A descriptor in the event loop of a tokio runtime.
//!
//! # Safety
//! Registers descriptors by number; they stay open and the same for as long as they are registered.
#![allow(unsafe_code, clippy::disallowed_types)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor that is watched, kept open meanwhile.
#[derive(Debug)]
pub(crate) struct Watched(Arc<OwnedFd>);

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Has the current runtime watch `descriptor`.
///
/// # Errors
/// When the runtime has no event loop, or the kernel cannot watch such a descriptor.
///
/// # Panics
/// Outside a runtime.
pub(crate) fn register(descriptor: &Arc<OwnedFd>, interest: Interest) -> io::Result<AsyncFd<Watched>> {
    // SAFETY: `Watched` owns a share of the descriptor and always names the same one, which nobody can close while
    // a share is left; the share is dropped after the registration, of which it is a field.
    let registered = unsafe { AsyncFd::register_with_interest(Watched(Arc::clone(descriptor)), interest) };
    registered.map_err(|refused| refused.into_parts().1)
}

/// Has the current runtime watch whether `socket` hangs up, and nothing else: it becomes readable then, and not for
/// anything that comes. The runtime itself would be woken for that, too.
///
/// # Errors
/// As [`register`].
///
/// # Panics
/// Outside a runtime.
pub(crate) fn register_hang_up(socket: impl AsFd) -> io::Result<AsyncFd<Watched>> {
    let watch = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&watch, socket, EventData::new_u64(0), EventFlags::RDHUP)?;
    register(&Arc::new(watch), Interest::READABLE)
}
