//! Connecting and serving without a runtime.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use super::open::{open_blocking, open_mem_blocking};
use super::server::{Admission, Bound, Hiccup, OPENING, Source, hiccup};
use super::{ConnectError, Connector, OpenError, ServeError, Server};
use crate::link::Address;
use crate::service::{Client, Service, Session};
use crate::session::Role;
use crate::sys;

/// Before accepting is tried again when the system is out of something.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// Connects to `address` and returns a client for what is served there. No runtime is needed; calls are made, and
/// their answers awaited, on the calling threads.
///
/// ```no_run
/// # #[transom::service]
/// # trait Calc { async fn add(&self, a: u64, b: u64) -> u64; }
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let calc = transom::blocking::connect::<CalcBlockingClient>("shm:/run/calc.sock")?;
/// assert_eq!(calc.add(2, 3)?, 5);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ConnectError`].
pub fn connect<C: Client>(address: &str) -> Result<C, ConnectError> {
    Connector::new(address).connect_blocking()
}

/// Serves `service` at `address` to whoever connects, for ever. Each session has a thread of its own.
///
/// # Errors
/// [`ServeError`]; it never ends otherwise.
pub fn serve(address: &str, service: impl Service) -> Result<Infallible, ServeError> {
    Server::new(address, service).bind_blocking()?.run()
}

/// An address at which peers are served without a runtime. Dropped, it is free again; sessions that are open go on.
pub struct Listener {
    source: Source,
    admission: Arc<Admission>,
    event: Arc<Event>,
    /// Each thread that lets somebody in holds a share.
    opening: Arc<()>,
    sender: Sender<Result<Session, OpenError>>,
    opened: Mutex<Receiver<Result<Session, OpenError>>>,
}

/// Gets whoever accepts out of its wait.
struct Event(OwnedFd);

impl Wake for Event {
    fn wake(self: Arc<Self>) {
        sys::eventfd::signal(self.0.as_fd());
    }
}

impl Listener {
    pub(super) fn new(Bound { source, terms: admission }: Bound) -> Result<Self, ServeError> {
        let event = sys::eventfd::create().map_err(|error| admission.io(error))?;
        let (sender, opened) = channel();
        let event = Arc::new(Event(event));
        Ok(Self { source, admission, event, opening: Arc::default(), sender, opened: Mutex::new(opened) })
    }

    /// Where peers are served. Over TCP it is the address in digits, with the port that was found.
    pub fn address(&self) -> &Address {
        &self.admission.address
    }

    /// Waits for the next peer's session, whose handshake is done then. Peers that fail to open one are logged and
    /// cost nobody else any time: each is let in on a thread of its own.
    ///
    /// # Errors
    /// [`ServeError`] if nobody can be accepted any more.
    pub fn accept(&self) -> Result<Session, ServeError> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match opened.try_recv() {
                Ok(Ok(session)) => return Ok(session),
                Ok(Err(error)) => {
                    self.admission.turned_away(&error);
                    continue;
                }
                // This side holds a sender too, so nothing has arrived yet.
                Err(_) => {}
            }
            // Looked at first: whoever makes room from here on gets this thread out of its wait.
            let room = Arc::strong_count(&self.opening) <= OPENING;
            match if room { self.arrivals() } else { Ok(false) } {
                Ok(true) => {}
                Ok(false) => self.wait(room, None),
                Err(error) => match hiccup(&error) {
                    Hiccup::Next => {}
                    Hiccup::Exhausted => {
                        tracing::warn!(target: "transom::endpoint", %error, "accepting");
                        self.wait(false, Some(Instant::now() + EXHAUSTED));
                    }
                    Hiccup::Broken => return Err(self.admission.io(error)),
                },
            }
        }
    }

    /// Serves whoever comes, for ever. Sessions live until their peers end them.
    ///
    /// # Errors
    /// [`ServeError`] if nobody can be accepted any more; it never ends otherwise.
    pub fn run(self) -> Result<Infallible, ServeError> {
        loop {
            self.accept()?.detach();
        }
    }

    /// Begins to let in whoever has come; whether anybody had.
    fn arrivals(&self) -> io::Result<bool> {
        match &self.source {
            Source::Name(name) => {
                let waker = Waker::from(Arc::clone(&self.event));
                let Poll::Ready(link) = name.poll_accept(&mut Context::from_waker(&waker)) else {
                    return Ok(false);
                };
                self.begin(move |admission| {
                    let dispatch = Arc::clone(&admission.dispatch);
                    open_mem_blocking(link, Role::Acceptor, &admission.options, dispatch, true)
                })?;
            }
            Source::Socket { socket, .. } => {
                let (socket, from) = match sys::socket::accept(socket) {
                    Ok(accepted) => accepted,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                    Err(error) => return Err(error),
                };
                self.begin(move |admission| {
                    let dispatch = Arc::clone(&admission.dispatch);
                    let opening = admission.opening(&socket, from)?;
                    open_blocking(socket, &opening, &admission.options, dispatch, true)
                })?;
            }
        }
        Ok(true)
    }

    fn begin(
        &self,
        open: impl FnOnce(&Admission) -> Result<Session, OpenError> + Send + 'static,
    ) -> io::Result<()> {
        let (admission, event, sender) =
            (Arc::clone(&self.admission), Arc::clone(&self.event), self.sender.clone());
        let share = Arc::clone(&self.opening);
        let letting_in = move || {
            let opened = open(&admission);
            drop(share);
            // Where nobody accepts any more the session ends with this value.
            drop(sender.send(opened));
            event.wake();
        };
        std::thread::Builder::new().name("transom-open".to_owned()).spawn(letting_in)?;
        Ok(())
    }

    /// Waits until somebody has been let in, or somebody new comes where `newcomers` are wanted.
    fn wait(&self, newcomers: bool, until: Option<Instant>) {
        let mut watched = vec![(self.event.0.as_fd(), true, false)];
        if let (Source::Socket { socket, .. }, true) = (&self.source, newcomers) {
            watched.push((socket.as_fd(), true, false));
        }
        sys::poll::wait(&watched, until);
        sys::eventfd::clear(self.event.0.as_fd());
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("address", self.address()).finish_non_exhaustive()
    }
}
