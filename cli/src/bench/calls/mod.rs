//! The calls that are measured: the service, where it runs, and who calls it.

mod blocking;
mod directory;
mod items;
pub(super) mod service;
mod source;
mod tasks;

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use transom::{Limits, Options, Server, Session};

use super::driver::Driver;
use super::error::BenchError;
use super::options::{CHANNELS, Case, Job, Scenario, Transport, name};
use super::peer::{Peer, Starter};
use super::pin::{self, Placement};
use super::rounds::Subject;
use directory::Directory;
use service::{BenchServer, Mine};
use source::{SourceServer, Tap};

/// One call of a scenario.
#[derive(Debug)]
enum Operation {
    /// Bytes there and back.
    Echo(Vec<u8>),
    /// Two numbers there, one back.
    Add,
}

impl Operation {
    fn of(scenario: Scenario) -> Self {
        match scenario {
            Scenario::UnaryHotRaw | Scenario::Echo1k | Scenario::Echo64k => {
                Self::Echo(vec![0x5A; scenario.payload()])
            }
            Scenario::UnaryHot
            | Scenario::UnaryCold
            | Scenario::UnaryConc64
            | Scenario::IdleCpu
            | Scenario::Links200
            | Scenario::Stream64b
            | Scenario::Stream64k
            | Scenario::Channels1000 => Self::Add,
        }
    }
}

/// Starts the service of a case and connects to it; `gap` is the pause before each call, where there is one.
pub(super) fn open<'a>(
    case: Case,
    placement: Placement,
    gap: Option<Duration>,
    driver: &'a Driver,
) -> Result<Box<dyn Subject + 'a>, BenchError> {
    let directory = Directory::create()?;
    let address = match case.transport {
        Transport::Mem => format!("mem:bench-{}", std::process::id()),
        Transport::Tcp => "tcp:127.0.0.1:0".to_owned(),
        Transport::Shm | Transport::Unix => {
            format!("{}:{}", name(case.transport), directory.socket().display())
        }
    };
    let server = match (case.transport, driver) {
        (Transport::Mem, Driver::Tokio(runtime)) => {
            tasks::serve_here(server_of(&address, case), runtime)?;
            None
        }
        (Transport::Mem, Driver::Threads) => {
            blocking::serve_here(server_of(&address, case), placement.server)?;
            None
        }
        _ => Some(Peer::start(Job::Service, case, placement.server, Some(&address))?),
    };
    // A port is found by whoever binds it.
    let address = server.as_ref().map_or(address, |server| server.address.clone());
    Ok(match driver {
        Driver::Tokio(runtime) if case.scenario.streams() => {
            Box::new(items::Items::connect(&address, case, server, runtime)?)
        }
        Driver::Threads if case.scenario.streams() => {
            Box::new(items::BlockingItems::connect(&address, case, server)?)
        }
        Driver::Tokio(runtime) => Box::new(tasks::Calls::connect(&address, case, server, gap, runtime)?),
        Driver::Threads => Box::new(blocking::Calls::connect(&address, case, server, gap)?),
    })
}

/// What serves a case.
fn server_of(address: &str, case: Case) -> Server {
    let bench = BenchServer::new(Mine::new());
    let server = match case.scenario.streams() {
        true => Server::new(address, (bench, SourceServer::new(Tap(case.api)))),
        false => Server::new(address, bench),
    };
    server.options(options(case))
}

/// What both sides of a case open their session with.
fn options(case: Case) -> Options {
    let mut limits = Limits::default();
    if case.scenario == Scenario::Channels1000 {
        limits.channels = CHANNELS as u32;
    }
    Options::new().limits(limits)
}

/// The other process's part: serves at `address` for ever.
pub(super) fn serve(address: &str, case: Case, driver: &Driver, starter: Starter) -> Result<(), BenchError> {
    let server = server_of(address, case);
    match driver {
        Driver::Tokio(runtime) => runtime.block_on(async {
            let listener = server.bind()?;
            let _starter = starter.ready_at(listener.address())?;
            Ok(listener.run().await?)
        }),
        Driver::Threads => {
            let listener = server.bind_blocking()?;
            let _starter = starter.ready_at(listener.address())?;
            Ok(listener.run()?)
        }
    }
}

/// Makes sure that calls are carried by what was asked for: figures of a fallback would be taken for those of
/// shared memory.
pub(super) fn check(case: Case, session: &Session) -> Result<(), BenchError> {
    let found = session.transport();
    match (case.transport, &found) {
        (Transport::Shm, transom::Transport::Shm)
        | (Transport::Unix, transom::Transport::Unix { .. })
        | (Transport::Tcp, transom::Transport::Tcp)
        | (Transport::Mem, transom::Transport::Mem) => Ok(()),
        _ => Err(BenchError::Transport { found }),
    }
}

/// The CPU time that this process has used.
pub(super) fn own_cpu() -> Duration {
    // Never negative: it began at zero.
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}
