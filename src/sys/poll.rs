//! Waiting for descriptors.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use rustix::time::Timespec;

/// As long as the kernel counts in one wait on every system.
const LONGEST: Timespec = Timespec { tv_sec: 2_147_483_647, tv_nsec: 0 };

/// Waits until nothing more goes over a connection in either direction, or `deadline`; whether it has come to that. May
/// return early for no reason.
pub(crate) fn wait_for_end(connection: impl AsFd, deadline: Instant) -> bool {
    let connection = connection.as_fd();
    // Of one that is watched for nothing its end is told all the same.
    let mut watched = [PollFd::from_borrowed_fd(connection, PollFlags::empty())];
    let waited = rustix::event::poll(&mut watched, Some(&left(deadline)));
    waited.is_ok() && watched[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}

/// How long it is until `deadline`.
fn left(deadline: Instant) -> Timespec {
    Timespec::try_from(deadline.saturating_duration_since(Instant::now())).unwrap_or(LONGEST)
}

/// A descriptor that is watched: whether until it is readable, and until it is writable.
pub(crate) type Watched<'d> = (BorrowedFd<'d>, bool, bool);

/// Waits until one of the descriptors is readable or writable as asked, or has hung up, or `deadline`. Of one that is
/// watched for neither, a hang-up of its other side alone is told, too. May return early for no reason.
pub(crate) fn wait(watched: &[Watched<'_>], deadline: Option<Instant>) {
    wait_for(&mut watched.iter().copied().map(watch).collect::<Vec<_>>(), deadline);
}

/// The same for a few, without an allocation.
pub(crate) fn wait_for_few<const N: usize>(watched: [Watched<'_>; N], deadline: Option<Instant>) {
    wait_for(&mut watched.map(watch), deadline);
}

fn watch((descriptor, readable, writable): Watched<'_>) -> PollFd<'_> {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN, readable);
    flags.set(PollFlags::OUT, writable);
    flags.set(PollFlags::RDHUP, !readable && !writable);
    PollFd::from_borrowed_fd(descriptor, flags)
}

fn wait_for(descriptors: &mut [PollFd<'_>], deadline: Option<Instant>) {
    let timeout = deadline.map(left);
    // Interrupted or timed out: the caller looks again either way.
    let _ready = rustix::event::poll(descriptors, timeout.as_ref());
}

/// Whether any of `events` is so of a descriptor now, or it has hung up. Never waits.
fn is_now(descriptor: impl AsFd, events: PollFlags) -> bool {
    let mut watched = [PollFd::from_borrowed_fd(descriptor.as_fd(), events)];
    rustix::event::poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}

/// Whether a socket takes more bytes now, or is of no further use. Never waits.
pub(crate) fn is_writable(socket: impl AsFd) -> bool {
    is_now(socket, PollFlags::OUT)
}

/// Whether the other side of a socket has hung up, or said that it will say nothing more. Never waits, and takes no notice
/// of what has come.
pub(crate) fn has_hung_up(socket: impl AsFd) -> bool {
    is_now(socket, PollFlags::RDHUP)
}
