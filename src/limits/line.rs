//! A cache line that two processes pass to and fro.
//!
//! # Edges
//! | edge        | released by  | acquired by  | makes visible                    |
//! |-------------|--------------|--------------|----------------------------------|
//! | limits.turn | `Line::pass` | `Line::turn` | the payload written before it    |

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Duration;

use super::{give, take};
use crate::memory::SharedMap;
use crate::sys;

/// One word on a line of its own, whose value says whose turn it is, and room for a payload in each direction.
#[derive(Debug)]
pub struct Line {
    memory: SharedMap,
}

/// Which way a payload goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the one who created the line.
    There,
    /// To the one who created the line.
    Back,
}

impl Line {
    /// A new line with room for payloads of `payload` bytes, handed to the peer.
    ///
    /// # Errors
    /// When the system has no memory for it, or the peer is gone.
    pub fn create(peer: &UnixStream, payload: usize) -> io::Result<Self> {
        let (memory, descriptor) = SharedMap::create(payload)?;
        give(peer, descriptor)?;
        Ok(Self { memory })
    }

    /// The line that the peer creates with the same `payload`.
    ///
    /// # Errors
    /// When the peer is gone, or handed over something else.
    pub fn join(peer: &UnixStream, payload: usize) -> io::Result<Self> {
        Ok(Self { memory: SharedMap::map(take(peer)?, payload)? })
    }

    /// Whose turn it is: what was passed last, 0 at first.
    #[inline]
    pub fn turn(&self) -> u32 {
        self.memory.word().load(Acquire) // sync: limits.turn (acquire) <- Line::pass
    }

    /// Passes the turn.
    #[inline]
    pub fn pass(&self, turn: u32) {
        self.memory.word().store(turn, Release); // sync: limits.turn (publish) -> Line::turn
    }

    /// Wakes a peer that sleeps.
    #[inline]
    pub fn wake(&self) {
        sys::futex::wake_all(self.memory.word());
    }

    /// Sleeps while the turn is `turn`, until woken or `timeout`. May return early for no reason.
    #[inline]
    pub fn sleep(&self, turn: u32, timeout: Duration) {
        sys::futex::wait_one(self.memory.word(), turn, timeout);
    }

    /// Copies a payload in.
    ///
    /// # Panics
    /// If it is longer than there is room.
    #[inline]
    pub fn write(&self, direction: Direction, payload: &[u8]) {
        self.memory.write(direction.index(), payload);
    }

    /// Copies a payload out.
    ///
    /// # Panics
    /// If it is longer than there is room.
    #[inline]
    pub fn read(&self, direction: Direction, into: &mut [u8]) {
        self.memory.read(direction.index(), into);
    }
}

impl Direction {
    #[inline]
    fn index(self) -> usize {
        match self {
            Self::There => 0,
            Self::Back => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_goes_there_and_back_with_its_payload() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let line = Line::join(&theirs, 300).unwrap();
                while line.turn() == 0 {
                    line.sleep(0, Duration::from_secs(1));
                }
                let mut payload = [0; 300];
                line.read(Direction::There, &mut payload);
                payload.reverse();
                line.write(Direction::Back, &payload);
                line.pass(2);
                line.wake();
            });
            let line = Line::create(&ours, 300).unwrap();
            let mut payload: [u8; 300] = std::array::from_fn(|at| (at % 256) as u8);
            line.write(Direction::There, &payload);
            line.pass(1);
            line.wake();
            while line.turn() == 1 {
                line.sleep(1, Duration::from_secs(1));
            }
            let mut back = [0; 300];
            line.read(Direction::Back, &mut back);
            payload.reverse();
            assert_eq!(back, payload);
        });
    }

    #[test]
    fn a_peer_that_is_gone_is_an_error() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        assert_eq!(Line::join(&ours, 0).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(Line::create(&ours, 0).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
