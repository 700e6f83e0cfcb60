//! The calculator: many small calls, some of which ask the host back.

use std::cell::Cell;
use std::time::Duration;

use facet::Facet;
use transom::{CallError, Context};

use super::DemoError;
use super::cells::{Asked, CellRun};
use super::progress::{Progress, grouped, time};

/// Additions, one after the other.
const SUMS: u64 = 20_000;
/// Conversions, each of which asks the host for a rate.
const CONVERSIONS: u64 = 2_000;
/// Lists to add up.
const LISTS: u64 = 200;
/// Between two additions that are made while another cell has its troubles.
const PAUSE: Duration = Duration::from_millis(1);
/// What a thousand of the base currency are worth in others.
const RATES: [(&str, u64); 4] = [("CHF", 935), ("GBP", 861), ("JPY", 163_250), ("USD", 1_084)];

/// What the cell serves.
#[transom::service]
pub(super) trait Calculator {
    /// The sum of two numbers, wrapped around.
    fn add(&self, a: u64, b: u64) -> u64;
    /// The sum of many numbers, wrapped around.
    fn sum(&self, numbers: Vec<u64>) -> u64;
    /// What `amount` is worth in `currency`, by the host's rate.
    async fn convert(&self, cx: &Context, amount: u64, currency: &str) -> Result<u64, ConvertError>;
}

/// Why an amount could not be converted.
#[derive(Facet, Debug, PartialEq)]
#[repr(u8)]
pub(super) enum ConvertError {
    /// The host has no such rate.
    NoRate,
    /// The host could not be asked.
    NoHost {
        /// Why not.
        detail: String,
    },
}

/// What the host serves the calculator.
#[transom::service]
pub(super) trait Exchange {
    /// What a thousand of the base currency are worth in `currency`.
    fn rate(&self, currency: &str) -> Option<u64>;
}

/// The cell's calculator.
pub(super) struct Arithmetic;

impl Calculator for Arithmetic {
    fn add(&self, a: u64, b: u64) -> u64 {
        a.wrapping_add(b)
    }

    fn sum(&self, numbers: Vec<u64>) -> u64 {
        numbers.into_iter().fold(0, u64::wrapping_add)
    }

    async fn convert(&self, cx: &Context, amount: u64, currency: &str) -> Result<u64, ConvertError> {
        let host: ExchangeClient = cx.client();
        let rate = host.rate(currency).await;
        let rate = rate.map_err(|error| ConvertError::NoHost { detail: error.to_string() })?;
        Ok(amount * rate.ok_or(ConvertError::NoRate)? / 1000)
    }
}

/// The host's rates.
#[derive(Clone, Debug, Default)]
pub(super) struct Rates {
    pub(super) asked: Asked,
}

impl Rates {
    pub(super) fn server(&self) -> ExchangeServer<Self> {
        ExchangeServer::new(self.clone())
    }
}

impl Exchange for Rates {
    fn rate(&self, currency: &str) -> Option<u64> {
        self.asked.count();
        RATES.iter().find(|(name, _)| *name == currency).map(|&(_, rate)| rate)
    }
}

/// Has it calculate, and calculates along.
pub(super) async fn act(run: &mut CellRun, progress: &Progress) -> Result<(), DemoError> {
    let calculator: CalculatorClient = run.cell.client();
    for n in 0..SUMS {
        if n % 1000 == 0 {
            progress.at(run.name, format_args!("{} of {} sums", grouped(n), grouped(SUMS)));
        }
        add(run, &calculator, n).await?;
    }
    let median = time(run.tally.within(0.5));
    progress.say(
        run.name,
        format_args!("{} sums, one after the other, {median} at the median: all right", grouped(SUMS)),
    );
    for n in 0..CONVERSIONS {
        let (currency, rate) = RATES[n as usize % RATES.len()];
        let got = run.call("convert", calculator.convert(n, currency)).await?;
        run.check(format_args!("{n} in {currency}"), got, n * rate / 1000)?;
    }
    let begun = std::time::Instant::now();
    let refused = calculator.convert(1, "XYZ").await;
    run.check("1 in an unknown currency", &refused, &Err(CallError::User(ConvertError::NoRate)))?;
    run.tally.answered(begun.elapsed());
    progress.say(
        run.name,
        format_args!(
            "{} conversions, each asks the host for a rate meanwhile: all right",
            grouped(CONVERSIONS)
        ),
    );
    for n in 0..LISTS {
        let numbers: Vec<u64> = (0..n * 10).map(scatter).collect();
        let expected = numbers.iter().copied().fold(0, u64::wrapping_add);
        let got = run.call("sum", calculator.sum(numbers)).await?;
        run.check(format_args!("the sum of list {n}"), got, expected)?;
    }
    progress.say(run.name, format_args!("{LISTS} lists of up to {} numbers: all right", grouped(LISTS * 10)));
    Ok(())
}

/// Goes on calling it for as long as `done` is false; how often it did.
pub(super) async fn undisturbed(run: &mut CellRun, done: &Cell<bool>) -> Result<u64, DemoError> {
    let calculator: CalculatorClient = run.cell.client();
    let mut calls = 0;
    while !done.get() {
        add(run, &calculator, calls).await?;
        calls += 1;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(calls)
}

async fn add(run: &mut CellRun, calculator: &CalculatorClient, n: u64) -> Result<(), DemoError> {
    let (a, b) = (n, scatter(n));
    let got = run.call("add", calculator.add(a, b)).await?;
    run.check(format_args!("{a} + {b}"), got, a.wrapping_add(b))
}

/// A number that looks like any.
fn scatter(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31)
}
