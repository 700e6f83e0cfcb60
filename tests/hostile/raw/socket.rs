//! Bytes and descriptors over a socket, waited for with patience and not for ever.

use std::fs::File;
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, Shutdown, recvmsg, sendmsg,
};
use rustix::time::Timespec;
use transom::Address;

use super::PATIENCE;

/// The most descriptors that a test sends or receives at a time.
const MANY: usize = 64;

/// One end of a connected socket.
#[derive(Debug)]
pub struct Socket(File);

impl Socket {
    /// Takes a connected socket over.
    pub fn new(socket: impl Into<OwnedFd>) -> Self {
        let socket = socket.into();
        rustix::io::ioctl_fionbio(&socket, false).expect("a socket");
        for timeout in [Timeout::Recv, Timeout::Send] {
            set_socket_timeout(&socket, timeout, Some(PATIENCE)).expect("a socket");
        }
        Self(socket.into())
    }

    /// Connects to whoever listens at `address`.
    pub fn connect(address: &Address) -> Self {
        match address {
            Address::Shm(path) | Address::Unix(path) => {
                Self::new(UnixStream::connect(path).expect("somebody listens"))
            }
            Address::Tcp { host, port } => {
                Self::new(TcpStream::connect((host.as_str(), *port)).expect("somebody listens"))
            }
            other => panic!("{other} is no socket"),
        }
    }

    /// Sends all of `bytes`; whether anybody was there to take them.
    pub fn say(&self, bytes: &[u8]) -> bool {
        match (&self.0).write_all(bytes) {
            Ok(()) => true,
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => false,
            Err(error) => panic!("sending {} bytes: {error}", bytes.len()),
        }
    }

    /// Sends a few bytes if there is room for them now; whether there was.
    pub fn say_now(&self, bytes: &[u8]) -> bool {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match rustix::net::send(&self.0, bytes, flags) {
            Ok(sent) => {
                assert_eq!(sent, bytes.len(), "so few go together");
                true
            }
            Err(rustix::io::Errno::AGAIN) => false,
            Err(error) => panic!("sending {} bytes: {error}", bytes.len()),
        }
    }

    /// Sends `bytes`, and descriptors with the first of them.
    pub fn hand(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MANY))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)), "too many for a test");
        }
        let sent = sendmsg(&self.0, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL);
        assert_eq!(sent.expect("somebody is there"), bytes.len());
    }

    /// The next `count` bytes; `None` if the end comes first.
    pub fn hear(&self, count: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; count];
        match (&self.0).read_exact(&mut bytes) {
            Ok(()) => Some(bytes),
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
                None
            }
            Err(error) => panic!("waiting for {count} bytes: {error}"),
        }
    }

    /// The next `count` bytes and what came with them; `None` if the end comes first.
    pub fn take(&self, count: usize) -> Option<(Vec<u8>, Vec<OwnedFd>)> {
        let (mut bytes, mut filled, mut descriptors) = (vec![0; count], 0, Vec::new());
        while filled < count {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MANY))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let into = &mut [IoSliceMut::new(&mut bytes[filled..])];
            let message = match recvmsg(&self.0, into, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Ok(message) if message.bytes > 0 => message,
                Ok(_) | Err(rustix::io::Errno::CONNRESET) => return None,
                Err(error) => panic!("waiting for {count} bytes: {error}"),
            };
            filled += message.bytes;
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(received) = message {
                    descriptors.extend(received);
                }
            }
        }
        Some((bytes, descriptors))
    }

    /// Waits until the other side has closed; whatever it still said is passed over.
    pub fn is_closed_by_the_other(&self) {
        while self.hear(1).is_some() {}
    }

    /// Says that nothing more will be said.
    pub fn stop_talking(&self) {
        rustix::net::shutdown(&self.0, Shutdown::Write).expect("a socket");
    }

    /// The same socket again.
    pub fn another(&self) -> Self {
        Self(self.0.try_clone().expect("a socket"))
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until one of `descriptors` can be read from or is at its end.
pub fn wait_for(descriptors: &[BorrowedFd<'_>]) {
    let until = Instant::now() + PATIENCE;
    loop {
        let mut watched: Vec<PollFd<'_>> = descriptors
            .iter()
            .map(|descriptor| PollFd::from_borrowed_fd(*descriptor, PollFlags::IN))
            .collect();
        let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).expect("a short time");
        match poll(&mut watched, Some(&left)) {
            Ok(0) => panic!("nothing came in {PATIENCE:?}"),
            Ok(_) => return,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("waiting: {error}"),
        }
    }
}
