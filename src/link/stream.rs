//! A link over a stream socket: frames one after the other, lengths checked before anything is allocated.
//!
//! Writes gather: whatever was committed goes out in one system call when it is published, and what the
//! kernel does not take waits in a buffer of bounded size.
//!
//! Descriptors go with the first byte of their frame, which goes alone, so that the kernel tells the receiver with which
//! byte they came. They go as soon as the kernel has taken all bytes before, or not at all: nothing here keeps them.
//!
//! What the kernel of a Unix socket has taken is with the peer. That of a TCP socket still has to send it, and throws it
//! away if anything comes for a socket that is closed. So a TCP link that ends says that nothing more will come, and its
//! socket stays for a while: until the peer, which has everything then, ends its own side.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::SendFlags;
use transom_shm_layout::ring::words;

use super::ended::UntilEnd;
use super::wake::Wakes;
use super::{
    BadFrameHeader, Corrupt, Descriptors, FdError, Flags, Frame, Full, Header, Link, LinkError,
    MOST_DESCRIPTORS, NotPassed, Note, Receive, Signal, Sleep, Transmit,
};
use crate::sys;
use crate::sys::scm::Message;

/// The most payload in one frame.
const MAX_PAYLOAD: usize = 64 * 1024;
/// Bytes that may wait for the kernel before the link is full; one frame fits always.
const OUTBOX: usize = 4 * MAX_PAYLOAD;
/// Bytes read ahead: two frames at least.
const INBOX: usize = 2 * (Header::LEN + MAX_PAYLOAD);

/// How a link's socket ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With the link.
    WithLink,
    /// With a process: its end means more than that of the link.
    WithProcess,
    /// After the link, when the peer has received all, or has had [`LINGERS`] for it.
    Lingers,
}

/// How long the socket of a TCP link stays open after its link for the peer to receive all.
const LINGERS: Duration = Duration::from_secs(5);

/// A link over a connected Unix socket, which is made nonblocking. One that is `inherited` is not shut down at its end: it
/// ends with a process.
///
/// # Errors
/// When the socket cannot be made nonblocking.
pub(crate) fn link(socket: impl Into<OwnedFd>, inherited: bool) -> io::Result<Link> {
    over(socket.into(), if inherited { End::WithProcess } else { End::WithLink })
}

/// A link over a connected TCP socket, which is made nonblocking and sends at once.
///
/// # Errors
/// When the socket cannot be made so.
pub(crate) fn tcp(socket: OwnedFd) -> io::Result<Link> {
    sys::tcp::send_at_once(&socket)?;
    over(socket, End::Lingers)
}

fn over(socket: OwnedFd, end: End) -> io::Result<Link> {
    sys::socket::never_wait(&socket)?;
    let socket = Arc::new(socket);
    let shared =
        Arc::new(Shared { socket: UntilEnd::new(Arc::clone(&socket)), end, wakes: Wakes::default() });
    Ok(Link {
        transmit: Box::new(Sender {
            socket: Arc::clone(&socket),
            shared: Arc::clone(&shared),
            bytes: Vec::new(),
            committed: 0,
            written: 0,
            published: 0,
            refused: false,
        }),
        receive: Box::new(Receiver {
            socket,
            shared: Arc::clone(&shared),
            bytes: vec![0; INBOX].into(),
            start: 0,
            end: 0,
            taken: 0,
            arrivals: VecDeque::new(),
        }),
        signal: shared,
    })
}

struct Shared {
    socket: UntilEnd<OwnedFd>,
    end: End,
    wakes: Wakes,
}

struct Sender {
    socket: Arc<OwnedFd>,
    shared: Arc<Shared>,
    bytes: Vec<u8>,
    /// Up to where `bytes` holds complete frames; beyond it may be a reservation.
    committed: usize,
    /// Up to where the kernel has taken them.
    written: usize,
    /// Up to where they have been published.
    published: usize,
    /// The kernel has refused descriptors for want of room, and has none yet.
    refused: bool,
}

impl Transmit for Sender {
    fn max_payload(&self) -> usize {
        MAX_PAYLOAD
    }

    fn reserve(&mut self, length: usize) -> Result<&mut [u8], Full> {
        if self.committed - self.written + Header::LEN + length > OUTBOX {
            return Err(Full);
        }
        self.bytes.truncate(self.committed);
        if self.written > OUTBOX {
            self.bytes.drain(..self.written);
            self.committed -= self.written;
            self.published -= self.written;
            self.written = 0;
        }
        self.bytes.resize(self.committed + Header::LEN + length, 0);
        Ok(&mut self.bytes[self.committed + Header::LEN..])
    }

    fn commit(&mut self, header: &Header) {
        self.bytes[self.committed..self.committed + Header::LEN].copy_from_slice(&header.encode());
        self.committed = self.bytes.len();
    }

    fn carries_descriptors(&self) -> bool {
        !matches!(self.shared.end, End::Lingers)
    }

    fn commit_passing(&mut self, header: &Header, descriptors: &[BorrowedFd<'_>]) -> Result<(), NotPassed> {
        let header = header.announcing(descriptors.len(), 0);
        self.published = self.committed;
        self.write();
        if self.written < self.published {
            return Err(NotPassed::Full);
        }
        match sys::scm::send(&self.socket, &header.encode()[..1], descriptors) {
            Ok(_) => {}
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => {
                    self.refused = true;
                    return Err(NotPassed::Full);
                }
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {}
                _ => return Err(FdError::refused(&error).into()),
            },
        }
        self.commit(&header);
        self.written += 1;
        self.published = self.written;
        Ok(())
    }

    fn has_room_for(&mut self, _descriptors: usize) -> bool {
        self.look_for_room();
        !self.is_backed_up()
    }

    fn publish(&mut self) -> bool {
        let news = self.published < self.committed;
        self.published = self.committed;
        self.write();
        self.look_for_room();
        if self.written == self.committed {
            self.bytes.clear();
            (self.committed, self.written, self.published) = (0, 0, 0);
        }
        news
    }

    fn has_drained(&self) -> bool {
        self.bytes.is_empty() && !self.refused
    }

    fn is_backed_up(&self) -> bool {
        self.written < self.published || self.refused
    }
}

impl Sender {
    /// Gives the kernel what it takes of the published bytes.
    fn write(&mut self) {
        while self.written < self.published {
            let bytes = &self.bytes[self.written..self.published];
            match rustix::net::send(&self.socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(count) if count > 0 => self.written += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                // The reader learns of a dead peer and ends the session; these bytes reach nobody.
                Err(Errno::PIPE | Errno::CONNRESET) => self.written = self.published,
                // Nothing may follow bytes that are missing: this is the end, and the reader learns of it.
                Ok(_) | Err(_) => {
                    sys::socket::shut_down(&self.socket);
                    self.written = self.published;
                }
            }
        }
    }

    /// Asks the kernel whether it has room again for what it has refused.
    fn look_for_room(&mut self) {
        self.refused = self.refused && !sys::poll::is_writable(&self.socket);
    }
}

/// What came with one byte.
struct Arrival {
    /// Which byte, from the beginning of the stream.
    at: u64,
    came: Vec<OwnedFd>,
    received: Message,
}

/// Arrivals that wait for their frames: that of the frame at the front, and one with the first byte of the next.
const ARRIVALS: usize = 2;

struct Receiver {
    socket: Arc<OwnedFd>,
    shared: Arc<Shared>,
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    /// What of the stream is before `start`.
    taken: u64,
    /// What came with bytes from there on.
    arrivals: VecDeque<Arrival>,
}

impl Receiver {
    /// The header of the frame at the front, once it is there, and whether all of its payload is.
    fn front(&self) -> Result<Option<(Header, usize, bool)>, LinkError> {
        let Some((header, rest)) = self.bytes[self.start..self.end].split_first_chunk::<{ Header::LEN }>()
        else {
            return Ok(None);
        };
        let header = Header::decode(words(header)).map_err(Corrupt::Header)?;
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        if length > MAX_PAYLOAD {
            return Err(Corrupt::Length { length: header.length, limit: MAX_PAYLOAD as u32 }.into());
        }
        Ok(Some((header, length, rest.len() >= length)))
    }

    /// Takes the complete frame at the front of what has been read; whether there is one.
    fn parse(&mut self, frame: &mut Frame) -> Result<bool, LinkError> {
        let Some((header, length, true)) = self.front()? else { return Ok(false) };
        let (begins, payload) = (self.taken, self.start + Header::LEN);
        self.start = payload + length;
        self.taken += (Header::LEN + length) as u64;
        frame.header = header;
        frame.payload.renew();
        frame.payload.extend_from_slice(&self.bytes[payload..self.start]);
        frame.descriptors.close();
        if header.flags.contains(Flags::DESCRIPTORS) {
            frame.descriptors = self.descriptors_of(&header, begins)?;
            frame.header = header.announcing_none();
        }
        match self.arrivals.front() {
            Some(arrival) if arrival.at < self.taken => Err(unasked(arrival).into()),
            _ => Ok(true),
        }
    }

    /// What came with the first byte of a frame.
    #[cold]
    fn descriptors_of(&mut self, header: &Header, begins: u64) -> Result<Descriptors, Corrupt> {
        if header.sequence != 0 {
            return Err(Corrupt::Header(BadFrameHeader::Reserved));
        }
        match self.arrivals.pop_front_if(|arrival| arrival.at == begins) {
            Some(Arrival { came, received, .. }) => Descriptors::of(header, came, received),
            None => Err(Corrupt::Descriptors { announced: header.descriptors.into(), came: 0 }),
        }
    }

    /// The last byte of those that were read came with descriptors.
    #[cold]
    fn arrived(&mut self, came: Vec<OwnedFd>, received: Message) -> Result<(), Corrupt> {
        let at = self.taken + (self.end - self.start) as u64 - 1;
        let arrival = Arrival { at, came, received };
        if self.arrivals.len() == ARRIVALS {
            return Err(unasked(&arrival));
        }
        self.arrivals.push_back(arrival);
        Ok(())
    }

    /// Reads what the socket has; whether there was anything.
    fn fill(&mut self) -> Result<bool, LinkError> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.start > 0 && self.bytes.len() - self.end < Header::LEN + MAX_PAYLOAD {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let (place, mut came) = (&mut self.bytes[self.end..], Vec::new());
        match sys::scm::receive(&self.socket, place, MOST_DESCRIPTORS, &mut came) {
            Ok(Message { bytes: 0, .. }) => Err(LinkError::Gone),
            Ok(received) => {
                self.end += received.bytes;
                if !came.is_empty() || received.truncated {
                    self.arrived(came, received)?;
                }
                Ok(true)
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => Ok(false),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Err(LinkError::Gone),
                _ => Err(error.into()),
            },
        }
    }
}

/// Descriptors came with a byte that is not the first of a frame that announces some.
fn unasked(arrival: &Arrival) -> Corrupt {
    Corrupt::Descriptors { announced: 0, came: arrival.came.len() }
}

impl Receive for Receiver {
    fn next(&mut self, frame: &mut Frame) -> Result<bool, LinkError> {
        while !self.parse(frame)? {
            if !self.fill()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn most_unread(&self) -> u64 {
        // Every socket can tell.
        let waiting = rustix::io::ioctl_fionread(&self.socket).unwrap_or(0);
        (waiting + (self.end - self.start) as u64) / Header::LEN as u64
    }

    fn release(&mut self) {}

    fn awake(&mut self) {}

    fn announce(&mut self, sleep: Sleep<'_>) -> Result<Option<Note>, LinkError> {
        // What was read ahead and not taken makes another look worth it, and so does what is still to be read.
        let arrived = matches!(self.front()?, Some((_, _, true))) || self.fill()?;
        Ok(if arrived { None } else { Some(Note { rings: 0, to_write: sleep.to_write }) })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.socket.end();
    }
}

impl Signal for Shared {
    fn ring(&self) {
        // The kernel wakes the reader of a socket.
    }

    fn rings(&self) -> Option<u64> {
        None
    }

    fn is_heard(&self) -> bool {
        true
    }

    fn wake_local(&self) {
        self.wakes.wake();
    }

    fn local(&self) -> u32 {
        self.wakes.count()
    }

    fn wait(&self, note: Note, local: u32, deadline: Option<Instant>) {
        let Some(socket) = self.socket.get() else { return };
        // As it was announced, not as it is now: whoever writes meanwhile relies on that.
        self.wakes.sleep(local, &[(socket.as_fd(), true, note.to_write)], deadline);
    }

    fn descriptor(&self) -> Option<Arc<OwnedFd>> {
        self.socket.get()
    }

    fn clear(&self) {}

    fn is_stream(&self) -> bool {
        true
    }

    fn lifeline(&self) -> Option<Arc<OwnedFd>> {
        None
    }

    fn has_hung_up(&self) -> bool {
        false
    }

    fn hang_up(&self) {
        let Some(socket) = self.socket.get() else { return };
        match self.end {
            End::WithProcess => {}
            End::WithLink => sys::socket::shut_down(&*socket),
            End::Lingers => {
                sys::tcp::stop_sending(&*socket);
                sys::close::when_ended(socket, LINGERS);
            }
        }
    }

    fn may_spin(&self) -> bool {
        false
    }
}
