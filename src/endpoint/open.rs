//! Opening a session on a connected socket, or on a link within this process.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use super::{OpenError, Options};
use crate::driver::{Dispatch, blocking};
use crate::link::{
    Access, HandedOver, HandoverError, Link, Peer, Ready, Terms, Thread, Ticket, Transport, Wanted, accept,
    initiate, run,
};
use crate::service::{Session, park_until};
use crate::session::{CloseReason, Role, Session as Machine, Settings};

/// How this side comes to a session.
pub(crate) struct Opening {
    pub(crate) role: Role,
    /// The ticket that an initiator shows, and an acceptor wants to see if it gave one out.
    pub(crate) ticket: Option<Ticket>,
    /// What is wanted of the socket.
    pub(crate) wanted: Wanted,
    /// Who is at the other end.
    pub(crate) peer: Peer,
    /// Whom an acceptor lets in.
    pub(crate) access: Access,
}

/// Opens a session on a connected socket, as a task of the current runtime.
///
/// # Errors
/// [`OpenError`]; the socket is closed.
///
/// # Cancel safety
/// Dropped before it is done, it closes the socket.
#[cfg(feature = "tokio")]
pub(crate) async fn open(
    socket: OwnedFd,
    opening: Opening,
    options: &Options,
    dispatch: Arc<dyn Dispatch>,
) -> Result<Session, OpenError> {
    options.limits.check()?;
    let until = options.open_until(runtime_now());
    let opened = async {
        let ready = Task::new(&socket)?;
        let HandedOver { link, transport } = hand_over(socket, &opening, options, &ready).await?;
        drop(ready);
        let machine = machine(opening.role, opening.peer, transport, until, options, &dispatch);
        start(machine, link, dispatch, options).await
    };
    match until {
        Some(until) => tokio::time::timeout_at(until.into(), opened).await.unwrap_or(Err(OpenError::Timeout)),
        None => opened.await,
    }
}

/// Opens a session on a link within this process, as a task of the current runtime.
#[cfg(feature = "tokio")]
pub(super) async fn open_mem(
    link: Link,
    role: Role,
    options: &Options,
    dispatch: Arc<dyn Dispatch>,
) -> Result<Session, OpenError> {
    options.limits.check()?;
    let until = options.open_until(runtime_now());
    let machine = machine(role, Peer::this(), Transport::Mem, until, options, &dispatch);
    start(machine, link, dispatch, options).await
}

#[cfg(feature = "tokio")]
async fn start(
    machine: Machine,
    link: Link,
    dispatch: Arc<dyn Dispatch>,
    options: &Options,
) -> Result<Session, OpenError> {
    use crate::driver::tokio as driver;
    let engine = driver::start(machine, options.link(link), dispatch)?;
    // Whoever stops waiting here leaves nothing running.
    let session = Session::kept(engine.clone());
    if options.policy.asks()
        && let Some(agreed) = driver::wait_introduced(&engine).await
        && let Some(decided) = options.policy.decide(&session, agreed).await
    {
        engine.decide(decided);
    }
    driver::wait_open(&engine).await.map_err(ended)?;
    Ok(session)
}

/// Opens a session on a connected socket. It has a thread of its own if it `serves`, or if time matters on it.
///
/// # Errors
/// [`OpenError`]; the socket is closed.
pub(crate) fn open_blocking(
    socket: OwnedFd,
    opening: &Opening,
    options: &Options,
    dispatch: Arc<dyn Dispatch>,
    serves: bool,
) -> Result<Session, OpenError> {
    options.limits.check()?;
    let until = options.open_until(Instant::now());
    let watched = socket.try_clone()?;
    let ready = Thread { socket: watched.as_fd(), deadline: until };
    let handed_over = run(hand_over(socket, opening, options, &ready));
    let HandedOver { link, transport } = handed_over.map_err(|error| match error {
        HandoverError::Io(error) if error.kind() == io::ErrorKind::TimedOut => OpenError::Timeout,
        error => error.into(),
    })?;
    drop(watched);
    let serves = serves || options.keeps_time(&transport);
    let machine = machine(opening.role, opening.peer, transport, until, options, &dispatch);
    start_blocking(machine, link, dispatch, Start { serves, until, options })
}

/// Opens a session on a link within this process. It has a thread of its own if it `serves`, or if time matters on it.
pub(super) fn open_mem_blocking(
    link: Link,
    role: Role,
    options: &Options,
    dispatch: Arc<dyn Dispatch>,
    serves: bool,
) -> Result<Session, OpenError> {
    options.limits.check()?;
    let until = options.open_until(Instant::now());
    let serves = serves || options.keeps_time(&Transport::Mem);
    let machine = machine(role, Peer::this(), Transport::Mem, until, options, &dispatch);
    start_blocking(machine, link, dispatch, Start { serves, until, options })
}

/// How a session is started without a runtime.
struct Start<'a> {
    /// On a thread of its own.
    serves: bool,
    until: Option<Instant>,
    options: &'a Options,
}

fn start_blocking(
    machine: Machine,
    link: Link,
    dispatch: Arc<dyn Dispatch>,
    Start { serves, until, options }: Start<'_>,
) -> Result<Session, OpenError> {
    let link = options.link(link);
    let engine = if serves {
        blocking::start_serving(machine, link, dispatch)?
    } else {
        blocking::start(machine, link, dispatch)?
    };
    let session = Session::kept(engine.clone());
    if options.policy.asks()
        && let Some(agreed) = blocking::wait_introduced(&engine)
    {
        // Nobody else may be there to keep the time.
        let decided = park_until(options.policy.decide(&session, agreed), until).ok_or(OpenError::Timeout)?;
        decided.into_iter().for_each(|decided| engine.decide(decided));
    }
    blocking::wait_open(&engine).map_err(ended)?;
    Ok(session)
}

fn ended(reason: CloseReason) -> OpenError {
    match reason {
        CloseReason::HandshakeTimeout => OpenError::Timeout,
        reason => OpenError::Ended(reason),
    }
}

async fn hand_over(
    socket: OwnedFd,
    opening: &Opening,
    options: &Options,
    ready: &impl Ready,
) -> Result<HandedOver, HandoverError> {
    let terms = Terms {
        wanted: opening.wanted,
        ring: options.ring,
        memory_cap: options.memory_cap,
        ticket: opening.ticket.clone(),
    };
    match opening.role {
        Role::Initiator => initiate(socket, &terms, ready).await,
        Role::Acceptor => accept(socket, &terms, (&opening.access, opening.peer), ready).await,
    }
}

fn machine(
    role: Role,
    peer: Peer,
    transport: Transport,
    until: Option<Instant>,
    options: &Options,
    dispatch: &Arc<dyn Dispatch>,
) -> Machine {
    let dispatch = Arc::clone(dispatch);
    let settings = Settings {
        limits: options.limits,
        metadata: options.metadata.clone(),
        peer,
        open_until: until,
        methods: Box::new(move |id| dispatch.lookup(id)),
        has_policy: options.policy.asks(),
        keepalive: options.keepalive_over(&transport),
        idle: options.idle,
        descriptors: options.descriptors,
        transport,
    };
    Machine::new(role, settings)
}

/// The time by the clock of the runtime, which a test may stop.
#[cfg(feature = "tokio")]
pub(super) fn runtime_now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A task waits for a socket.
#[cfg(feature = "tokio")]
struct Task(tokio::io::unix::AsyncFd<crate::sys::watch::Watched>);

#[cfg(feature = "tokio")]
impl Task {
    fn new(socket: &OwnedFd) -> io::Result<Self> {
        // Of its own: the driver will have the socket itself watched.
        let watched = Arc::new(socket.as_fd().try_clone_to_owned()?);
        let interest = tokio::io::Interest::READABLE | tokio::io::Interest::WRITABLE;
        Ok(Self(crate::sys::watch::register(&watched, interest)?))
    }
}

#[cfg(feature = "tokio")]
impl Ready for Task {
    async fn readable(&self) -> io::Result<()> {
        // Cleared after the try that failed and before the next one: what comes in between makes it ready again.
        self.0.readable().await?.clear_ready();
        Ok(())
    }

    async fn writable(&self) -> io::Result<()> {
        self.0.writable().await?.clear_ready();
        Ok(())
    }
}
