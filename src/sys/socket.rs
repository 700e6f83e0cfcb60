//! Sockets: listening, accepting, connecting by path; and the lock that says whose a path is.

use std::fs::{File, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, Mode};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// A socket that listens at `path` from the moment that its mode is `mode`.
pub(crate) fn listen(path: &Path, mode: u32) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    // Nobody can connect before the socket listens.
    let listens = rustix::fs::chmod(path, Mode::from_raw_mode(mode))
        .and_then(|()| rustix::net::listen(&socket, BACKLOG));
    if let Err(error) = listens {
        // The first error is the one that counts.
        let _unlinked = std::fs::remove_file(path);
        return Err(error.into());
    }
    Ok(socket)
}

/// The next connection, and where it comes from over TCP. Never waits.
pub(crate) fn accept(listener: impl AsFd) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (socket, from) = rustix::net::acceptfrom_with(listener, flags)?;
    Ok((socket, from.and_then(|from| from.try_into().ok())))
}

/// From here on nothing waits that is done with the socket.
pub(crate) fn never_wait(socket: impl AsFd) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(socket, true)?)
}

/// A connection to whoever listens at `path`. Never waits: where too many wait to be accepted it would have to.
pub(crate) fn connect(path: &Path) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

/// Ends a connection in both directions; what was sent before can still be read. Whoever waits for it is woken.
pub(crate) fn shut_down(socket: impl AsFd) {
    // One that is not connected any more is at its end already.
    let _shut = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
}

/// The file at `path`, locked; `None` if another process, or another part of this one, holds the lock.
pub(crate) fn try_lock(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
