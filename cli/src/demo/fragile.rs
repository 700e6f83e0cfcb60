//! The cell that crashes: killed in the middle of 100 calls, it comes back and answers them again.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use facet::Facet;
use rustix::process::Signal;
use tokio::sync::watch;
use tokio::task::JoinSet;
use transom::{CallError, Cause, CloseReason, Context, DeathReport, Session};

use super::DemoError;
use super::cells::{Asked, CellRun};
use super::progress::{Progress, duration};

/// Calls made at once; the last of them is the request to crash.
const CALLS: u64 = 100;
/// What the cell says before it crashes.
const LAST_WORDS: &str = "crashing, as asked";

/// What the cell serves.
#[transom::service]
pub(super) trait Fragile {
    /// The square of the host's number under `place`, for which the host is asked.
    async fn square(&self, cx: &Context, place: u64) -> Result<u64, NoNumber>;
    /// A crash, and no answer.
    async fn crash(&self);
}

/// The host gave no number.
#[derive(Facet, Debug)]
pub(super) struct NoNumber {
    /// Why not.
    detail: String,
}

/// What the host serves this cell.
#[transom::service]
pub(super) trait Numbers {
    /// The number under `place`.
    async fn number(&self, place: u64) -> u64;
}

/// The cell's side.
pub(super) struct Glass;

impl Fragile for Glass {
    async fn square(&self, cx: &Context, place: u64) -> Result<u64, NoNumber> {
        let host: NumbersClient = cx.client();
        let number = host.number(place).await.map_err(|error| NoNumber { detail: error.to_string() })?;
        Ok(number * number)
    }

    async fn crash(&self) {
        eprintln!("{LAST_WORDS}");
        if let Err(error) = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL) {
            eprintln!("this process cannot kill itself: {error}");
        }
        pending().await
    }
}

/// The host's numbers. While it is shut, those under odd places are withheld: whoever asks for one waits.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    pub(super) asked: Asked,
    state: Arc<watch::Sender<State>>,
}

#[derive(Debug, Default)]
struct State {
    open: bool,
    /// The places whose numbers somebody waits for.
    withheld: BTreeSet<u64>,
}

impl Gate {
    /// A shut one.
    pub(super) fn new() -> Self {
        Self { asked: Asked::default(), state: Arc::new(watch::Sender::new(State::default())) }
    }

    pub(super) fn server(&self) -> NumbersServer<Self> {
        NumbersServer::new(self.clone())
    }

    fn open(&self) {
        self.state.send_modify(|state| state.open = true);
    }

    /// Waits until this many numbers are withheld, and says which.
    async fn withheld(&self, count: usize) -> BTreeSet<u64> {
        let mut state = self.state.subscribe();
        let reached = state.wait_for(|state| state.withheld.len() >= count).await;
        reached.map(|state| state.withheld.clone()).unwrap_or_default()
    }
}

impl Numbers for Gate {
    async fn number(&self, place: u64) -> u64 {
        self.asked.count();
        if is_withheld(place) {
            let mut state = self.state.subscribe();
            self.state.send_if_modified(|state| !state.open && state.withheld.insert(place));
            if state.wait_for(|state| state.open).await.is_err() {
                return pending().await;
            }
        }
        number(place)
    }
}

fn number(place: u64) -> u64 {
    1000 + 7 * place
}

fn is_withheld(place: u64) -> bool {
    place % 2 == 1
}

/// One of the calls, made.
struct Made {
    call: Asking,
    outcome: Result<u64, CallError<NoNumber>>,
    took: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Asking {
    Square { place: u64 },
    Crash,
}

impl Asking {
    fn method(self) -> &'static str {
        match self {
            Self::Square { .. } => "square",
            Self::Crash => "crash",
        }
    }

    async fn make(self, fragile: FragileClient) -> Made {
        let begun = Instant::now();
        let outcome = match self {
            Self::Square { place } => fragile.square(place).await,
            Self::Crash => {
                fragile.crash().await.map(|()| 0).map_err(|error| error.map_user(|never| match never {}))
            }
        };
        Made { call: self, outcome, took: begun.elapsed() }
    }
}

/// Makes 100 calls at once, one of which crashes it, waits for its return, and makes the calls again.
pub(super) async fn act(run: &mut CellRun, gate: &Gate, progress: &Progress) -> Result<(), DemoError> {
    let fragile: FragileClient = run.cell.client();
    let mut calls = JoinSet::new();
    for place in 0..CALLS - 1 {
        calls.spawn(Asking::Square { place }.make(fragile.clone()));
    }
    let answerable = (0..CALLS - 1).filter(|&place| !is_withheld(place)).count();
    let mut answered = 0;
    while answered < answerable {
        let Some(made) = calls.join_next().await else { break };
        answer(run, made?)?;
        answered += 1;
    }
    let withheld = gate.withheld(CALLS as usize - 1 - answerable).await;
    progress.say(
        run.name,
        format_args!(
            "{CALLS} calls at once: {answered} answered, {} being worked on, the last one asks it to crash",
            withheld.len()
        ),
    );

    let crashed = Instant::now();
    calls.spawn(Asking::Crash.make(fragile.clone()));
    drop(fragile);
    let mut lost = BTreeSet::new();
    while let Some(made) = calls.join_next().await {
        lost.insert(loss(run, made?)?);
    }
    let within = duration(crashed.elapsed());
    let expected = withheld.iter().map(|&place| Asking::Square { place }).chain([Asking::Crash]).collect();
    run.check("the crash", &lost, &expected)?;
    let killed = |report: &DeathReport| {
        report.cause == Cause::Signal(Signal::KILL.as_raw())
            && report.incarnation == 1
            && report.session == Some(CloseReason::PeerDied)
    };
    let report = run.dies("by SIGKILL", killed).await?;
    run.check("its last words", &report.stderr_tail[..], &[LAST_WORDS.to_owned()])?;
    progress.say(
        run.name,
        format_args!(
            "killed by {}, last words \"{LAST_WORDS}\"; exactly the {} calls in flight failed, within {within}",
            report.cause,
            lost.len(),
        ),
    );

    let session = run.restarted().await?;
    let away = duration(crashed.elapsed());
    gate.open();
    again(run, &session).await?;
    progress.say(
        run.name,
        format_args!(
            "back after {away} as process {}; the {} calls made again: all right",
            session.peer().pid.map_or_else(|| String::from("?"), |pid| pid.to_string()),
            CALLS - 1,
        ),
    );
    Ok(())
}

/// Makes the calls to the next incarnation: now all are answered.
async fn again(run: &mut CellRun, session: &Session) -> Result<(), DemoError> {
    let fragile: FragileClient = session.client();
    let mut calls: JoinSet<Made> =
        (0..CALLS - 1).map(|place| Asking::Square { place }.make(fragile.clone())).collect();
    while let Some(made) = calls.join_next().await {
        answer(run, made?)?;
    }
    Ok(())
}

/// The call must have been answered, and rightly.
fn answer(run: &mut CellRun, made: Made) -> Result<(), DemoError> {
    let Made { call, outcome, took } = made;
    match (call, outcome) {
        (Asking::Square { place }, Ok(square)) => {
            run.tally.answered(took);
            run.check(format_args!("the square of number {place}"), square, number(place).pow(2))
        }
        (call, Ok(got)) => run.check(call.method(), Some(got), None),
        (call, Err(error)) => {
            run.tally.failed();
            Err(run.unexpected(call.method(), error))
        }
    }
}

/// The call must have been lost, as one that may have run.
fn loss(run: &mut CellRun, made: Made) -> Result<Asking, DemoError> {
    let Made { call, outcome, .. } = made;
    run.tally.failed();
    match outcome {
        Err(CallError::Disconnected { reason: CloseReason::PeerDied, maybe_executed: true }) => Ok(call),
        Err(error) => Err(run.unexpected(call.method(), error)),
        Ok(got) => {
            run.check(format_args!("{call:?} of a crashed cell"), Some(got), None)?;
            Ok(call)
        }
    }
}
