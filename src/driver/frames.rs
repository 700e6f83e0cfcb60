//! Frames as `tracing` events, for sessions that begin while somebody wants those.
//!
//! Both halves of the link note the frames that go through them, and whoever leaves the core tells of them: no subscriber
//! runs while it is held (E2). On other sessions nothing is noted.

use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::{Level, trace};
use transom_shm_layout::word::PeerWord;

use crate::link::{Corrupt, Frame, Full, Header, Link, LinkError, NotPassed, Note, Receive, Sleep, Transmit};

/// The frames that have been noted and not told of.
#[derive(Clone, Default)]
pub(super) struct FrameLog(Arc<Mutex<Vec<(Direction, Header)>>>);

#[derive(Clone, Copy)]
enum Direction {
    In,
    Out,
}

impl FrameLog {
    /// The same link, whose frames are noted if somebody wants to be told of them.
    pub(super) fn of(link: Link) -> (Link, Option<Self>) {
        if !tracing::enabled!(target: "transom::frame", Level::TRACE) {
            return (link, None);
        }
        let log = Self::default();
        let Link { transmit, receive, signal } = link;
        let transmit = Box::new(Noting { half: transmit, log: log.clone() });
        let receive = Box::new(Noting { half: receive, log: log.clone() });
        (Link { transmit, receive, signal }, Some(log))
    }

    fn note(&self, direction: Direction, header: Header) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((direction, header));
    }

    /// Tells of the frames that have been noted.
    #[cold]
    pub(super) fn tell(&self) {
        let noted = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for (direction, header) in noted {
            let Header { kind, flags, length, connection, id, method, .. } = header;
            let direction = match direction {
                Direction::In => "in",
                Direction::Out => "out",
            };
            trace!(target: "transom::frame", direction, ?kind, ?flags, length, connection, id, method);
        }
    }
}

/// Half of a link, whose frames are noted.
struct Noting<H: ?Sized> {
    log: FrameLog,
    half: Box<H>,
}

impl Transmit for Noting<dyn Transmit> {
    fn max_payload(&self) -> usize {
        self.half.max_payload()
    }

    fn reserve(&mut self, length: usize) -> Result<&mut [u8], Full> {
        self.half.reserve(length)
    }

    fn commit(&mut self, header: &Header) {
        self.half.commit(header);
        self.log.note(Direction::Out, *header);
    }

    fn carries_descriptors(&self) -> bool {
        self.half.carries_descriptors()
    }

    fn commit_passing(&mut self, header: &Header, descriptors: &[BorrowedFd<'_>]) -> Result<(), NotPassed> {
        self.half.commit_passing(header, descriptors)?;
        self.log.note(Direction::Out, *header);
        Ok(())
    }

    fn has_room_for(&mut self, descriptors: usize) -> bool {
        self.half.has_room_for(descriptors)
    }

    fn publish(&mut self) -> bool {
        self.half.publish()
    }

    fn fault(&self) -> Option<Corrupt> {
        self.half.fault()
    }

    fn has_drained(&self) -> bool {
        self.half.has_drained()
    }

    fn is_backed_up(&self) -> bool {
        self.half.is_backed_up()
    }

    fn cells(&self) -> u32 {
        self.half.cells()
    }

    fn own_cell(&self, index: u32) -> Option<&AtomicU64> {
        self.half.own_cell(index)
    }

    fn peer_cell(&self, index: u32) -> Option<PeerWord<'_>> {
        self.half.peer_cell(index)
    }
}

impl Receive for Noting<dyn Receive> {
    fn next(&mut self, frame: &mut Frame) -> Result<bool, LinkError> {
        let any = self.half.next(frame)?;
        if any {
            self.log.note(Direction::In, frame.header);
        }
        Ok(any)
    }

    fn most_unread(&self) -> u64 {
        self.half.most_unread()
    }

    fn release(&mut self) {
        self.half.release();
    }

    fn awake(&mut self) {
        self.half.awake();
    }

    fn announce(&mut self, sleep: Sleep<'_>) -> Result<Option<Note>, LinkError> {
        self.half.announce(sleep)
    }
}
