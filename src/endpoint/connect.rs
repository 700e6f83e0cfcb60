//! Connecting.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::open::{Opening, open_blocking, open_mem_blocking};
use super::patience::Patience;
use super::reconnect::Reconnect;
use super::tcp::{self, Place};
use super::{ConnectError, OpenError, Options};
use crate::driver::Dispatch;
use crate::link::{Access, Address, AddressError, Link, Peer, Unreached, Wanted, reach};
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
    waits: Option<Duration>,
    reconnects: Option<Duration>,
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
        Self {
            address,
            options: Options::new(),
            dispatch: dispatcher(()),
            serves: false,
            waits: None,
            reconnects: None,
        }
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

    /// Waits for so long until somebody is there: tries again after what may pass, which is what
    /// [`ConnectError::can_retry`] says, with pauses from a tenth of a second to five seconds. Each attempt by itself takes
    /// no longer than [`Options::handshake_timeout`] allows, and all of them together no longer than this; the error then is
    /// that of the last one.
    pub fn wait_for_service(mut self, total: Duration) -> Self {
        self.waits = Some(total);
        self
    }

    /// Has the client that is connected outlive its session: when that has ended, the next call opens another one, and waits
    /// so long for somebody to be there, as with [`wait_for_service`](Self::wait_for_service). Calls that come meanwhile wait
    /// for the same one.
    ///
    /// Who is refused, as [`Options::policy`] may have it, waits only if the reason may pass; else the call ends at once, as
    /// disconnected for that reason, and the next one asks anew.
    ///
    /// A call in flight when its session ends is made again if it surely did not run, or if its method is marked
    /// `#[transom(idempotent)]` and has no channels; else it ends as disconnected. Its deadline counts from the start, and
    /// over all of it. What the client's session and connection say is about the first one; what is opened on that, and
    /// channels, end with it.
    pub fn reconnect_within(mut self, total: Duration) -> Self {
        self.reconnects = Some(total);
        self
    }

    /// A client over the first session, that reconnects if it was told to.
    fn client<C: Client>(self, session: Session) -> C {
        match self.reconnects {
            None => session.client(),
            Some(total) => session.renewed_by(Reconnect::new(self, total, session.clone())).client(),
        }
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
        let session = self.open().await?;
        Ok(self.client(session))
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
        self.open().await
    }

    /// Connects, in as many attempts as it may take.
    #[cfg(feature = "tokio")]
    pub(super) async fn open(&self) -> Result<Session, ConnectError> {
        use super::open::runtime_now;
        let mut patience = Patience::new(self.waits, runtime_now());
        loop {
            let error = match self.attempt(patience.cap(self.options.open_until(runtime_now()))).await {
                Ok(session) => return Ok(session),
                Err(error) => error,
            };
            let Some(pause) = patience.pause(&error, runtime_now(), sys::random::number()) else {
                return Err(error);
            };
            tracing::debug!(target: "transom::endpoint", %error, "trying again");
            tokio::time::sleep(pause).await;
        }
    }

    /// One attempt, to be done at `until`.
    #[cfg(feature = "tokio")]
    async fn attempt(&self, until: Option<Instant>) -> Result<Session, ConnectError> {
        use super::open::{open, open_mem, runtime_now};
        let address = self.address.as_ref().map_err(Clone::clone)?;
        let dispatch = Arc::clone(&self.dispatch);
        let opened = match address {
            Address::Mem(name) => {
                let link = mem_link(address, name, &self.options)?;
                let options = self.options.left(until, runtime_now());
                open_mem(link, Role::Initiator, &options, dispatch).await
            }
            Address::Shm(path) | Address::Unix(path) => {
                let socket = loop {
                    match sys::socket::connect(path) {
                        Err(error) if is_crowded(&error, until, runtime_now()) => {
                            tokio::time::sleep(CROWDED).await;
                        }
                        connected => break connected,
                    }
                };
                let (socket, opening) = connected(address, socket)?;
                let options = self.options.left(until, runtime_now());
                open(socket, opening, &options, dispatch).await
            }
            Address::Tcp { host, port } => {
                let place = Place { address, host, port: *port };
                let (socket, remote) = tcp::connect(place, &self.options, until).await?;
                let options = self.options.left(until, runtime_now());
                open(socket, initiating(Wanted::Tcp, Peer::remote(remote)), &options, dispatch).await
            }
        };
        opened.map_err(|source| ConnectError::Open { address: address.to_string(), source })
    }

    /// Connects without a runtime, for one service of the peer.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn connect_blocking<C: Client>(self) -> Result<C, ConnectError> {
        let session = self.open_blocking(None)?;
        Ok(self.client(session))
    }

    /// Connects without a runtime. The session has a thread of its own if something is served on it.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn session_blocking(self) -> Result<Session, ConnectError> {
        self.open_blocking(None)
    }

    /// Connects, in as many attempts as it may take, and at the latest by `until`.
    pub(super) fn open_blocking(&self, until: Option<Instant>) -> Result<Session, ConnectError> {
        let now = Instant::now();
        let left = until.map(|until| until.saturating_duration_since(now));
        let mut patience =
            Patience::new(self.waits.map(|total| left.map_or(total, |left| left.min(total))), now);
        loop {
            let error = match self.attempt_blocking(patience.cap(self.options.open_until(Instant::now()))) {
                Ok(session) => return Ok(session),
                Err(error) => error,
            };
            let Some(pause) = patience.pause(&error, Instant::now(), sys::random::number()) else {
                return Err(error);
            };
            tracing::debug!(target: "transom::endpoint", %error, "trying again");
            std::thread::sleep(pause);
        }
    }

    /// One attempt, to be done at `until`.
    fn attempt_blocking(&self, until: Option<Instant>) -> Result<Session, ConnectError> {
        let address = self.address.as_ref().map_err(Clone::clone)?;
        let (dispatch, serves) = (Arc::clone(&self.dispatch), self.serves);
        let opened = match address {
            Address::Mem(name) => {
                let link = mem_link(address, name, &self.options)?;
                let options = self.options.left(until, Instant::now());
                open_mem_blocking(link, Role::Initiator, &options, dispatch, serves)
            }
            Address::Shm(path) | Address::Unix(path) => {
                let socket = loop {
                    match sys::socket::connect(path) {
                        Err(error) if is_crowded(&error, until, Instant::now()) => {
                            std::thread::sleep(CROWDED);
                        }
                        connected => break connected,
                    }
                };
                let (socket, opening) = connected(address, socket)?;
                let options = self.options.left(until, Instant::now());
                open_blocking(socket, &opening, &options, dispatch, serves)
            }
            Address::Tcp { host, port } => {
                let place = Place { address, host, port: *port };
                let (socket, remote) = tcp::connect_blocking(place, &self.options, until)?;
                let opening = initiating(Wanted::Tcp, Peer::remote(remote));
                let options = self.options.left(until, Instant::now());
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
fn is_crowded(error: &io::Error, until: Option<Instant>, now: Instant) -> bool {
    error.kind() == io::ErrorKind::WouldBlock && until.is_none_or(|until| now < until)
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

/// What comes of an attempt to connect to a path.
fn connected(address: &Address, socket: io::Result<OwnedFd>) -> Result<(OwnedFd, Opening), ConnectError> {
    let wanted = if matches!(address, Address::Shm(_)) { Wanted::Shm } else { Wanted::Unix };
    let reached = socket.and_then(|socket| Ok((Peer::of(&socket)?, socket)));
    match reached {
        Ok((peer, socket)) => Ok((socket, initiating(wanted, peer))),
        Err(error) => Err(match error.kind() {
            // What is there is stale, or nothing is.
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ConnectError::Absent { address: address.to_string() }
            }
            _ => ConnectError::Socket { address: address.to_string(), source: error },
        }),
    }
}

fn initiating(wanted: Wanted, peer: Peer) -> Opening {
    Opening { role: Role::Initiator, ticket: None, wanted, peer, access: Access::Anyone }
}
