//! The station: sends readings as long as somebody takes them, and sends back what comes through a tunnel.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use facet::Facet;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use transom::tunnel::{Tunnel, tunnel_pair};
use transom::{Router, Rx, Service, Tx, channel};

use super::DemoError;
use super::cells::CellRun;
use super::progress::{Progress, duration, grouped};

/// Readings that the host takes.
const READINGS: u64 = 100_000;
/// A reading counts for more than this many bytes of its channel's window.
const COST: u64 = 32;
/// The cell has stopped if it says so many times in a row that it has sent as much as before.
const TIMES: u32 = 100;
/// Bytes that go through the tunnel and come back.
const BYTES: usize = 4 << 20;

/// What the cell serves.
#[transom::service]
pub(super) trait Station {
    /// Sends this many readings, as fast as they are taken; how many were.
    async fn readings(&self, count: u64, out: Tx<Reading>) -> u64;
    /// How many readings it has sent, to whomever.
    fn sent(&self) -> u64;
    /// Sends back what comes; how many bytes that was.
    async fn echo(&self, tunnel: Tunnel) -> Result<u64, BrokenOff>;
}

/// What the station has measured.
#[derive(Facet, Debug, PartialEq)]
pub(super) struct Reading {
    number: u64,
    millikelvin: u32,
}

impl Reading {
    /// The reading of this number, which everybody can tell.
    pub(super) fn of(number: u64) -> Self {
        Self { number, millikelvin: 283_150 + (number * 37 % 10_000) as u32 }
    }
}

/// A tunnel that broke off.
#[derive(Facet, Debug)]
pub(super) struct BrokenOff {
    /// Why.
    detail: String,
}

/// The cell's side.
#[derive(Clone, Debug, Default)]
pub(super) struct Thermometer {
    sent: Arc<AtomicU64>,
}

impl Thermometer {
    /// What the cell serves on the session's own connection and on any that is opened.
    pub(super) fn service() -> impl Service {
        let server = StationServer::new(Self::default());
        let router = Router::new().route(server.clone());
        server.accepting(router)
    }
}

impl Station for Thermometer {
    async fn readings(&self, count: u64, out: Tx<Reading>) -> u64 {
        for number in 0..count {
            if out.send(Reading::of(number)).await.is_err() {
                return number;
            }
            self.sent.fetch_add(1, Ordering::Relaxed);
        }
        count
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    async fn echo(&self, tunnel: Tunnel) -> Result<u64, BrokenOff> {
        let broken = |error: std::io::Error| BrokenOff { detail: error.to_string() };
        let (mut input, mut output) = tokio::io::split(tunnel.into_stream());
        let bytes = tokio::io::copy(&mut input, &mut output).await.map_err(broken)?;
        output.shutdown().await.map_err(broken)?;
        Ok(bytes)
    }
}

/// What went through the cell besides calls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Carried {
    /// Readings that came.
    pub(super) readings: u64,
    /// How many of them the cell had sent while nobody took any.
    pub(super) ahead: u64,
    /// Bytes that went through the tunnel and came back.
    pub(super) echoed: u64,
}

/// Has it send readings while nobody takes any, takes them, and sends it bytes through a tunnel.
pub(super) async fn act(run: &mut CellRun, progress: &Progress) -> Result<Carried, DemoError> {
    let ahead = readings(run, progress).await?;
    let echoed = echo(run, progress).await?;
    Ok(Carried { readings: READINGS, ahead, echoed })
}

async fn readings(run: &mut CellRun, progress: &Progress) -> Result<u64, DemoError> {
    let station: StationClient = run.cell.client();
    let (out, mut readings) = channel();
    let sending = tokio::spawn({
        let station = station.clone();
        async move { station.readings(READINGS, out).await }
    });
    let ahead = stopped(run, &station).await?;
    let window = run.cell.session().negotiated().map_or(0, |agreed| agreed.limits.window);
    let within = ahead * COST <= u64::from(window);
    run.check(format_args!("whether {ahead} readings are within the window"), within, true)?;
    let begun = Instant::now();
    take(run, READINGS, &mut readings).await?;
    let took = duration(begun.elapsed());
    let sent = run.call("readings", async { sending.await.unwrap_or(Ok(0)) }).await?;
    run.check("the readings that it has sent", sent, READINGS)?;
    progress.say(
        run.name,
        format_args!(
            "stopped at {} readings while nobody took any, a window of {} KiB; then {} in {took}: all in order",
            grouped(ahead),
            window / 1024,
            grouped(READINGS),
        ),
    );
    Ok(ahead)
}

/// Waits until the cell, which has something to send, sends no more; how much it has sent. It answers all the while.
async fn stopped(run: &mut CellRun, station: &StationClient) -> Result<u64, DemoError> {
    let (mut sent, mut times) = (0, 0);
    while times < TIMES {
        let now = run.call("sent", station.sent()).await?;
        times = if now > 0 && now == sent { times + 1 } else { 0 };
        sent = now;
    }
    Ok(sent)
}

/// Takes this many readings, which must be all, and right.
pub(super) async fn take(run: &CellRun, count: u64, readings: &mut Rx<Reading>) -> Result<(), DemoError> {
    for number in 0..=count {
        let expected = (number < count).then(|| Reading::of(number));
        let got = readings.recv().await.map_err(|error| run.unexpected("readings", error))?;
        run.check(format_args!("reading {number}"), got, expected)?;
    }
    Ok(())
}

async fn echo(run: &mut CellRun, progress: &Progress) -> Result<u64, DemoError> {
    let station: StationClient = run.cell.client();
    let (near, far) = tunnel_pair();
    let (mut ours, theirs) = UnixStream::pair()?;
    let (mut input, mut output) = ours.split();
    let sent: Vec<u8> = (0..BYTES).map(|at| (at.wrapping_mul(0x9e37_79b1) >> 24) as u8).collect();
    let mut back = Vec::with_capacity(BYTES);
    let begun = Instant::now();
    let written = async {
        output.write_all(&sent).await?;
        // There is no more to send; what comes back is waited for all the same.
        output.shutdown().await
    };
    let (written, read, pumped, echoed) = tokio::join!(
        written,
        input.read_to_end(&mut back),
        near.pump(theirs),
        run.call("echo", station.echo(far))
    );
    let took = duration(begun.elapsed());
    written.and(read)?;
    let pumped = pumped.map_err(|error| run.unexpected("echo", error))?;
    let bytes = BYTES as u64;
    run.check("the bytes that were echoed", (pumped.sent, pumped.received, echoed?), (bytes, bytes, bytes))?;
    run.check("whether they are those that were sent", back == sent, true)?;
    progress.say(
        run.name,
        format_args!(
            "sent back {} MiB that came through a tunnel from a socket, in {took}: every byte",
            bytes >> 20
        ),
    );
    Ok(bytes)
}
