//! A link over a stream socket: frames one after the other, lengths checked before anything is allocated.
//!
//! Writes gather: whatever was committed goes out in one system call when it is published, and what the
//! kernel does not take waits in a buffer of bounded size.
//!
//! What the kernel of a Unix socket has taken is with the peer. That of a TCP socket still has to send it, and throws it
//! away if anything comes for a socket that is closed. So a TCP link that ends says that nothing more will come, and its
//! socket stays for a while: until the peer, which has everything then, ends its own side.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::ended::UntilEnd;
use super::wake::Wakes;
use super::{Corrupt, Frame, Full, Header, Link, LinkError, Note, Receive, Signal, Sleep, Transmit};
use crate::sys;

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
    let shared = Arc::new(Shared {
        socket: UntilEnd::new(Arc::clone(&socket)),
        end,
        backed_up: AtomicBool::new(false),
        wakes: Wakes::default(),
    });
    Ok(Link {
        transmit: Box::new(Sender {
            socket: Arc::clone(&socket),
            shared: Arc::clone(&shared),
            bytes: Vec::new(),
            committed: 0,
            written: 0,
            published: 0,
        }),
        receive: Box::new(Receiver {
            socket,
            shared: Arc::clone(&shared),
            bytes: vec![0; INBOX].into(),
            start: 0,
            end: 0,
        }),
        signal: shared,
    })
}

struct Shared {
    socket: UntilEnd<OwnedFd>,
    end: End,
    /// Bytes wait for the kernel to take them.
    backed_up: AtomicBool,
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

    fn publish(&mut self) -> bool {
        let news = self.published < self.committed;
        self.published = self.committed;
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
        if self.written == self.committed {
            self.bytes.clear();
            (self.committed, self.written, self.published) = (0, 0, 0);
        }
        self.shared.backed_up.store(self.is_backed_up(), Ordering::Relaxed);
        news
    }

    fn has_drained(&self) -> bool {
        self.bytes.is_empty()
    }

    fn is_backed_up(&self) -> bool {
        self.written < self.published
    }
}

struct Receiver {
    socket: Arc<OwnedFd>,
    shared: Arc<Shared>,
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Receiver {
    /// The header of the frame at the front, once it is there, and whether all of its payload is.
    fn front(&self) -> Result<Option<(Header, usize, bool)>, LinkError> {
        let Some((header, rest)) = self.bytes[self.start..self.end].split_first_chunk::<{ Header::LEN }>()
        else {
            return Ok(None);
        };
        let header = Header::decode(header).map_err(Corrupt::Header)?;
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        if length > MAX_PAYLOAD {
            return Err(Corrupt::Length { length: header.length, limit: MAX_PAYLOAD as u32 }.into());
        }
        Ok(Some((header, length, rest.len() >= length)))
    }

    /// Takes the complete frame at the front of what has been read; whether there is one.
    fn parse(&mut self, frame: &mut Frame) -> Result<bool, LinkError> {
        let Some((header, length, true)) = self.front()? else { return Ok(false) };
        let payload = self.start + Header::LEN;
        self.start = payload + length;
        frame.header = header;
        frame.payload.renew();
        frame.payload.extend_from_slice(&self.bytes[payload..self.start]);
        Ok(true)
    }

    /// Reads what the socket has; whether there was anything.
    fn fill(&mut self) -> Result<bool, LinkError> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.start > 0 && self.bytes.len() - self.end < Header::LEN + MAX_PAYLOAD {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        loop {
            let place = &mut self.bytes[self.end..];
            return match rustix::net::recv(&self.socket, place, RecvFlags::DONTWAIT) {
                // Whichever it was: a failed attempt to send may have taken the error away, and left the end alone.
                Ok((0, _))
                | Err(
                    Errno::CONNRESET
                    | Errno::PIPE
                    | Errno::TIMEDOUT
                    | Errno::HOSTUNREACH
                    | Errno::NETUNREACH
                    | Errno::CONNABORTED,
                ) => Err(LinkError::Gone),
                Ok((count, _)) => {
                    self.end += count;
                    Ok(true)
                }
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => Ok(false),
                Err(error) => Err(io::Error::from(error).into()),
            };
        }
    }
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

    fn announce(&mut self, _sleep: Sleep<'_>) -> Result<Option<Note>, LinkError> {
        // What was read ahead and not taken makes another look worth it, and so does what is still to be read.
        let arrived = matches!(self.front()?, Some((_, _, true))) || self.fill()?;
        Ok(if arrived { None } else { Some(Note { rings: 0 }) })
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

    fn wake_local(&self) {
        self.wakes.wake();
    }

    fn local(&self) -> u32 {
        self.wakes.count()
    }

    fn wait(&self, _note: Note, local: u32, deadline: Option<Instant>) {
        let Some(socket) = self.socket.get() else { return };
        // A sleeper is woken when this changes.
        let writable = self.backed_up.load(Ordering::Relaxed);
        self.wakes.sleep(local, &[(socket.as_fd(), true, writable)], deadline);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Kind;
    use rustix::net::{AddressFamily, SocketType, sockopt};
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    #[test]
    fn what_a_tcp_link_has_sent_arrives_although_the_peer_speaks_after_its_end() {
        const FRAMES: usize = 3;
        let (listener, address) = sys::tcp::listen(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let peer = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        // So little that all but the first of it stays in the kernel on this side.
        sockopt::set_socket_recv_buffer_size(&peer, 4096).unwrap();
        rustix::net::connect(&peer, &address).unwrap();
        let mut peer = TcpStream::from(peer);
        peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (socket, _) = sys::socket::accept(&listener).unwrap();
        sockopt::set_socket_send_buffer_size(&socket, FRAMES * MAX_PAYLOAD).unwrap();

        let Link { mut transmit, receive, signal } = tcp(socket).unwrap();
        for _ in 0..FRAMES {
            transmit.reserve(MAX_PAYLOAD).unwrap();
            let length = MAX_PAYLOAD as u32;
            transmit.commit(&Header { length, ..Header::new(Kind::Response) });
            transmit.publish();
            assert!(transmit.has_drained(), "the kernel has it all");
        }
        signal.hang_up();
        drop((transmit, receive));
        peer.write_all(b"late").unwrap();
        assert_eq!(peer.read_to_end(&mut Vec::new()).unwrap(), FRAMES * (Header::LEN + MAX_PAYLOAD));
    }
}
