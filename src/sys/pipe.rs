//! Pipes whose ends have flags of their own.
//!
//! A descriptor that was passed to another process shares its flags with it; a peer could make our `write` block.
//! Opening it anew through `/proc/self/fd` gives a description of this process's own.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::pipe::PipeFlags;

/// A pipe's end to read from, and one to write into and to pass on; nonblocking and close-on-exec. The first is opened
/// for writing too: a pipe that has a writer is never at its end, where it would be readable for ever.
pub(crate) fn create() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    Ok((reopen(reader)?, writer))
}

/// Opens a pipe anew, nonblocking, for reading and writing: one that has a reader never raises a signal in who writes,
/// whatever the peer does with its own end.
pub(crate) fn reopen(end: impl AsFd) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", end.as_fd().as_raw_fd());
    Ok(rustix::fs::open(path, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?)
}

/// Whether it is a pipe.
pub(crate) fn is_pipe(end: impl AsFd) -> io::Result<bool> {
    Ok(rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(end)?.st_mode) == rustix::fs::FileType::Fifo)
}

/// Puts a byte into the pipe, unless it is full, which says as much.
pub(crate) fn ring(end: BorrowedFd<'_>) {
    // A reader that is gone shows at the lifeline.
    let _written = rustix::io::write(end, &[1]);
}

/// The most that is taken out at a time: as much as a pipe holds, unless a system's settings are unusual.
const MOST: usize = 1 << 20;

/// Takes out what is in the pipe; whether there was anything.
pub(crate) fn clear(end: BorrowedFd<'_>) -> bool {
    let mut bytes = [0_u8; 512];
    let mut taken = 0;
    // Not less than is asked for until it is empty. Empty, or at its end: there is nothing to clear.
    while let Ok(count) = rustix::io::read(end, &mut bytes) {
        taken += count;
        if count < bytes.len() || taken >= MOST {
            break;
        }
    }
    taken > 0
}
