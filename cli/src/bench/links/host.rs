//! The host: starts all cells, has calls made each way, and looks at what is left of that.

use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::sleep;
use transom::{CallError, Cell, Host};

use super::cell::BackClient;
use super::usage::{Held, cpu};
use super::{Figures, Wanted};
use crate::bench::calls::service::{BenchClient, BenchServer, Mine};
use crate::bench::calls::{check, own_cpu};
use crate::bench::error::BenchError;
use crate::bench::options::{Case, Job, Transport, name};
use crate::bench::rounds::median;
use crate::bench::sample::Latencies;
use crate::bench::{COLD_ROUNDS, IDLE, SETTLE};

/// Cells that are being started at the same time.
const STARTING: usize = 16;
/// Calls each way before a link is looked at: with numbers, and with bytes, which go once around both rings and more.
const CALLS: u32 = 100;
const PIECES: u32 = 40;
const BYTES: usize = 4 * 1024;

/// The part of a host's process.
pub(in crate::bench) fn run(case: Case, control: &UnixStream) -> Result<(), BenchError> {
    let wanted: Wanted = serde_json::from_reader(control)?;
    // Each cell takes some descriptors.
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let figures = runtime.block_on(measure(case, &wanted))?;
    Ok(serde_json::to_writer(control, &figures)?)
}

async fn measure(case: Case, wanted: &Wanted) -> Result<Figures, BenchError> {
    let host = Host::new();
    let before = Held::now()?;
    let begin = Instant::now();
    let cells = start(&host, case, wanted).await?;
    let started = begin.elapsed();
    let bytes = vec![0x5A; BYTES];
    for cell in &cells {
        check(case, &cell.session())?;
        let back: BackClient = cell.client();
        let theirs = back.call_back(CALLS, PIECES, &bytes).await?;
        let ours = converse(&cell.client(), CALLS, PIECES, &bytes).await?;
        if !(theirs && ours) {
            return Err(BenchError::WrongAnswer);
        }
    }
    drop(bytes);
    sleep(SETTLE).await;
    let after = Held::now()?;
    let idle_cpu = idle(&cells).await?;
    let rounds = call_each(&cells).await?;
    host.shutdown().await;
    let each = |count: u64| count as f64 / f64::from(wanted.links);
    let over = |part| median(rounds.iter().map(|round| round.quantile(part) as f64)).unwrap_or(0.0) as u64;
    Ok(Figures {
        links: wanted.links,
        start_ns: nanos(started),
        memory_bytes: each(after.memory.saturating_sub(before.memory)) as u64,
        descriptors: each(after.descriptors.saturating_sub(before.descriptors)),
        idle_cpu_ns: nanos(idle_cpu),
        p50_ns: over(0.5),
        p90_ns: over(0.9),
        p99_ns: over(0.99),
    })
}

/// Starts as many cells, some of them at a time.
async fn start(host: &Host, case: Case, wanted: &Wanted) -> Result<Vec<Cell>, BenchError> {
    let program = std::env::current_exe()?;
    let mut starting = JoinSet::new();
    let mut cells = Vec::new();
    for _ in 0..wanted.links {
        if starting.len() == STARTING {
            cells.extend(next(&mut starting).await?);
        }
        let mut command = Command::new(&program);
        command.arg("bench-peer").arg("--job").arg(name(Job::Cell)).args(case.arguments());
        if let Some(cpu) = wanted.cpu {
            command.arg("--cpu").arg(cpu.to_string());
        }
        if case.transport == Transport::Unix {
            command.env("TRANSOM_SHM", "off");
        }
        starting.spawn(host.spawn(command).serve(BenchServer::new(Mine::new())).start());
    }
    while let Some(cell) = next(&mut starting).await? {
        cells.push(cell);
    }
    Ok(cells)
}

async fn next(starting: &mut JoinSet<Result<Cell, transom::SpawnError>>) -> Result<Option<Cell>, BenchError> {
    match starting.join_next().await {
        None => Ok(None),
        Some(started) => Ok(Some(started.map_err(|_| BenchError::Panicked)??)),
    }
}

/// Calls one after the other, of both sizes; whether all answers were right.
pub(super) async fn converse(
    client: &BenchClient,
    calls: u32,
    pieces: u32,
    bytes: &[u8],
) -> Result<bool, CallError> {
    let mut right = true;
    for number in 0..calls.into() {
        right &= client.add(number, 1).await? == number + 1;
    }
    for _ in 0..pieces {
        right &= client.echo(bytes).await? == bytes;
    }
    Ok(right)
}

/// The CPU time that the host and its cells use while nothing happens.
async fn idle(cells: &[Cell]) -> Result<Duration, BenchError> {
    // Looking at the cells takes this process time, too: so they are looked at before it begins and after it ends.
    let cells_before = total(cells)?;
    let before = own_cpu();
    sleep(IDLE).await;
    let own = own_cpu().saturating_sub(before);
    Ok(own + total(cells)?.saturating_sub(cells_before))
}

fn total(cells: &[Cell]) -> Result<Duration, BenchError> {
    let mut time = Duration::ZERO;
    for cell in cells {
        time += cpu(cell.pid().ok_or(BenchError::PeerGone)?)?;
    }
    Ok(time)
}

/// A call to each cell in turn, round by round.
async fn call_each(cells: &[Cell]) -> Result<Vec<Latencies>, BenchError> {
    let clients: Vec<BenchClient> = cells.iter().map(Cell::client).collect();
    let mut rounds = Vec::new();
    for _ in 0..COLD_ROUNDS {
        let mut latencies = Latencies::new();
        for client in &clients {
            let begin = Instant::now();
            let right = client.add(2, 3).await? == 5;
            latencies.record(begin.elapsed());
            if !right {
                return Err(BenchError::WrongAnswer);
            }
        }
        rounds.push(latencies);
    }
    Ok(rounds)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
