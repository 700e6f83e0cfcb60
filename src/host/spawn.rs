//! What a cell is started with.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::status::Status;
use super::supervisor::Supervisor;
use super::{Cell, Host, RestartPolicy, SpawnError};
use crate::driver::Dispatch;
use crate::endpoint::Options;
use crate::service::{Service, dispatcher};

/// A cell that is about to be started: made by [`Host::spawn`].
#[must_use = "a cell that is not started does nothing"]
pub struct Spawn {
    host: Host,
    setup: Setup,
}

/// What every incarnation of a cell is started with.
pub(super) struct Setup {
    pub(super) name: Arc<str>,
    pub(super) command: Command,
    pub(super) dispatch: Arc<dyn Dispatch>,
    pub(super) options: Options,
    pub(super) restart: RestartPolicy,
    pub(super) deadlines: Deadlines,
}

/// How long a cell may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    /// From its process's start until it has attached.
    pub(super) start: Duration,
    /// For the calls in flight at a shutdown.
    pub(super) drain: Duration,
    /// From the end of its session until its process has ended, and again from SIGTERM.
    pub(super) exit: Duration,
}

impl Spawn {
    pub(super) fn new(host: Host, command: Command) -> Self {
        let program = Path::new(command.get_program());
        let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into();
        let setup = Setup {
            name,
            command,
            dispatch: dispatcher(()),
            options: Options::new(),
            restart: RestartPolicy::never(),
            deadlines: Deadlines {
                start: Duration::from_secs(10),
                drain: Duration::from_secs(5),
                exit: Duration::from_secs(2),
            },
        };
        Self { host, setup }
    }

    /// Sets the name that logs and reports give the cell. Default: the file name of its program.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.setup.name = name.into();
        self
    }

    /// Serves this to the cell, each of its incarnations. Default: nothing.
    pub fn serve(mut self, service: impl Service) -> Self {
        self.setup.dispatch = dispatcher(service);
        self
    }

    /// Sets how the sessions with the cell are opened. The start deadline takes the place of the handshake's timeout.
    pub fn options(mut self, options: Options) -> Self {
        self.setup.options = options;
        self
    }

    /// Sets whether and how soon the cell is started again when it has died. Default: never.
    pub fn restart(mut self, policy: RestartPolicy) -> Self {
        self.setup.restart = policy;
        self
    }

    /// Sets how long a new process has until it has attached. Default: 10 s.
    pub fn start_deadline(mut self, deadline: Duration) -> Self {
        self.setup.deadlines.start = deadline;
        self
    }

    /// Sets how long calls in flight have to finish when the cell is shut down. Default: 5 s.
    pub fn drain_deadline(mut self, deadline: Duration) -> Self {
        self.setup.deadlines.drain = deadline;
        self
    }

    /// Sets how long the process has to end by itself once its session has ended, and then again after
    /// SIGTERM, before it is killed. Default: 2 s.
    pub fn exit_deadline(mut self, deadline: Duration) -> Self {
        self.setup.deadlines.exit = deadline;
        self
    }

    /// Starts the cell and waits until it can be called. A start that fails is not repeated, whatever the restart
    /// policy, and leaves nothing: no process, no task, no descriptor.
    ///
    /// # Errors
    /// [`SpawnError`] says why the cell is not ready, with the last lines of its standard error.
    ///
    /// # Panics
    /// Outside a tokio runtime that has I/O and time.
    ///
    /// # Cancel safety
    /// When this is dropped the process is killed and reaped.
    pub async fn start(self) -> Result<Cell, SpawnError> {
        let Self { host, setup } = self;
        let (orders, ordered) = mpsc::unbounded_channel();
        let (told, status) = watch::channel(Status::new());
        let cell = Cell::new(Arc::clone(&setup.name), orders, status);
        let listed = host.list(&cell)?;
        let id = listed.id();
        tokio::spawn(Supervisor::new(setup, ordered, told).run(listed));
        cell.ready().await?;
        host.keep(id, &cell);
        Ok(cell)
    }
}

impl fmt::Debug for Spawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawn")
            .field("name", &self.setup.name)
            .field("program", &self.setup.command.get_program())
            .field("restart", &self.setup.restart)
            .field("deadlines", &self.setup.deadlines)
            .finish_non_exhaustive()
    }
}
