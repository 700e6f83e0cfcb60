//! What a machine can do at best, for `transom bench` to measure against: the primitives that links are made of, bare.
//!
//! Internal, behind the feature `limits`, and free to change at any time. Two processes that hold the ends of a
//! connected socket hand each other what they need; both are ours, and neither is hostile.

mod bells;
mod line;
mod ring;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::sys;

pub use bells::Bells;
pub use line::{Direction, Line};
pub use ring::Ring;

/// A peer that has not handed over in this time never will.
const PATIENCE: Duration = Duration::from_secs(10);

/// Passes a descriptor to the peer.
fn give(peer: &UnixStream, descriptor: impl AsFd) -> io::Result<()> {
    match sys::scm::send(peer, &[1], &[descriptor.as_fd()])? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        _ => Ok(()),
    }
}

/// Waits for the descriptor that the peer passes.
///
/// # Errors
/// `TimedOut` when none came in [`PATIENCE`]; `UnexpectedEof` when the peer is gone or sent something else.
fn take(peer: &UnixStream) -> io::Result<OwnedFd> {
    let deadline = Instant::now() + PATIENCE;
    let mut passed = sys::close::Passed::default();
    loop {
        match sys::scm::receive(peer, &mut [0], 1, &mut passed) {
            Ok(_) => return passed.trusted().pop().ok_or_else(|| io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Err(_) if Instant::now() >= deadline => return Err(io::ErrorKind::TimedOut.into()),
            Err(_) => sys::poll::wait(&[(peer.as_fd(), true, false)], Some(deadline)),
        }
    }
}
