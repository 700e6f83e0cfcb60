//! The visitor: a client that comes to the host over TCP, and reaches cells through it.

use std::time::Instant;

use transom::proxy::{Forward, relay};
use transom::{Connector, IncomingConnection, Server, Service as _, channel};

use super::DemoError;
use super::calculator::CalculatorClient;
use super::cells::CellRun;
use super::progress::{Progress, grouped, time};
use super::station::{StationClient, take};
use super::tally::Tally;

/// Sums that the visitor asks the calculator for.
const SUMS: u64 = 1_000;
/// Readings that it takes from the station.
const READINGS: u64 = 10_000;

/// Has the calculator add for somebody who knows its host only, and the station send readings there. The calls of the
/// visitor, each of which went through the host.
pub(super) async fn act(
    calculator: &CellRun,
    station: &CellRun,
    progress: &Progress,
) -> Result<Tally, DemoError> {
    // What comes on the root connection is the calculator's, call by call; connections that are opened are the station's.
    let behind = station.cell.session();
    let relaying = move |incoming: IncomingConnection| {
        let behind = behind.clone();
        tokio::spawn(async move { relay(incoming, &behind).await });
    };
    let service = Forward::to(calculator.cell.session().root()).accepting(relaying);
    let mut listener = Server::new("tcp:127.0.0.1:0", service).bind()?;
    let connector = Connector::to(listener.address().clone());
    let (visitor, host) = tokio::join!(connector.session(), listener.accept());
    let (visitor, host) = (visitor?, host?);

    let mut tally = Tally::new();
    let sums: CalculatorClient = visitor.client();
    for n in 0..SUMS {
        let begun = Instant::now();
        let sum = sums.add(n, n + 1).await.map_err(|error| calculator.unexpected("add", error))?;
        tally.answered(begun.elapsed());
        calculator.check(format_args!("{n} + {n} + 1"), sum, 2 * n + 1)?;
    }
    let begun = Instant::now();
    let worth = sums.convert(1_000, "CHF").await;
    let worth = worth.map_err(|error| calculator.unexpected("convert", error))?;
    tally.answered(begun.elapsed());
    calculator.check("1000 in CHF", worth, 935)?;

    let readings: StationClient = visitor.open().await?;
    let (out, mut taken) = channel();
    let (sent, all) = tokio::join!(readings.readings(READINGS, out), take(station, READINGS, &mut taken));
    all?;
    let sent = sent.map_err(|error| station.unexpected("readings", error))?;
    station.check("the readings that the visitor has taken", sent, READINGS)?;
    progress.say(
        "visitor",
        format_args!(
            "over {} through the host: {} sums, {} at the median, and {} readings: all right",
            visitor.transport(),
            grouped(SUMS),
            time(tally.within(0.5)),
            grouped(READINGS),
        ),
    );
    drop((sums, readings));
    visitor.goodbye();
    tokio::join!(visitor.closed(), host.closed());
    Ok(tally)
}
