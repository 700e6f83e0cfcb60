//! Calls by threads that block.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use transom::{Client, Server, blocking};

use super::service::BenchBlockingClient;
use super::{Operation, check, own_cpu, pin};
use crate::bench::error::BenchError;
use crate::bench::limit::IN_FLIGHT;
use crate::bench::options::{Case, Scenario};
use crate::bench::pause::Pause;
use crate::bench::peer::Peer;
use crate::bench::rounds::Subject;
use crate::bench::sample::{Latencies, Sample, sample};

/// Serves whoever connects first, on a thread of this process.
pub(super) fn serve_here(server: Server, cpu: Option<usize>) -> Result<(), BenchError> {
    let listener = server.bind_blocking()?;
    thread::Builder::new().name("bench-server".to_owned()).spawn(move || -> Result<(), BenchError> {
        // The session's own thread is started from here, and so runs where this one does.
        pin::pin(cpu)?;
        listener.accept()?.detach();
        Ok(())
    })?;
    Ok(())
}

/// Calls over one session.
#[derive(Debug)]
pub(super) struct Calls {
    client: BenchBlockingClient,
    operation: Operation,
    scenario: Scenario,
    pause: Option<Pause>,
    /// The process that serves; `None` if it is this one.
    server: Option<Peer>,
}

impl Calls {
    pub(super) fn connect(
        address: &str,
        case: Case,
        server: Option<Peer>,
        gap: Option<Duration>,
    ) -> Result<Self, BenchError> {
        let client: BenchBlockingClient = blocking::connect(address)?;
        check(case, client.session())?;
        Ok(Self {
            client,
            operation: Operation::of(case.scenario),
            scenario: case.scenario,
            pause: gap.map(Pause::new).transpose()?,
            server,
        })
    }
}

impl Subject for Calls {
    fn measure(&mut self, time: Duration) -> Result<Sample, BenchError> {
        let Self { client, operation, pause, .. } = self;
        match self.scenario {
            Scenario::UnaryConc64 => concurrently(client, operation, time),
            _ => sample(time, pause.as_ref(), || call(client, operation)),
        }
    }

    fn idle(&mut self, time: Duration) -> Result<(), BenchError> {
        thread::sleep(time);
        Ok(())
    }

    fn cpu(&mut self) -> Result<Duration, BenchError> {
        Ok(match self.server {
            Some(_) => own_cpu() + Duration::from_nanos(self.client.cpu_ns()?),
            None => own_cpu(),
        })
    }
}

#[inline]
fn call(client: &BenchBlockingClient, operation: &Operation) -> Result<(), BenchError> {
    let right = match operation {
        Operation::Echo(bytes) => client.echo(bytes)?.len() == bytes.len(),
        Operation::Add => client.add(2, 3)? == 5,
    };
    if right { Ok(()) } else { Err(BenchError::WrongAnswer) }
}

/// As many threads as calls are to be in flight, each with one call after another. They meet at the service first.
fn concurrently(
    client: &BenchBlockingClient,
    operation: &Operation,
    time: Duration,
) -> Result<Sample, BenchError> {
    let latencies = Mutex::new(Latencies::new());
    let begin = OnceLock::new();
    thread::scope(|scope| {
        let caller = || -> Result<(), BenchError> {
            client.meet()?;
            let begin = *begin.get_or_init(Instant::now);
            let mut last = Instant::now();
            loop {
                call(client, operation)?;
                let now = Instant::now();
                latencies.lock().unwrap_or_else(PoisonError::into_inner).record(now - last);
                if now - begin >= time {
                    return Ok(());
                }
                last = now;
            }
        };
        let callers: Vec<_> = (0..IN_FLIGHT).map(|_| scope.spawn(caller)).collect();
        for caller in callers {
            caller.join().map_err(|_| BenchError::Panicked)??;
        }
        Ok::<(), BenchError>(())
    })?;
    let begin = *begin.get_or_init(Instant::now);
    Ok(Sample::since(begin, latencies.into_inner().unwrap_or_else(PoisonError::into_inner)))
}
