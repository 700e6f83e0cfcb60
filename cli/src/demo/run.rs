//! The run as a whole: its order, its result, and what must be left of it, which is nothing.

use std::cell::Cell;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::cells::Cells;
use super::leftovers::{Holdings, check_children};
use super::progress::Progress;
use super::report::Report;
use super::sources::Sources;
use super::{CellKind, CellOptions, DemoError, Options, calculator, fragile, indexer, station, visitor};

/// How long the run may take.
const LONGEST: Duration = Duration::from_secs(100);

/// Runs the demonstration and prints its result.
///
/// # Errors
/// [`DemoError`] says what was not as it should be. The result is printed all the same.
pub(crate) fn run(options: &Options) -> Result<(), DemoError> {
    log(options.verbose);
    let progress = Arc::new(Progress::new(options.verbose));
    let mut report = Report::default();
    let outcome = watched(options, &progress, &mut report);
    progress.end();
    let mut out = std::io::stdout().lock();
    if options.json {
        serde_json::to_writer(&mut out, &report.summary(outcome.is_ok()))?;
        writeln!(out)?;
    } else if outcome.is_ok() {
        writeln!(out, "\n{report}\nAll is well.")?;
    } else {
        writeln!(out, "\n{report}")?;
    }
    outcome
}

/// Is a cell of the demonstration.
///
/// # Errors
/// [`DemoError::Cell`] if there is no host, or no more.
pub(crate) fn run_cell(options: &CellOptions) -> Result<(), DemoError> {
    runtime()?.block_on(async {
        match options.kind {
            CellKind::Calculator => {
                transom::cell::run(calculator::CalculatorServer::new(calculator::Arithmetic)).await
            }
            CellKind::Indexer => {
                transom::cell::run(indexer::IndexServer::new(indexer::Words::default())).await
            }
            CellKind::Station => transom::cell::run(station::Thermometer::service()).await,
            CellKind::Fragile => transom::cell::run(fragile::FragileServer::new(fragile::Glass)).await,
        }
    })?;
    Ok(())
}

/// Runs it in a runtime of its own, and looks whether all was given back when that is gone.
fn watched(options: &Options, progress: &Arc<Progress>, report: &mut Report) -> Result<(), DemoError> {
    let sources = Sources::read(options.input.as_deref())?;
    let mut pids = Vec::new();
    let runtime = runtime()?;
    // The first runtime of a process opens sockets that stay for all later ones.
    let before = Holdings::now()?;
    let outcome = runtime.block_on(async {
        let mut cells = Cells::start(options.transport, progress).await?;
        let acts = tokio::time::timeout(LONGEST, acts(&mut cells, &sources, progress, report));
        let outcome = acts.await.unwrap_or(Err(DemoError::TooLong));
        report.rows(cells.runs());
        pids.extend(cells.runs().iter().flat_map(|run| &run.pids));
        outcome
    });
    drop(runtime);
    outcome?;
    check_children(&pids)?;
    before.check()?;
    progress.say("host", "no process, no shared memory and no socket is left");
    Ok(())
}

/// What happens, in order.
async fn acts(
    cells: &mut Cells,
    sources: &Sources,
    progress: &Progress,
    report: &mut Report,
) -> Result<(), DemoError> {
    calculator::act(&mut cells.calculator, progress).await?;
    indexer::act(&mut cells.indexer, &cells.library, sources, progress).await?;
    report.carried = station::act(&mut cells.station, progress).await?;
    report.visits = visitor::act(&cells.calculator, &cells.station, progress).await?;
    let done = Cell::new(false);
    let crash = async {
        let outcome = fragile::act(&mut cells.fragile, &cells.gate, progress).await;
        done.set(true);
        outcome
    };
    let (crash, undisturbed) = tokio::join!(crash, calculator::undisturbed(&mut cells.calculator, &done));
    crash?;
    progress.say("calculator", format_args!("answered {} calls meanwhile and noticed nothing", undisturbed?));
    cells.shutdown(progress).await
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Shows what is logged: all of it, or what should not happen.
fn log(verbose: bool) {
    let level = if verbose { tracing::Level::INFO } else { tracing::Level::ERROR };
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_max_level(level).with_ansi(colours).with_writer(std::io::stderr).init();
}
