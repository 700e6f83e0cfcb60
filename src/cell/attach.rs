//! Attaching to the host, and serving it until it wants no more.

use std::fmt;
use std::os::fd::OwnedFd;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use super::{Attached, CellError, watcher};
use crate::driver::Dispatch;
#[cfg(feature = "tokio")]
use crate::endpoint::open;
use crate::endpoint::{Opening, Options, open_blocking};
use crate::link::{Access, Peer, Wanted, take};
use crate::service::{Service, dispatcher};
use crate::session::Role;

/// How long a cell may take to end once its host is gone.
const GRACE: Duration = Duration::from_millis(500);

/// Attaches to the host that started this process, serves it `service`, and waits until it wants no more: the main of a
/// cell.
///
/// # Errors
/// [`CellError`]; [`HostGone`](CellError::HostGone) if the host ended without a goodbye. Return then, or be aborted.
///
/// # Panics
/// Outside a tokio runtime.
///
/// # Cancel safety
/// When this is dropped the session ends politely, and the process cannot attach again.
#[cfg(feature = "tokio")]
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
#[cfg(feature = "tokio")]
pub async fn attach(service: impl Service) -> Result<Attached, CellError> {
    Builder::new(service).attach().await
}

/// Like [`run`](crate::cell::run()) without a runtime: handlers run on a thread of the session's own.
///
/// # Errors
/// [`CellError`]; [`HostGone`](CellError::HostGone) if the host ended without a goodbye. Return then, or be aborted.
pub fn run_blocking(service: impl Service) -> Result<(), CellError> {
    Builder::new(service).run_blocking()
}

/// How a cell attaches to its host, where the functions of this module with their defaults do not do.
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

    /// Attaches to the host as [`attach`](attach()) does.
    ///
    /// # Errors
    /// The same.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    ///
    /// # Cancel safety
    /// When this is dropped the process cannot attach again.
    #[cfg(feature = "tokio")]
    pub async fn attach(self) -> Result<Attached, CellError> {
        let (socket, opening) = self.inherit()?;
        let opened = open(socket, opening, &self.options, self.dispatch).await;
        opened.map(Attached::new).map_err(CellError::Open)
    }

    /// Serves the host as [`run`](run()) does.
    ///
    /// # Errors
    /// The same.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    ///
    /// # Cancel safety
    /// When this is dropped the session ends politely, and the process cannot attach again.
    #[cfg(feature = "tokio")]
    pub async fn run(self) -> Result<(), CellError> {
        self.attach().await?.ended().await
    }

    /// Attaches to the host without a runtime: handlers run on a thread of the session's own. A process can attach
    /// once.
    ///
    /// # Errors
    /// [`CellError`]; nothing is left to try again with.
    pub fn attach_blocking(self) -> Result<Attached, CellError> {
        let (socket, opening) = self.inherit()?;
        let opened = open_blocking(socket, &opening, &self.options, self.dispatch, true);
        opened.map(Attached::new).map_err(CellError::Open)
    }

    /// Serves the host as [`run_blocking`] does.
    ///
    /// # Errors
    /// The same.
    pub fn run_blocking(self) -> Result<(), CellError> {
        self.attach_blocking()?.ended_blocking()
    }

    /// Takes the host's socket, and has it watched from now on.
    fn inherit(&self) -> Result<(OwnedFd, Opening), CellError> {
        let (socket, ticket) = take()?;
        let end = || {
            tracing::error!(target: "transom::cell", "the host is gone and this process is not: aborting");
            process::abort();
        };
        let watched = socket.try_clone().and_then(|lifeline| watcher::start(lifeline, self.grace, end));
        let peer = watched.and_then(|()| Peer::of(&socket)).map_err(CellError::Watch)?;
        let (role, access) = (Role::Initiator, Access::Anyone);
        Ok((socket.into(), Opening { role, ticket: Some(ticket), wanted: Wanted::Shm, peer, access }))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("grace", &self.grace).finish_non_exhaustive()
    }
}
