//! Serving at an address, in a tokio runtime.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinSet;

use super::open::{open, open_mem};
use super::server::{Admission, Bound, Hiccup, OPENING, Source, hiccup};
use super::{OpenError, ServeError, Server, ShutdownHandle};
use crate::link::{Address, Link};
use crate::service::{Service, Session};
use crate::session::Role;
use crate::sys::{self, watch::Watched};

/// Before accepting is tried again when the system is out of something.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// Serves `service` at `address` to whoever connects, for as long as this is polled.
///
/// ```no_run
/// # #[transom::service]
/// # trait Calc { async fn add(&self, a: u64, b: u64) -> u64; }
/// # struct MyCalc;
/// # impl Calc for MyCalc { async fn add(&self, a: u64, b: u64) -> u64 { a + b } }
/// # async fn example() -> Result<(), transom::ServeError> {
/// transom::serve("shm:/run/calc.sock", CalcServer::new(MyCalc)).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ServeError`]; it never ends otherwise.
///
/// # Panics
/// Outside a tokio runtime with I/O and time enabled.
///
/// # Cancel safety
/// Dropped, it accepts nobody any more; sessions that are open go on.
pub async fn serve(address: &str, service: impl Service) -> Result<Infallible, ServeError> {
    let mut listener = Server::new(address, service).bind()?;
    loop {
        listener.accept().await?.detach();
    }
}

/// An address at which peers are served. Dropped, it is free again; sessions that are open go on.
pub struct Listener {
    // Dropped before the address is free again.
    opening: JoinSet<Result<Session, OpenError>>,
    /// Those who were on the way in when it began to shut down, once it has.
    before: Option<JoinSet<Result<Session, OpenError>>>,
    incoming: Incoming,
    admission: Arc<Admission>,
}

enum Incoming {
    Socket { socket: AsyncFd<Watched>, _source: Source },
    Name(crate::link::Name),
}

/// Somebody who came.
enum Arrival {
    Socket(OwnedFd, Option<SocketAddr>),
    Link(Link),
}

impl Listener {
    pub(super) fn new(Bound { source, terms: admission }: Bound) -> Result<Self, ServeError> {
        let incoming = match source {
            Source::Name(name) => Incoming::Name(name),
            Source::Socket { ref socket, .. } => {
                let socket = sys::watch::register(socket, Interest::READABLE);
                Incoming::Socket { socket: socket.map_err(|error| admission.io(error))?, _source: source }
            }
        };
        Ok(Self { opening: JoinSet::new(), before: None, incoming, admission })
    }

    /// Where peers are served. Over TCP it is the address in digits, with the port that was found.
    pub fn address(&self) -> &Address {
        &self.admission.address
    }

    /// The next peer's session, once its handshake is done. Peers that fail to open one are logged and cost nobody
    /// else any time.
    ///
    /// # Errors
    /// [`ServeError`] if nobody can be accepted any more; [`ServeError::ShutDown`] when it has
    /// [shut down](Self::shutdown_handle), and all its sessions are over.
    ///
    /// # Cancel safety
    /// Nobody is lost when this is dropped: sessions that are being opened go on, and the next call gives them.
    pub async fn accept(&mut self) -> Result<Session, ServeError> {
        let admission = Arc::clone(&self.admission);
        loop {
            let room = self.opening.len() < OPENING;
            let arrival = async { if room { self.incoming.next(&admission).await } else { pending().await } };
            let none_before = self.before.as_ref().map(JoinSet::is_empty);
            let shut_down = poll_fn(|cx| match none_before {
                None => admission.door.poll_closing(cx),
                Some(false) => Poll::Pending,
                Some(true) => admission.door.poll_empty(cx),
            });
            let opened = tokio::select! {
                Some(opened) = self.opening.join_next() => opened,
                Some(opened) = async { self.before.as_mut()?.join_next().await } => opened,
                arrival = arrival => {
                    self.begin(arrival?);
                    continue;
                }
                () = shut_down => match none_before {
                    // They may have a session, and calls in flight. Those who come from here on are refused, and not waited
                    // for.
                    None => {
                        self.before = Some(std::mem::take(&mut self.opening));
                        continue;
                    }
                    Some(_) => return Err(ServeError::ShutDown),
                },
            };
            let opened = opened.unwrap_or_else(|panicked| Err(OpenError::Io(io::Error::other(panicked))));
            if let Some(session) = admission.opened(opened) {
                return Ok(session);
            }
        }
    }

    /// Serves whoever comes, for as long as this is polled, or until it has [shut down](Self::shutdown_handle). Sessions
    /// live until their peers end them.
    ///
    /// # Errors
    /// [`ServeError`] if nobody can be accepted any more.
    ///
    /// # Cancel safety
    /// Dropped, it frees the address; sessions that are open go on.
    pub async fn run(mut self) -> Result<(), ServeError> {
        loop {
            match self.accept().await {
                Ok(session) => session.detach(),
                Err(ServeError::ShutDown) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Ends this listener politely, from wherever it is.
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        ShutdownHandle::new(&self.admission.door)
    }

    fn begin(&mut self, arrival: Arrival) {
        let admission = Arc::clone(&self.admission);
        self.opening.spawn(async move {
            let dispatch = Arc::clone(&admission.dispatch);
            match arrival {
                Arrival::Link(link) => open_mem(link, Role::Acceptor, &admission.options, dispatch).await,
                Arrival::Socket(socket, from) => {
                    let opening = admission.opening(&socket, from)?;
                    open(socket, opening, &admission.options, dispatch).await
                }
            }
        });
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("address", self.address()).finish_non_exhaustive()
    }
}

impl Incoming {
    async fn next(&self, admission: &Admission) -> Result<Arrival, ServeError> {
        match self {
            Self::Name(name) => Ok(Arrival::Link(poll_fn(|cx| name.poll_accept(cx)).await)),
            Self::Socket { socket, .. } => loop {
                let mut ready = socket.readable().await.map_err(|error| admission.io(error))?;
                match ready.try_io(sys::socket::accept) {
                    Ok(Ok((socket, from))) => return Ok(Arrival::Socket(socket, from)),
                    // Not ready after all.
                    Err(_) => {}
                    Ok(Err(error)) => match hiccup(&error) {
                        Hiccup::Next => {}
                        Hiccup::Exhausted => {
                            tracing::warn!(target: "transom::endpoint", %error, "accepting");
                            tokio::time::sleep(EXHAUSTED).await;
                        }
                        Hiccup::Broken => return Err(admission.io(error)),
                    },
                }
            },
        }
    }
}
