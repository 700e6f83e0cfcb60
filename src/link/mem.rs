//! The `mem` link: both ends in one process. Frames move from hand to hand; nothing is copied.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

use super::descriptors::IN_FLIGHT;
use super::{
    Buffer, Descriptors, FdError, Frame, Full, Header, Link, LinkError, NotPassed, Note, Receive, Signal,
    Sleep, Transmit,
};

/// Bytes on their way in one direction before the link is full, headers included.
const CAPACITY: usize = 64 * 1024;
/// The most payload in one frame, as on a ring of this capacity.
const MAX_PAYLOAD: usize = CAPACITY / 4;

/// Both ends of a link within this process.
pub(crate) fn pair() -> (Link, Link) {
    let (there, back) = (Arc::new(Mailbox::default()), Arc::new(Mailbox::default()));
    (end(&there, &back), end(&back, &there))
}

fn end(outgoing: &Arc<Mailbox>, incoming: &Arc<Mailbox>) -> Link {
    Link {
        transmit: Box::new(Sender {
            mailbox: Arc::clone(outgoing),
            reserved: Buffer::new(),
            staged: Vec::new(),
            staged_bytes: 0,
            staged_descriptors: 0,
        }),
        receive: Box::new(Receiver { incoming: Arc::clone(incoming), outgoing: Arc::clone(outgoing) }),
        signal: Arc::new(Bell {
            outgoing: Arc::clone(outgoing),
            incoming: Arc::clone(incoming),
            local: Mutex::new(0),
            woken: Condvar::new(),
        }),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One direction.
#[derive(Default)]
struct Mailbox(Mutex<Inbox>);

#[derive(Default)]
struct Inbox {
    frames: VecDeque<Frame>,
    bytes: usize,
    descriptors: usize,
    /// One of the two ends is gone.
    closed: bool,
    /// The reader sleeps until frames come.
    reader: Option<Waker>,
    /// The writer waits until half of what there is room for is free.
    writer: Option<Waker>,
    /// How often the reader was woken for frames, and the writer for room.
    readers_woken: u64,
    writers_woken: u64,
}

impl Inbox {
    /// The reader, to be woken for frames if it sleeps.
    fn wake_reader(&mut self) -> Option<Waker> {
        self.readers_woken += u64::from(self.reader.is_some());
        self.reader.take()
    }

    /// The writer, to be woken for room if it waits.
    fn wake_writer(&mut self) -> Option<Waker> {
        self.writers_woken += u64::from(self.writer.is_some());
        self.writer.take()
    }

    /// Whether half of all that there is room for is free.
    fn has_space(&self) -> bool {
        self.bytes <= CAPACITY / 2 && self.descriptors <= IN_FLIGHT / 2
    }
}

impl Mailbox {
    fn close(&self) {
        let (reader, writer) = {
            let mut inbox = lock(&self.0);
            inbox.closed = true;
            (inbox.reader.take(), inbox.writer.take())
        };
        for waker in [reader, writer].into_iter().flatten() {
            waker.wake();
        }
    }
}

struct Sender {
    mailbox: Arc<Mailbox>,
    reserved: Buffer,
    staged: Vec<Frame>,
    staged_bytes: usize,
    staged_descriptors: usize,
}

impl Transmit for Sender {
    fn max_payload(&self) -> usize {
        MAX_PAYLOAD
    }

    fn reserve(&mut self, length: usize) -> Result<&mut [u8], Full> {
        let waiting = lock(&self.mailbox.0).bytes + self.staged_bytes;
        if waiting + Header::LEN + length > CAPACITY {
            return Err(Full);
        }
        self.reserved.clear();
        self.reserved.resize(length, 0);
        Ok(&mut self.reserved)
    }

    fn commit(&mut self, header: &Header) {
        self.stage(*header, Descriptors::default());
    }

    fn carries_descriptors(&self) -> bool {
        true
    }

    fn commit_passing(&mut self, header: &Header, descriptors: &[BorrowedFd<'_>]) -> Result<(), NotPassed> {
        if !self.has_room_for(descriptors.len()) {
            return Err(NotPassed::Full);
        }
        let own = descriptors.iter().map(BorrowedFd::try_clone_to_owned).collect::<io::Result<_>>();
        self.stage(*header, Descriptors::own(own.map_err(|error| FdError::refused(&error))?));
        self.staged_descriptors += descriptors.len();
        Ok(())
    }

    fn has_room_for(&mut self, descriptors: usize) -> bool {
        lock(&self.mailbox.0).descriptors + self.staged_descriptors + descriptors <= IN_FLIGHT
    }

    fn publish(&mut self) -> bool {
        if self.staged.is_empty() {
            return false;
        }
        let (bytes, descriptors) =
            (std::mem::take(&mut self.staged_bytes), std::mem::take(&mut self.staged_descriptors));
        let mut inbox = lock(&self.mailbox.0);
        if inbox.closed {
            // They would reach nobody, and what came with them be kept open.
            self.staged.clear();
            return false;
        }
        inbox.frames.extend(self.staged.drain(..));
        inbox.bytes += bytes;
        inbox.descriptors += descriptors;
        true
    }
}

impl Sender {
    fn stage(&mut self, header: Header, descriptors: Descriptors) {
        let payload = std::mem::take(&mut self.reserved);
        self.staged_bytes += Header::LEN + payload.len();
        self.staged.push(Frame { header, payload, descriptors });
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

struct Receiver {
    incoming: Arc<Mailbox>,
    outgoing: Arc<Mailbox>,
}

impl Receive for Receiver {
    fn next(&mut self, frame: &mut Frame) -> Result<bool, LinkError> {
        let mut inbox = lock(&self.incoming.0);
        let Some(next) = inbox.frames.pop_front() else {
            return if inbox.closed { Err(LinkError::Gone) } else { Ok(false) };
        };
        inbox.bytes -= Header::LEN + next.payload.len();
        inbox.descriptors -= next.descriptors.sent();
        *frame = next;
        Ok(true)
    }

    fn most_unread(&self) -> u64 {
        lock(&self.incoming.0).frames.len() as u64
    }

    fn release(&mut self) {
        let writer = {
            let mut inbox = lock(&self.incoming.0);
            if inbox.has_space() { inbox.wake_writer() } else { None }
        };
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    fn awake(&mut self) {
        // A waker left behind wakes once too often, never too seldom.
    }

    fn announce(&mut self, sleep: Sleep<'_>) -> Result<Option<Note>, LinkError> {
        self.release();
        if sleep.want_space {
            let mut outbox = lock(&self.outgoing.0);
            if outbox.has_space() || outbox.closed {
                return Ok(None);
            }
            outbox.writer = Some(sleep.waker.clone());
        }
        let mut inbox = lock(&self.incoming.0);
        if !inbox.frames.is_empty() || inbox.closed {
            return Ok(None);
        }
        inbox.reader = Some(sleep.waker.clone());
        Ok(Some(Note { rings: 0, to_write: false }))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.incoming.close();
        // Dropped when the lock is no longer held.
        let _untaken = std::mem::take(&mut lock(&self.incoming.0).frames);
    }
}

struct Bell {
    outgoing: Arc<Mailbox>,
    incoming: Arc<Mailbox>,
    local: Mutex<u32>,
    woken: Condvar,
}

impl Signal for Bell {
    fn ring(&self) {
        let reader = lock(&self.outgoing.0).wake_reader();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn rings(&self) -> Option<u64> {
        Some(lock(&self.outgoing.0).readers_woken + lock(&self.incoming.0).writers_woken)
    }

    fn wake_local(&self) {
        let mut local = lock(&self.local);
        *local = local.wrapping_add(1);
        self.woken.notify_all();
    }

    fn local(&self) -> u32 {
        *lock(&self.local)
    }

    fn wait(&self, _note: Note, local: u32, deadline: Option<Instant>) {
        let mut now = lock(&self.local);
        while *now == local {
            now = match deadline {
                None => self.woken.wait(now).unwrap_or_else(PoisonError::into_inner),
                Some(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return;
                    }
                    self.woken.wait_timeout(now, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn descriptor(&self) -> Option<Arc<OwnedFd>> {
        None
    }

    fn clear(&self) {}

    fn is_stream(&self) -> bool {
        false
    }

    fn lifeline(&self) -> Option<Arc<OwnedFd>> {
        None
    }

    fn has_hung_up(&self) -> bool {
        lock(&self.incoming.0).closed
    }

    fn hang_up(&self) {
        self.outgoing.close();
    }

    fn may_spin(&self) -> bool {
        false
    }
}
