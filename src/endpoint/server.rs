//! What is served at an address, and to whom.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::door::Door;
use super::open::Opening;
use super::tcp;
use super::{OpenError, Options, ServeError};
use crate::driver::Dispatch;
use crate::link::{Access, Address, AddressError, Name, Peer, Place, TakenError, Wanted};
use crate::service::{Service, Session, dispatcher};
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
    access: Option<Access>,
    mode: u32,
}

impl Server {
    /// Serves `service` at `address`, a text like `shm:/run/app.sock`.
    pub fn new(address: &str, service: impl Service) -> Self {
        Self {
            address: address.parse(),
            dispatch: dispatcher(service),
            options: Options::new(),
            access: None,
            mode: MODE,
        }
    }

    /// Opens every session with these options.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Sets who is let in; by default [`Access::SameUser`], and [`Access::ThisMachine`] over TCP, where nobody's user is
    /// known. What else is to be known of a peer is for [`Options::policy`].
    pub fn access(mut self, access: Access) -> Self {
        self.access = Some(access);
        self
    }

    /// Sets the mode of the socket's file; by default 0600. Those whom [`access`](Self::access) lets in need to
    /// write to it.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Binds the address, in a tokio runtime. The host of a `tcp:` address that is not in digits is looked up while this
    /// thread waits.
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
        let Self { address, dispatch, mut options, access, mode } = self;
        let address = address?;
        options.limits.check()?;
        let in_use = || ServeError::InUse { address: address.to_string() };
        let mut bound = None;
        let source = match &address {
            Address::Mem(name) => Source::Name(Name::take(name).ok_or_else(in_use)?),
            Address::Tcp { .. } if access.as_ref().is_some_and(Access::is_by_user) => {
                return Err(ServeError::UsersUnknown { address: address.to_string() });
            }
            Address::Tcp { host, port } => {
                let place = tcp::Place { address: &address, host, port: *port };
                let (socket, at) = tcp::listen(place, &options)?;
                bound = Some(at.into());
                Source::Socket { socket: Arc::new(socket), _place: None }
            }
            Address::Shm(path) | Address::Unix(path) => {
                let (place, socket) = Place::take(path, mode).map_err(|error| match error {
                    TakenError::InUse => in_use(),
                    TakenError::NotASocket => ServeError::NotASocket { path: path.clone() },
                    TakenError::Io(source) => ServeError::Io { address: address.to_string(), source },
                })?;
                Source::Socket { socket: Arc::new(socket), _place: Some(place) }
            }
        };
        let address = bound.unwrap_or(address);
        let access = access.unwrap_or(match &address {
            Address::Tcp { .. } => Access::ThisMachine,
            Address::Shm(_) | Address::Unix(_) | Address::Mem(_) => Access::SameUser,
        });
        let door = Arc::new(Door::default());
        options.policy = options.policy.behind(&door);
        Ok(Bound { source, terms: Arc::new(Admission { address, dispatch, options, access, door }) })
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
    /// A socket listens, one by path in its place.
    Socket { socket: Arc<OwnedFd>, _place: Option<Place> },
    /// A name within this process.
    Name(Name),
}

/// How peers are let in.
pub(super) struct Admission {
    pub(super) address: Address,
    pub(super) dispatch: Arc<dyn Dispatch>,
    pub(super) options: Options,
    access: Access,
    pub(super) door: Arc<Door>,
}

impl Admission {
    /// How a session with whoever connected this socket is opened; over TCP it came `from` there.
    pub(super) fn opening(&self, socket: &OwnedFd, from: Option<SocketAddr>) -> Result<Opening, OpenError> {
        let (wanted, peer) = match (from, &self.address) {
            (Some(from), _) => (Wanted::Tcp, Peer::remote(from)),
            (None, Address::Shm(_)) => (Wanted::Shm, Peer::of(socket)?),
            (None, _) => (Wanted::Unix, Peer::of(socket)?),
        };
        Ok(Opening { role: Role::Acceptor, ticket: None, wanted, peer, access: self.access.clone() })
    }

    pub(super) fn io(&self, source: io::Error) -> ServeError {
        ServeError::Io { address: self.address.to_string(), source }
    }

    /// What has become of a peer. One that was not let in, or did not come through, is its own trouble.
    pub(super) fn opened(&self, opened: Result<Session, OpenError>) -> Option<Session> {
        match opened {
            Ok(session) => {
                self.door.entered(&session);
                Some(session)
            }
            Err(error) => {
                tracing::warn!(target: "transom::endpoint", address = %self.address, %error, "no session with a peer");
                None
            }
        }
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
        Some(
            Errno::CONNABORTED
            | Errno::INTR
            | Errno::PERM
            | Errno::PROTO
            // Over TCP: what has already befallen the connection.
            | Errno::NETDOWN
            | Errno::NOPROTOOPT
            | Errno::HOSTDOWN
            | Errno::NONET
            | Errno::HOSTUNREACH
            | Errno::OPNOTSUPP
            | Errno::NETUNREACH
            | Errno::TIMEDOUT,
        ) => Hiccup::Next,
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
        for errno in [Errno::CONNABORTED, Errno::INTR, Errno::PERM, Errno::PROTO, Errno::NETUNREACH] {
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
