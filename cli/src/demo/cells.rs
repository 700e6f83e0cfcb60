//! The host's side: the four cells, started, watched, and sent away.

use std::error::Error;
use std::fmt::{self, Debug};
use std::future::Future;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use transom::{
    CallError, Cause, Cell, CloseReason, DeathReport, Deaths, Host, RestartPolicy, Service, Session,
    Transport,
};

use super::progress::{Progress, grouped};
use super::tally::Tally;
use super::{CellKind, DemoError, Wanted, calculator, fragile, indexer};

/// The four cells and their host.
pub(super) struct Cells {
    host: Host,
    pub(super) calculator: CellRun,
    pub(super) indexer: CellRun,
    pub(super) station: CellRun,
    pub(super) fragile: CellRun,
    /// What the calculator and the indexer are served, to be looked at.
    pub(super) library: indexer::Library,
    pub(super) gate: fragile::Gate,
}

/// One cell, and what was seen of it.
pub(super) struct CellRun {
    pub(super) name: &'static str,
    pub(super) cell: Cell,
    deaths: Deaths,
    pub(super) tally: Tally,
    /// Calls that the cell made to its host.
    pub(super) asked: Asked,
    pub(super) transport: Transport,
    pub(super) restarts: u64,
    /// The processes that it had.
    pub(super) pids: Vec<u32>,
}

/// Counts the calls that a service of the host has had.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked(Arc<AtomicU64>);

impl Asked {
    /// One more.
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    pub(super) fn calls(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Cells {
    /// Starts all four at the same time: each is this very program.
    pub(super) async fn start(wanted: Option<Wanted>, progress: &Arc<Progress>) -> Result<Self, DemoError> {
        let host = Host::new();
        let rates = calculator::Rates::default();
        let library = indexer::Library::new(Arc::clone(progress));
        let gate = fragile::Gate::new();
        progress.say("host", "starts four cells, each of them this very program");
        let (calculator, indexer, station, fragile) = tokio::try_join!(
            CellRun::start(&host, CellKind::Calculator, rates.server(), rates.asked.clone(), wanted),
            CellRun::start(&host, CellKind::Indexer, library.server(), library.asked.clone(), wanted),
            CellRun::start(&host, CellKind::Station, (), Asked::default(), wanted),
            CellRun::start(&host, CellKind::Fragile, gate.server(), gate.asked.clone(), wanted),
        )?;
        for run in [&calculator, &indexer, &station, &fragile] {
            let over = match wanted {
                Some(Wanted::Unix) => "the socket, as asked for".to_owned(),
                _ => run.transport.to_string(),
            };
            progress.say(run.name, format_args!("ready: process {}, over {over}", run.pids[0]));
        }
        Ok(Self { host, calculator, indexer, station, fragile, library, gate })
    }

    /// Says goodbye to all of them and sees to it that each left as it should.
    pub(super) async fn shutdown(&mut self, progress: &Progress) -> Result<(), DemoError> {
        self.host.shutdown().await;
        for run in [&mut self.calculator, &mut self.indexer, &mut self.station, &mut self.fragile] {
            let polite = |report: &DeathReport| {
                report.cause == Cause::Exit(0)
                    && matches!(report.session, Some(CloseReason::Local | CloseReason::Goodbye))
            };
            run.dies("after a goodbye, with exit code 0", polite).await?;
        }
        let asked = self.runs().map(|run| run.asked.calls()).iter().sum();
        progress.say(
            "host",
            format_args!("answered {} calls of its cells, said goodbye; all left politely", grouped(asked)),
        );
        Ok(())
    }

    /// The cells.
    pub(super) fn runs(&self) -> [&CellRun; 4] {
        [&self.calculator, &self.indexer, &self.station, &self.fragile]
    }
}

impl CellRun {
    async fn start(
        host: &Host,
        kind: CellKind,
        service: impl Service,
        asked: Asked,
        wanted: Option<Wanted>,
    ) -> Result<Self, DemoError> {
        let name = kind.name();
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["demo-cell", name]);
        if wanted == Some(Wanted::Unix) {
            command.env("TRANSOM_SHM", "off");
        }
        let spawned = host.spawn(command).name(name).serve(service).restart(RestartPolicy::always());
        let cell = spawned.start().await.map_err(|source| DemoError::Spawn { cell: name, source })?;
        let session = cell.session();
        let mut run = Self {
            name,
            deaths: cell.deaths(),
            cell,
            tally: Tally::new(),
            asked,
            transport: session.transport(),
            restarts: 0,
            pids: Vec::new(),
        };
        run.attached(&session, wanted)?;
        Ok(run)
    }

    /// Waits for the incarnation after one that has died.
    pub(super) async fn restarted(&mut self) -> Result<Session, DemoError> {
        let session = self.cell.ready().await;
        let session = session.map_err(|source| DemoError::Spawn { cell: self.name, source })?;
        let wanted = match self.transport {
            Transport::Shm => Some(Wanted::Shm),
            _ => Some(Wanted::Unix),
        };
        self.attached(&session, wanted)?;
        self.restarts += 1;
        self.check("its incarnation", self.cell.incarnation(), self.restarts + 1)?;
        Ok(session)
    }

    /// Makes a call, and notes how long it took or that it failed. It must not.
    pub(super) async fn call<T, E: Debug + Send + Sync + 'static>(
        &mut self,
        method: &'static str,
        call: impl Future<Output = Result<T, CallError<E>>>,
    ) -> Result<T, DemoError> {
        let begun = Instant::now();
        match call.await {
            Ok(answer) => {
                self.tally.answered(begun.elapsed());
                Ok(answer)
            }
            Err(error) => {
                self.tally.failed();
                Err(self.unexpected(method, error))
            }
        }
    }

    /// A call failed that should not.
    pub(super) fn unexpected(
        &self,
        method: &'static str,
        error: impl Error + Send + Sync + 'static,
    ) -> DemoError {
        DemoError::Call { cell: self.name, method, source: error.into() }
    }

    /// An answer has to be the right one.
    pub(super) fn check<T: PartialEq + Debug>(
        &self,
        question: impl fmt::Display,
        got: T,
        expected: T,
    ) -> Result<(), DemoError> {
        if got == expected {
            return Ok(());
        }
        Err(DemoError::WrongAnswer {
            cell: self.name,
            question: question.to_string(),
            got: format!("{got:?}"),
            expected: format!("{expected:?}"),
        })
    }

    /// Notes an incarnation that can be called.
    fn attached(&mut self, session: &Session, wanted: Option<Wanted>) -> Result<(), DemoError> {
        self.transport = session.transport();
        let as_wanted = match wanted {
            None => true,
            Some(Wanted::Shm) => self.transport == Transport::Shm,
            Some(Wanted::Unix) => matches!(self.transport, Transport::Unix { .. }),
        };
        if !as_wanted {
            return Err(DemoError::Transport { cell: self.name, found: self.transport.clone() });
        }
        self.pids.extend(self.cell.pid());
        Ok(())
    }

    /// Waits for its next death, which must be as expected.
    pub(super) async fn dies(
        &mut self,
        expected: &'static str,
        is_expected: impl FnOnce(&DeathReport) -> bool,
    ) -> Result<DeathReport, DemoError> {
        match self.deaths.next().await {
            Some(report) if is_expected(&report) => Ok(report),
            Some(report) => Err(DemoError::Died { cell: self.name, expected, report: Box::new(report) }),
            None => Err(DemoError::Lives { cell: self.name, expected }),
        }
    }
}
