//! Attaching to the host, and serving it until it is gone.

use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use super::watcher;
use crate::driver::Dispatch;
use crate::endpoint::{OpenError, Opening, Options, open};
use crate::link::{Access, InheritError, Peer, take};
use crate::service::{Client, Service, Session, dispatcher};
use crate::session::{CloseReason, Role};

/// How long a cell may take to end once its host is gone.
const GRACE: Duration = Duration::from_millis(500);

/// Attaches to the host that started this process, serves it `service`, and waits until it wants no more: the main of a
/// cell. See [`Attached::ended`].
///
/// # Errors
/// [`CellError`]; [`HostGone`](CellError::HostGone) if the host ended without a goodbye. Return then, or be aborted.
///
/// # Panics
/// Outside a tokio runtime.
///
/// # Cancel safety
/// When this is dropped the session ends politely, and the process cannot attach again.
pub async fn run(service: impl Service) -> Result<(), CellError> {
    Builder::new(service).run().await
}

/// Attaches to the host that started this process and serves it `service`. A process can attach once.
///
/// # Errors
/// [`CellError`]; nothing is left to try again with.
///
/// # Panics
/// Outside a tokio runtime.
///
/// # Cancel safety
/// When this is dropped the process cannot attach again.
pub async fn attach(service: impl Service) -> Result<Attached, CellError> {
    Builder::new(service).attach().await
}

/// How a cell attaches to its host, where [`run`] and [`attach`] with their defaults do not do.
pub struct Builder {
    dispatch: Arc<dyn Dispatch>,
    options: Options,
    grace: Duration,
}

impl Builder {
    /// A cell that serves its host `service`.
    #[must_use]
    pub fn new(service: impl Service) -> Self {
        Self { dispatch: dispatcher(service), options: Options::new(), grace: GRACE }
    }

    /// Sets how the session with the host is opened.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Sets how long the process may take to end once its host is gone, before it is aborted. Default: 500 ms.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Attaches to the host: [`attach`](attach()).
    ///
    /// # Errors
    /// [`CellError`]; nothing is left to try again with.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    ///
    /// # Cancel safety
    /// When this is dropped the process cannot attach again.
    pub async fn attach(self) -> Result<Attached, CellError> {
        let (socket, ticket) = take()?;
        watch(socket.try_clone(), self.grace)?;
        let peer = Peer::of(&socket).map_err(CellError::Watch)?;
        let opening =
            Opening { role: Role::Initiator, ticket: Some(ticket), shm: true, peer, access: Access::Anyone };
        let session = open(socket, opening, &self.options, self.dispatch).await.map_err(CellError::Open)?;
        Ok(Attached { session })
    }

    /// Attaches to the host and serves it: [`run`](run()).
    ///
    /// # Errors
    /// [`CellError`]; [`HostGone`](CellError::HostGone) if the host ended without a goodbye.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    ///
    /// # Cancel safety
    /// When this is dropped the session ends politely, and the process cannot attach again.
    pub async fn run(self) -> Result<(), CellError> {
        self.attach().await?.ended().await
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("grace", &self.grace).finish_non_exhaustive()
    }
}

/// Watches the host's lifeline from now on.
fn watch(lifeline: io::Result<UnixStream>, grace: Duration) -> Result<(), CellError> {
    let end = || {
        tracing::error!(target: "transom::cell", "the host is gone and this process is not: aborting");
        process::abort();
    };
    lifeline.and_then(|lifeline| watcher::start(lifeline, grace, end)).map_err(CellError::Watch)
}

/// A cell's session with its host. When it and all clients of the host are dropped, the session ends politely.
#[derive(Clone, Debug)]
pub struct Attached {
    session: Session,
}

impl Attached {
    /// The session with the host.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// A client for a service of the host.
    pub fn client<C: Client>(&self) -> C {
        self.session.client()
    }

    /// Waits until the session has ended: `Ok` if either side wanted it to.
    ///
    /// # Errors
    /// [`CellError::HostGone`] if the host ended without a goodbye, [`CellError::Session`] if the session failed.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped.
    pub async fn ended(&self) -> Result<(), CellError> {
        match self.session.closed().await {
            CloseReason::Local | CloseReason::Goodbye => Ok(()),
            CloseReason::PeerDied => Err(CellError::HostGone),
            reason => Err(CellError::Session(reason)),
        }
    }
}

/// Why a cell has no host, or no more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CellError {
    /// This process has no host to attach to.
    #[error(transparent)]
    Inherit(#[from] InheritError),
    /// The host cannot be watched.
    #[error("watching the host: {0}")]
    Watch(#[source] io::Error),
    /// The session with the host could not be opened.
    #[error("attaching to the host: {0}")]
    Open(#[source] OpenError),
    /// The host ended without a goodbye. This process is aborted if it does not end within its grace.
    #[error("the host is gone")]
    HostGone,
    /// The session with the host failed.
    #[error("the session with the host ended: {0}")]
    Session(#[source] CloseReason),
}
