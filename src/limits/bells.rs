//! The descriptors by which two processes wake each other.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use super::{give, take};
use crate::sys;

/// One side's bells: nonblocking ends of pipes, as a link has them.
#[derive(Debug)]
pub struct Bells {
    /// Becomes readable when the peer rings, and at nothing else: it never is at its end.
    pub own: OwnedFd,
    /// A byte written here rings the peer.
    pub peer: OwnedFd,
}

impl Bells {
    /// Exchanges bells with the peer, who does the same.
    ///
    /// # Errors
    /// When the system has no descriptors left, or the peer is gone.
    pub fn exchange(peer: &UnixStream) -> io::Result<Self> {
        let (own, ringing) = sys::pipe::create()?;
        give(peer, ringing)?;
        let peer = sys::pipe::reopen(take(peer)?)?;
        Ok(Self { own, peer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn each_side_rings_the_other() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let other = std::thread::spawn(move || Bells::exchange(&theirs).unwrap());
        let bells = Bells::exchange(&ours).unwrap();
        let other = other.join().unwrap();
        for (ringer, rung) in [(&bells, &other), (&other, &bells)] {
            sys::pipe::ring(ringer.peer.as_fd());
            assert_eq!(rustix::io::read(&rung.own, &mut [0; 8]), Ok(1));
            assert_eq!(rustix::io::read(&rung.own, &mut [0; 8]), Err(rustix::io::Errno::AGAIN));
        }
    }
}
