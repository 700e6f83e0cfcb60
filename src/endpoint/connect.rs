//! Connecting.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::open::{Opening, open_blocking, open_mem_blocking};
use super::{ConnectError, OpenError, Options};
use crate::driver::Dispatch;
use crate::link::{Access, Address, AddressError, Link, Peer, Unreached, reach};
use crate::service::{Client, Service, Session, dispatcher};
use crate::session::Role;
use crate::sys;

/// Between two tries to connect where too many wait to be accepted.
const CROWDED: Duration = Duration::from_millis(1);

/// Connects to `address` and returns a client for what is served there.
///
/// ```no_run
/// # #[transom::service]
/// # trait Calc { async fn add(&self, a: u64, b: u64) -> u64; }
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let calc = transom::connect::<CalcClient>("shm:/run/calc.sock").await?;
/// assert_eq!(calc.add(2, 3).await?, 5);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ConnectError`].
///
/// # Panics
/// Outside a tokio runtime with I/O and time enabled.
///
/// # Cancel safety
/// Dropped before it is done, it leaves nothing behind.
#[cfg(feature = "tokio")]
pub async fn connect<C: Client>(address: &str) -> Result<C, ConnectError> {
    Connector::new(address).connect().await
}

/// How to connect, where [`connect`](crate::connect) does not say enough.
#[must_use = "a connector connects when told to"]
pub struct Connector {
    address: Result<Address, AddressError>,
    options: Options,
    dispatch: Arc<dyn Dispatch>,
    serves: bool,
}

impl Connector {
    /// Connects to `address`, a text like `shm:/run/app.sock`.
    pub fn new(address: &str) -> Self {
        Self::with(address.parse())
    }

    /// Connects to `address`.
    pub fn to(address: Address) -> Self {
        Self::with(Ok(address))
    }

    fn with(address: Result<Address, AddressError>) -> Self {
        Self { address, options: Options::new(), dispatch: dispatcher(()), serves: false }
    }

    /// Opens the session with these options.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Serves `service` to the peer.
    pub fn serve(mut self, service: impl Service) -> Self {
        self.serves = service.serves();
        self.dispatch = dispatcher(service);
        self
    }

    /// Connects, for one service of the peer.
    ///
    /// # Errors
    /// [`ConnectError`].
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time enabled.
    ///
    /// # Cancel safety
    /// Dropped before it is done, it leaves nothing behind.
    #[cfg(feature = "tokio")]
    pub async fn connect<C: Client>(self) -> Result<C, ConnectError> {
        Ok(self.session().await?.client())
    }

    /// Connects.
    ///
    /// # Errors
    /// [`ConnectError`].
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time enabled.
    ///
    /// # Cancel safety
    /// Dropped before it is done, it leaves nothing behind.
    #[cfg(feature = "tokio")]
    pub async fn session(self) -> Result<Session, ConnectError> {
        use super::open::{open, open_mem};
        let Self { address, options, dispatch, .. } = self;
        let address = address?;
        let opened = match &address {
            Address::Mem(name) => {
                let link = mem_link(&address, name, &options)?;
                open_mem(link, Role::Initiator, &options, dispatch).await
            }
            Address::Shm(path) | Address::Unix(path) => {
                let until = options.open_until();
                let socket = loop {
                    match sys::socket::connect(path) {
                        Err(error) if is_crowded(&error, until) => tokio::time::sleep(CROWDED).await,
                        connected => break connected,
                    }
                };
                let (socket, opening) = connected(&address, path, socket)?;
                open(socket, opening, &options, dispatch).await
            }
        };
        opened.map_err(|source| ConnectError::Open { address: address.to_string(), source })
    }

    /// Connects without a runtime, for one service of the peer.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn connect_blocking<C: Client>(self) -> Result<C, ConnectError> {
        Ok(self.session_blocking()?.client())
    }

    /// Connects without a runtime. The session has a thread of its own if something is served on it.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn session_blocking(self) -> Result<Session, ConnectError> {
        let Self { address, options, dispatch, serves } = self;
        let address = address?;
        let opened = match &address {
            Address::Mem(name) => {
                let link = mem_link(&address, name, &options)?;
                open_mem_blocking(link, Role::Initiator, &options, dispatch, serves)
            }
            Address::Shm(path) | Address::Unix(path) => {
                let until = options.open_until();
                let socket = loop {
                    match sys::socket::connect(path) {
                        Err(error) if is_crowded(&error, until) => std::thread::sleep(CROWDED),
                        connected => break connected,
                    }
                };
                let (socket, opening) = connected(&address, path, socket)?;
                open_blocking(socket, &opening, &options, dispatch, serves)
            }
        };
        opened.map_err(|source| ConnectError::Open { address: address.to_string(), source })
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Too many wait to be accepted, and there is time left to be one of them.
fn is_crowded(error: &io::Error, until: Option<Instant>) -> bool {
    error.kind() == io::ErrorKind::WouldBlock && until.is_none_or(|until| Instant::now() < until)
}

fn mem_link(address: &Address, name: &str, options: &Options) -> Result<Link, ConnectError> {
    let limits = options.limits.check().map_err(OpenError::from);
    limits.map_err(|source| ConnectError::Open { address: address.to_string(), source })?;
    reach(name).map_err(|unreached| match unreached {
        Unreached::Absent => ConnectError::Absent { address: address.to_string() },
        Unreached::Busy => {
            ConnectError::Socket { address: address.to_string(), source: io::ErrorKind::WouldBlock.into() }
        }
    })
}

fn connected(
    address: &Address,
    path: &Path,
    socket: io::Result<std::os::unix::net::UnixStream>,
) -> Result<(std::os::unix::net::UnixStream, Opening), ConnectError> {
    let reached = socket.and_then(|socket| Ok((Peer::of(&socket)?, socket)));
    match reached {
        Ok((peer, socket)) => {
            let shm = *address == Address::Shm(path.to_owned());
            Ok((socket, Opening { role: Role::Initiator, ticket: None, shm, peer, access: Access::Anyone }))
        }
        Err(error) => Err(match error.kind() {
            // What is there is stale, or nothing is.
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ConnectError::Absent { address: address.to_string() }
            }
            _ => ConnectError::Socket { address: address.to_string(), source: error },
        }),
    }
}
