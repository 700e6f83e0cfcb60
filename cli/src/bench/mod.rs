//! `transom bench`: calls on this machine, each figure beside the machine's limit taken in the same run.
//!
//! ```text
//!  this process                                   others, started for each row
//!  limit.measure() ── cache line, ring, bell, socket ──> bench-peer --job limit
//!  calls.measure() ── Transom ────────────────────────> bench-peer --job service
//! ```
//! Rounds of the two alternate; while one is measured, the other process of the other one sleeps. Links by the hundred
//! have a host of their own: `links`.

mod calls;
mod driver;
mod error;
mod limit;
mod links;
mod options;
mod pause;
mod peer;
mod pin;
mod report;
mod rounds;
mod sample;

use std::time::Duration;

use driver::Driver;
pub(crate) use error::BenchError;
use options::{Case, Job, Scenario};
pub(crate) use options::{Options, PeerOptions};
use peer::Starter;
use pin::Placement;
use report::{Report, Row};
use rounds::{Compare, Plan, interleave};

/// Rounds of calls that follow on each other closely.
const HOT_ROUNDS: u32 = 7;
/// Rounds of calls far apart, which differ more from one to the next.
const COLD_ROUNDS: u32 = 11;
/// How long an idle pair is watched.
const IDLE: Duration = Duration::from_secs(2);
/// Before it is: whatever a call leaves behind has ended.
const SETTLE: Duration = Duration::from_millis(100);

/// `transom bench`.
pub(crate) fn run(options: &Options) -> Result<(), BenchError> {
    let allowed = pin::allowed()?;
    let placement = Placement::new(options.pin, &allowed)?;
    pin::pin(placement.client)?;
    let report = if options.json { Report::Json } else { Report::Table };
    report.begin(allowed.len(), placement)?;
    for case in options.cases() {
        report.add(&measure(case, placement, options)?)?;
    }
    Ok(())
}

/// `transom bench-peer`, the other process.
pub(crate) fn run_peer(options: &PeerOptions) -> Result<(), BenchError> {
    if options.job == Job::Cell {
        return links::run_cell(options);
    }
    let starter = Starter::attach(options)?;
    match options.job {
        Job::Limit => limit::answer(options.case, starter),
        Job::Service => {
            calls::serve(&options.address, options.case, &Driver::new(options.case.api)?, starter)
        }
        Job::Host | Job::Cell => links::run_host(options.case, &starter.ready()?),
    }
}

fn measure(case: Case, placement: Placement, options: &Options) -> Result<Row, BenchError> {
    if case.scenario == Scenario::Links200 {
        return Ok(Row::links(case, &links::measure(case, placement, options.links())?));
    }
    let driver = Driver::new(case.api)?;
    let gap = (case.scenario == Scenario::UnaryCold).then(|| options.gap());
    let mut calls = calls::open(case, placement, gap, &driver)?;
    if case.scenario == Scenario::IdleCpu {
        calls.measure(Duration::ZERO)?;
        calls.idle(SETTLE)?;
        let before = calls.cpu()?;
        calls.idle(IDLE)?;
        return Ok(Row::idle(case, calls.cpu()?.saturating_sub(before)));
    }
    let mut limit = limit::open(case, placement, gap, &driver)?;
    let plan = Plan {
        rounds: if gap.is_some() { COLD_ROUNDS } else { HOT_ROUNDS },
        time: options.time(),
        compare: match case.scenario {
            Scenario::UnaryConc64 => Compare::Rate,
            scenario if scenario.streams() => Compare::Rate,
            _ => Compare::Latency,
        },
    };
    let figures = interleave(plan, limit.as_deref_mut(), &mut *calls)?;
    Ok(if case.scenario.streams() { Row::items(case, &figures) } else { Row::calls(case, &figures) })
}
