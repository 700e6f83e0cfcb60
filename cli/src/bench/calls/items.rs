//! Items that are received, and how many of them.

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use transom::{CallError, Client, Connector, Item, Rx, Tx, channel};

use super::service::{BenchBlockingClient, BenchClient};
use super::source::{Small, SourceBlockingClient, SourceClient};
use super::{check, options, own_cpu};
use crate::bench::error::BenchError;
use crate::bench::options::{CHANNELS, Case, Scenario};
use crate::bench::peer::Peer;
use crate::bench::rounds::Subject;
use crate::bench::sample::Sample;

/// The ends that items are received from, in turn.
#[derive(Debug)]
enum Inflow {
    Small(Vec<Rx<Small>>),
    Large(Vec<Rx<Vec<u8>>>),
}

/// The call that has items sent.
enum Ask {
    Small(Tx<Small>),
    Large(Tx<Vec<u8>>),
    Each(Vec<Tx<Small>>),
}

/// What a scenario's items are received from, and what they are asked for with.
fn inflow(scenario: Scenario) -> (Inflow, Ask) {
    match scenario {
        Scenario::Stream64k => {
            let (tx, rx) = channel();
            (Inflow::Large(vec![rx]), Ask::Large(tx))
        }
        Scenario::Channels1000 => {
            let (all, received) = (0..CHANNELS).map(|_| channel()).unzip();
            (Inflow::Small(received), Ask::Each(all))
        }
        _ => {
            let (tx, rx) = channel();
            (Inflow::Small(vec![rx]), Ask::Small(tx))
        }
    }
}

/// Items that are received between two looks at the clock: the looks are to cost nothing that counts.
const SMALL_STRIDE: usize = 256;
const LARGE_STRIDE: usize = 1;

/// How often to go round so many channels between two looks.
fn rounds(stride: usize, channels: usize) -> usize {
    (stride / channels).max(1)
}

/// Items received by a task.
#[derive(Debug)]
pub(super) struct Items<'a> {
    inflow: Inflow,
    client: BenchClient,
    /// The process that sends; `None` if it is this one.
    server: Option<Peer>,
    runtime: &'a Runtime,
}

impl<'a> Items<'a> {
    pub(super) fn connect(
        address: &str,
        case: Case,
        server: Option<Peer>,
        runtime: &'a Runtime,
    ) -> Result<Self, BenchError> {
        let connector = Connector::new(address).options(options(case));
        let client: BenchClient = runtime.block_on(connector.connect())?;
        check(case, client.session())?;
        let source: SourceClient = client.session().client();
        let (inflow, ask) = inflow(case.scenario);
        runtime.block_on(async {
            match ask {
                Ask::Small(items) => source.small(items).await,
                Ask::Large(items) => source.large(items).await,
                Ask::Each(channels) => source.each(channels).await,
            }
        })?;
        Ok(Self { inflow, client, server, runtime })
    }
}

impl Subject for Items<'_> {
    fn measure(&mut self, time: Duration) -> Result<Sample, BenchError> {
        self.runtime.block_on(async {
            match &mut self.inflow {
                Inflow::Small(channels) => receive(channels, SMALL_STRIDE, time).await,
                Inflow::Large(channels) => receive(channels, LARGE_STRIDE, time).await,
            }
        })
    }

    fn idle(&mut self, time: Duration) -> Result<(), BenchError> {
        self.runtime.block_on(async { tokio::time::sleep(time).await });
        Ok(())
    }

    fn cpu(&mut self) -> Result<Duration, BenchError> {
        Ok(match self.server {
            Some(_) => own_cpu() + Duration::from_nanos(self.runtime.block_on(self.client.cpu_ns())?),
            None => own_cpu(),
        })
    }
}

async fn receive<T: Item>(
    channels: &mut [Rx<T>],
    stride: usize,
    time: Duration,
) -> Result<Sample, BenchError> {
    let rounds = rounds(stride, channels.len());
    let (begin, mut count) = (Instant::now(), 0);
    loop {
        for _ in 0..rounds {
            for channel in &mut *channels {
                channel.recv().await?.ok_or(BenchError::Ended)?;
            }
        }
        count += rounds * channels.len();
        let elapsed = begin.elapsed();
        if elapsed >= time {
            return Ok(Sample::of(count as u64, elapsed));
        }
    }
}

/// Items received by a thread.
#[derive(Debug)]
pub(super) struct BlockingItems {
    inflow: Inflow,
    client: BenchBlockingClient,
    /// The process that sends; `None` if it is this one.
    server: Option<Peer>,
}

impl BlockingItems {
    pub(super) fn connect(address: &str, case: Case, server: Option<Peer>) -> Result<Self, BenchError> {
        let connector = Connector::new(address).options(options(case));
        let client: BenchBlockingClient = connector.connect_blocking()?;
        check(case, client.session())?;
        let source: SourceBlockingClient = client.session().client();
        let (inflow, ask) = inflow(case.scenario);
        let asked: Result<(), CallError> = match ask {
            Ask::Small(items) => source.small(items),
            Ask::Large(items) => source.large(items),
            Ask::Each(channels) => source.each(channels),
        };
        asked?;
        Ok(Self { inflow, client, server })
    }
}

impl Subject for BlockingItems {
    fn measure(&mut self, time: Duration) -> Result<Sample, BenchError> {
        match &mut self.inflow {
            Inflow::Small(channels) => receive_blocking(channels, SMALL_STRIDE, time),
            Inflow::Large(channels) => receive_blocking(channels, LARGE_STRIDE, time),
        }
    }

    fn idle(&mut self, time: Duration) -> Result<(), BenchError> {
        std::thread::sleep(time);
        Ok(())
    }

    fn cpu(&mut self) -> Result<Duration, BenchError> {
        Ok(match self.server {
            Some(_) => own_cpu() + Duration::from_nanos(self.client.cpu_ns()?),
            None => own_cpu(),
        })
    }
}

fn receive_blocking<T: Item>(
    channels: &mut [Rx<T>],
    stride: usize,
    time: Duration,
) -> Result<Sample, BenchError> {
    let rounds = rounds(stride, channels.len());
    let (begin, mut count) = (Instant::now(), 0);
    loop {
        for _ in 0..rounds {
            for channel in &mut *channels {
                channel.blocking_recv()?.ok_or(BenchError::Ended)?;
            }
        }
        count += rounds * channels.len();
        let elapsed = begin.elapsed();
        if elapsed >= time {
            return Ok(Sample::of(count as u64, elapsed));
        }
    }
}
