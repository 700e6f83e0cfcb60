//! Descriptors on the lifeline of a link in shared memory.
//!
//! A frame goes through the ring, and the descriptors that come with it through the socket of the hand-over, in a message
//! that is the number which the frame repeats: four bytes, little-endian. The message is sent before the frame is shown,
//! so that whoever takes the frame finds it there and never waits for it. A message without a frame is passed over; nothing
//! else is said on a lifeline. Nobody looks at what comes there but for a frame.
//!
//! # Room
//! A socket holds only so much, and does not say when it holds less. But who takes a frame takes its message out before it
//! gives back the frame's space: once the peer's head has passed the last frame with descriptors, the socket is empty. So a
//! sender that finds no room waits for that head as it waits for room in its ring, and the receiver looks for whom to ring
//! after every such frame.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::descriptors::{Descriptors, IN_FLIGHT, MOST_DESCRIPTORS};
use super::{Corrupt, FdError, Header, LinkError, NotPassed};
use crate::sys;

/// Messages that are looked at in search of a frame's. This side leaves none without a frame; a peer that does may not keep
/// this side busy with them.
const LOOKS: usize = 16;

/// The messages that this side sends.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// The number of the next one.
    next: u32,
    /// Descriptors sent since the peer was last known to have taken all of them.
    in_flight: usize,
    /// Behind the last frame with descriptors.
    last: u64,
}

impl Outgoing {
    /// The number of the next message.
    pub(super) fn next(&self) -> u32 {
        self.next
    }

    /// Whether so many more may be sent before the peer has taken all.
    pub(super) fn has_room_for(&self, count: usize) -> bool {
        self.in_flight + count <= IN_FLIGHT
    }

    /// The peer's head from which on it has taken all of them.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// The peer has taken all of them.
    pub(super) fn all_taken(&mut self) {
        self.in_flight = 0;
    }

    /// Sends the descriptors of the frame that is about to be committed.
    ///
    /// # Errors
    /// [`NotPassed::Full`] if the socket has no room; none may be sent then before the peer has taken all. Or
    /// [`NotPassed::Never`]. Nothing has been sent.
    pub(super) fn send(
        &mut self,
        lifeline: impl AsFd,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), NotPassed> {
        match sys::scm::send(lifeline, &self.next.to_le_bytes(), descriptors) {
            Ok(_) => {}
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => {
                    self.in_flight = IN_FLIGHT;
                    return Err(NotPassed::Full);
                }
                // The peer is gone: the frame reaches nobody either.
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {}
                _ => return Err(FdError::refused(&error).into()),
            },
        }
        self.next = self.next.wrapping_add(1);
        self.in_flight += descriptors.len();
        Ok(())
    }

    /// The frame of what was sent last ends at this position.
    pub(super) fn committed(&mut self, behind: u64) {
        self.last = behind;
    }
}

/// Takes out the descriptors of the frame with this header. Those of messages before are closed.
///
/// # Errors
/// [`Corrupt`] if they are not there, are not as many as the frame announces, or something else is.
pub(super) fn receive(lifeline: impl AsFd, header: &Header) -> Result<Descriptors, LinkError> {
    for _ in 0..LOOKS {
        let (mut number, mut came) = ([0; 4], Vec::new());
        let received = match sys::scm::receive(&lifeline, &mut number, MOST_DESCRIPTORS, &mut came) {
            Ok(received) => received,
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionReset => break,
                _ => return Err(error.into()),
            },
        };
        if received.bytes == 0 {
            break;
        }
        if received.bytes < number.len() || came.is_empty() && !received.truncated {
            return Err(Corrupt::Lifeline.into());
        }
        match u32::from_le_bytes(number).wrapping_sub(header.sequence).cast_signed() {
            0 => return Ok(Descriptors::of(header, came, received)?),
            ..0 => {}
            1.. => break,
        }
    }
    Err(Corrupt::Descriptors { announced: header.descriptors.into(), came: 0 }.into())
}
