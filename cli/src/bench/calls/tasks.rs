//! Calls by tasks of a runtime.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use transom::{Client, Server};

use super::service::BenchClient;
use super::{Operation, check, own_cpu};
use crate::bench::error::BenchError;
use crate::bench::limit::IN_FLIGHT;
use crate::bench::options::{Case, Scenario};
use crate::bench::pause::AsyncPause;
use crate::bench::peer::Peer;
use crate::bench::rounds::Subject;
use crate::bench::sample::{Latencies, Sample, sample_async};

/// Serves whoever connects, as a task of `runtime`.
pub(super) fn serve_here(server: Server, runtime: &Runtime) -> Result<(), BenchError> {
    let _entered = runtime.enter();
    let listener = server.bind()?;
    runtime.spawn(listener.run());
    Ok(())
}

/// Calls over one session.
#[derive(Debug)]
pub(super) struct Calls<'a> {
    client: BenchClient,
    operation: Arc<Operation>,
    scenario: Scenario,
    pause: Option<AsyncPause>,
    /// The process that serves; `None` if it is this one.
    server: Option<Peer>,
    runtime: &'a Runtime,
}

impl<'a> Calls<'a> {
    pub(super) fn connect(
        address: &str,
        case: Case,
        server: Option<Peer>,
        gap: Option<Duration>,
        runtime: &'a Runtime,
    ) -> Result<Self, BenchError> {
        let client: BenchClient = runtime.block_on(transom::connect(address))?;
        check(case, client.session())?;
        let _entered = runtime.enter();
        Ok(Self {
            client,
            operation: Arc::new(Operation::of(case.scenario)),
            scenario: case.scenario,
            pause: gap.map(AsyncPause::new).transpose()?,
            server,
            runtime,
        })
    }
}

impl Subject for Calls<'_> {
    fn measure(&mut self, time: Duration) -> Result<Sample, BenchError> {
        let Self { client, operation, pause, .. } = self;
        match self.scenario {
            Scenario::UnaryConc64 => self.runtime.block_on(concurrently(client, operation, time)),
            _ => self
                .runtime
                .block_on(sample_async(time, pause.as_mut(), async || call(client, operation).await)),
        }
    }

    fn idle(&mut self, time: Duration) -> Result<(), BenchError> {
        self.runtime.block_on(async { tokio::time::sleep(time).await });
        Ok(())
    }

    fn cpu(&mut self) -> Result<Duration, BenchError> {
        Ok(match self.server {
            Some(_) => {
                let theirs = self.runtime.block_on(self.client.cpu_ns())?;
                own_cpu() + Duration::from_nanos(theirs)
            }
            None => own_cpu(),
        })
    }
}

#[inline]
async fn call(client: &BenchClient, operation: &Operation) -> Result<(), BenchError> {
    let right = match operation {
        Operation::Echo(bytes) => client.echo(bytes).await?.len() == bytes.len(),
        Operation::Add => client.add(2, 3).await? == 5,
    };
    if right { Ok(()) } else { Err(BenchError::WrongAnswer) }
}

/// As many tasks as calls are to be in flight, each with one call after another. They meet at the service first: a task
/// whose calls are answered at once would have none in flight when the next one has its turn.
async fn concurrently(
    client: &BenchClient,
    operation: &Arc<Operation>,
    time: Duration,
) -> Result<Sample, BenchError> {
    let latencies = Arc::new(Mutex::new(Latencies::new()));
    let begin = Arc::new(OnceLock::new());
    let mut callers = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let (client, operation) = (client.clone(), Arc::clone(operation));
        let (latencies, begin) = (Arc::clone(&latencies), Arc::clone(&begin));
        callers.spawn(async move {
            client.meet().await?;
            let begin = *begin.get_or_init(Instant::now);
            let mut last = Instant::now();
            loop {
                call(&client, &operation).await?;
                let now = Instant::now();
                latencies.lock().unwrap_or_else(PoisonError::into_inner).record(now - last);
                if now - begin >= time {
                    return Ok::<(), BenchError>(());
                }
                last = now;
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended.map_err(|_| BenchError::Panicked)??;
    }
    let begin = *begin.get_or_init(Instant::now);
    let mut latencies = latencies.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Sample::since(begin, std::mem::replace(&mut latencies, Latencies::new())))
}
