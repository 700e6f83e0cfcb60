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
use super::{ConnectError, Connector, OpenError, ServeError, Server, ShutdownHandle};
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
    let listener = Server::new(address, service).bind_blocking()?;
    loop {
        listener.accept()?.detach();
    }
}

/// An address at which peers are served without a runtime. Dropped, it is free again; sessions that are open go on.
pub struct Listener {
    source: Source,
    admission: Arc<Admission>,
    event: Arc<Event>,
    waker: Waker,
    sender: Sender<Result<Session, OpenError>>,
    arriving: Mutex<Arriving>,
}

/// Those who come.
struct Arriving {
    /// What has become of them.
    opened: Receiver<Result<Session, OpenError>>,
    /// Each thread that lets somebody in holds a share.
    opening: Arc<()>,
    /// The same of those who came before the listener began to shut down, once it has.
    before: Option<Arc<()>>,
}

/// Gets whoever accepts out of its wait.
struct Event(OwnedFd);

impl Wake for Event {
    fn wake(self: Arc<Self>) {
        sys::eventfd::signal(self.0.as_fd());
    }
}

/// What a thread that lets somebody in holds until it is done, or has panicked. Then the listener looks.
struct Share {
    counted: Option<Arc<()>>,
    event: Arc<Event>,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.counted = None;
        Arc::clone(&self.event).wake();
    }
}

impl Listener {
    pub(super) fn new(Bound { source, terms: admission }: Bound) -> Result<Self, ServeError> {
        let event = sys::eventfd::create().map_err(|error| admission.io(error))?;
        let (sender, opened) = channel();
        let event = Arc::new(Event(event));
        let waker = Waker::from(Arc::clone(&event));
        let arriving = Mutex::new(Arriving { opened, opening: Arc::default(), before: None });
        Ok(Self { source, admission, event, waker, sender, arriving })
    }

    /// Where peers are served. Over TCP it is the address in digits, with the port that was found.
    pub fn address(&self) -> &Address {
        &self.admission.address
    }

    /// Waits for the next peer's session, whose handshake is done then. Peers that fail to open one are logged and
    /// cost nobody else any time: each is let in on a thread of its own.
    ///
    /// # Errors
    /// [`ServeError`] if nobody can be accepted any more; [`ServeError::ShutDown`] when it has
    /// [shut down](Self::shutdown_handle), and all its sessions are over.
    pub fn accept(&self) -> Result<Session, ServeError> {
        let mut arriving = self.arriving.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // Looked at first: whoever is done by now has sent what has come of it, and whoever makes room from here on gets
            // this thread out of its wait.
            let room = Arc::strong_count(&arriving.opening) <= OPENING;
            let none_before = arriving.before.as_ref().is_some_and(|before| Arc::strong_count(before) == 1);
            // This side holds a sender too, so an error says that nothing has arrived yet.
            if let Ok(opened) = arriving.opened.try_recv() {
                match self.admission.opened(opened) {
                    Some(session) => return Ok(session),
                    None => continue,
                }
            }
            let cx = &mut Context::from_waker(&self.waker);
            if none_before && self.admission.door.poll_empty(cx).is_ready() {
                return Err(ServeError::ShutDown);
            }
            if arriving.before.is_none() && self.admission.door.poll_closing(cx).is_ready() {
                // They may have a session, and calls in flight. Those who come from here on are refused, and not waited for.
                arriving.before = Some(std::mem::take(&mut arriving.opening));
                continue;
            }
            match if room { self.arrivals(&arriving.opening) } else { Ok(false) } {
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

    /// Serves whoever comes, for ever, or until it has [shut down](Self::shutdown_handle). Sessions live until their peers
    /// end them.
    ///
    /// # Errors
    /// [`ServeError`] if nobody can be accepted any more.
    pub fn run(self) -> Result<(), ServeError> {
        loop {
            match self.accept() {
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

    /// Begins to let in whoever has come; whether anybody had.
    fn arrivals(&self, opening: &Arc<()>) -> io::Result<bool> {
        match &self.source {
            Source::Name(name) => {
                let Poll::Ready(link) = name.poll_accept(&mut Context::from_waker(&self.waker)) else {
                    return Ok(false);
                };
                self.begin(opening, move |admission| {
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
                self.begin(opening, move |admission| {
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
        opening: &Arc<()>,
        open: impl FnOnce(&Admission) -> Result<Session, OpenError> + Send + 'static,
    ) -> io::Result<()> {
        let (admission, sender) = (Arc::clone(&self.admission), self.sender.clone());
        let share = Share { counted: Some(Arc::clone(opening)), event: Arc::clone(&self.event) };
        let letting_in = move || {
            let _share = share;
            // Where nobody accepts any more the session ends with this value.
            drop(sender.send(open(&admission)));
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
