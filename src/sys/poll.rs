//! Waiting for descriptors.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use rustix::time::Timespec;

/// As long as the kernel counts in one wait on every system.
const LONGEST: Timespec = Timespec { tv_sec: 2_147_483_647, tv_nsec: 0 };

/// Whether nothing more goes over a connection in either direction. Never waits.
pub(crate) fn has_hung_up(connection: BorrowedFd<'_>) -> bool {
    let mut watched = [PollFd::from_borrowed_fd(connection, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let looked = rustix::event::poll(&mut watched, Some(&now));
    looked.is_ok() && watched[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}

/// Waits until one of the descriptors is readable or writable as asked, or has hung up, or `deadline`. May
/// return early for no reason.
pub(crate) fn wait(watched: &[(BorrowedFd<'_>, bool, bool)], deadline: Option<Instant>) {
    let mut descriptors: Vec<PollFd<'_>> = watched
        .iter()
        .map(|(descriptor, readable, writable)| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, *readable);
            flags.set(PollFlags::OUT, *writable);
            PollFd::from_borrowed_fd(*descriptor, flags)
        })
        .collect();
    let timeout = deadline.map(|at| {
        let left = at.saturating_duration_since(Instant::now());
        Timespec::try_from(left).unwrap_or(LONGEST)
    });
    // Interrupted or timed out: the caller looks again either way.
    let _ready = rustix::event::poll(&mut descriptors, timeout.as_ref());
}
