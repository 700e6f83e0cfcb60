//! What is served at an address, and to whom.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use super::open::Opening;
use super::{OpenError, Options, ServeError};
use crate::driver::Dispatch;
use crate::link::{Access, Address, AddressError, Name, Peer, Place, TakenError};
use crate::service::{Service, dispatcher};
use crate::session::Role;

/// Sessions that are being opened at a time; further peers wait in the socket's queue.
pub(super) const OPENING: usize = 128;

/// Only this user may reach the socket.
const MODE: u32 = 0o600;

/// What is served at an address and to whom, where [`serve`](crate::serve) does not say enough.
#[must_use = "a server serves once it is bound"]
pub struct Server {
    address: Result<Address, AddressError>,
    dispatch: Arc<dyn Dispatch>,
    options: Options,
    access: Access,
    mode: u32,
}

impl Server {
    /// Serves `service` at `address`, a text like `shm:/run/app.sock`.
    pub fn new(address: &str, service: impl Service) -> Self {
        Self {
            address: address.parse(),
            dispatch: dispatcher(service),
            options: Options::new(),
            access: Access::SameUser,
            mode: MODE,
        }
    }

    /// Opens every session with these options.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Sets which users are let in; by default the one that this process runs as.
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Sets the mode of the socket's file; by default 0600. Those whom [`access`](Self::access) lets in need to
    /// write to it.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Binds the address, in a tokio runtime.
    ///
    /// # Errors
    /// [`ServeError`].
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time enabled.
    #[cfg(feature = "tokio")]
    pub fn bind(self) -> Result<super::Listener, ServeError> {
        super::Listener::new(self.take()?)
    }

    /// Binds the address; no runtime is needed.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn bind_blocking(self) -> Result<super::blocking::Listener, ServeError> {
        super::blocking::Listener::new(self.take()?)
    }

    fn take(self) -> Result<Bound, ServeError> {
        let Self { address, dispatch, options, access, mode } = self;
        let address = address?;
        options.limits.check()?;
        let in_use = || ServeError::InUse { address: address.to_string() };
        let source = match &address {
            Address::Mem(name) => Source::Name(Name::take(name).ok_or_else(in_use)?),
            Address::Shm(path) | Address::Unix(path) => {
                let (place, socket) = Place::take(path, mode).map_err(|error| match error {
                    TakenError::InUse => in_use(),
                    TakenError::NotASocket => ServeError::NotASocket { path: path.clone() },
                    TakenError::Io(source) => ServeError::Io { address: address.to_string(), source },
                })?;
                Source::Socket { socket: Arc::new(socket), _place: place }
            }
        };
        Ok(Bound { source, terms: Arc::new(Admission { address, dispatch, options, access }) })
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

/// An address, bound.
pub(super) struct Bound {
    pub(super) source: Source,
    pub(super) terms: Arc<Admission>,
}

/// Where peers come from.
pub(super) enum Source {
    /// A socket listens.
    Socket { socket: Arc<OwnedFd>, _place: Place },
    /// A name within this process.
    Name(Name),
}

/// How peers are let in.
pub(super) struct Admission {
    pub(super) address: Address,
    pub(super) dispatch: Arc<dyn Dispatch>,
    pub(super) options: Options,
    access: Access,
}

impl Admission {
    /// How a session with whoever connected this socket is opened.
    pub(super) fn opening(&self, socket: &UnixStream) -> Result<Opening, OpenError> {
        Ok(Opening {
            role: Role::Acceptor,
            ticket: None,
            shm: matches!(self.address, Address::Shm(_)),
            peer: Peer::of(socket)?,
            access: self.access.clone(),
        })
    }

    pub(super) fn io(&self, source: io::Error) -> ServeError {
        ServeError::Io { address: self.address.to_string(), source }
    }

    /// A peer that was not let in, or did not come through, is its own trouble.
    pub(super) fn turned_away(&self, error: &OpenError) {
        tracing::warn!(target: "transom::endpoint", address = %self.address, %error, "no session with a peer");
    }
}

/// Whether accepting may succeed a moment later, and not with the very same connection.
pub(super) enum Hiccup {
    /// That connection is gone; the next may be fine.
    Next,
    /// The process or the system is out of something; some of it may come back.
    Exhausted,
    /// The listener is of no further use.
    Broken,
}

/// What an error of `accept` means.
pub(super) fn hiccup(error: &io::Error) -> Hiccup {
    use rustix::io::Errno;
    match Errno::from_io_error(error) {
        Some(Errno::CONNABORTED | Errno::INTR | Errno::PERM | Errno::PROTO) => Hiccup::Next,
        // The last is what a thread that cannot be started gives.
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::AGAIN) => Hiccup::Exhausted,
        _ => Hiccup::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn what_passes_does_not_end_a_listener() {
        let of = |errno: Errno| hiccup(&errno.into());
        for errno in [Errno::CONNABORTED, Errno::INTR, Errno::PERM, Errno::PROTO] {
            assert!(matches!(of(errno), Hiccup::Next), "{errno}");
        }
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::AGAIN] {
            assert!(matches!(of(errno), Hiccup::Exhausted), "{errno}");
        }
        for errno in [Errno::BADF, Errno::INVAL, Errno::NOTSOCK] {
            assert!(matches!(of(errno), Hiccup::Broken), "{errno}");
        }
    }
}
