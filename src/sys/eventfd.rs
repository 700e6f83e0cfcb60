//! An event counter of this process, to wake a thread of it out of `poll`.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

/// A new counter at zero, nonblocking and close-on-exec.
pub(crate) fn create() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

/// Makes it readable.
pub(crate) fn signal(event: BorrowedFd<'_>) {
    // A full counter is readable already, which is all that a signal wants.
    let _written = rustix::io::write(event, &1_u64.to_ne_bytes());
}

/// Makes it unreadable until the next signal.
pub(crate) fn clear(event: BorrowedFd<'_>) {
    // An empty counter is clear already.
    let _read = rustix::io::read(event, &mut [0_u8; 8]);
}
