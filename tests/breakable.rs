//! Sessions on links that break: calls survive being held, and end once each, with the right reason, at a cut.

mod common;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::Place;
use transom::testing::{Breaker, Cut, Direction};
use transom::{CallError, Client as _, CloseReason, Connector, Options, Server, Session};

/// Long enough for whatever is not stuck.
const PATIENCE: Duration = Duration::from_secs(20);

/// Does what it is told, and notes it.
#[transom::service]
trait Work {
    /// The number again.
    async fn take(&self, number: u64) -> u64;
    /// No answer.
    async fn never(&self);
}

/// How often each number was taken, and how many handlers never answer.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<(BTreeMap<u64, u32>, u32)>>);

impl Ledger {
    fn taken(&self) -> BTreeMap<u64, u32> {
        self.0.lock().unwrap().0.clone()
    }

    fn stuck(&self) -> u32 {
        self.0.lock().unwrap().1
    }
}

/// A handler that never answers, until it is dropped.
struct Stuck(Ledger);

impl Drop for Stuck {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().1 -= 1;
    }
}

impl Work for Ledger {
    async fn take(&self, number: u64) -> u64 {
        *self.0.lock().unwrap().0.entry(number).or_default() += 1;
        number
    }

    async fn never(&self) {
        self.0.lock().unwrap().1 += 1;
        let _stuck = Stuck(self.clone());
        std::future::pending().await
    }
}

fn addresses(place: &Place) -> [String; 3] {
    let path = place.path().display().to_string();
    [format!("shm:{path}"), format!("unix:{path}"), format!("mem:{path}")]
}

/// A client whose link is broken at will, and the session that serves it.
async fn tasks(address: &str) -> (WorkClient, Session, Ledger, Breaker) {
    let (ledger, breaker) = (Ledger::default(), Breaker::new());
    let mut listener = Server::new(address, WorkServer::new(ledger.clone())).bind().unwrap();
    let connector = Connector::new(address).options(Options::new().breaker(&breaker));
    let (work, server) = tokio::join!(connector.connect(), listener.accept());
    (work.unwrap(), server.unwrap(), ledger, breaker)
}

/// The same without a runtime.
fn threads(address: &str) -> (WorkBlockingClient, Session, Ledger, Breaker) {
    let (ledger, breaker) = (Ledger::default(), Breaker::new());
    let listener = Server::new(address, WorkServer::new(ledger.clone())).bind_blocking().unwrap();
    let connector = Connector::new(address).options(Options::new().breaker(&breaker));
    let connecting = std::thread::spawn(move || connector.connect_blocking().unwrap());
    let server = listener.accept().unwrap();
    (connecting.join().unwrap(), server, ledger, breaker)
}

/// Gives other tasks their turn until `done`.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::task::yield_now().await;
    }
}

/// Gives other threads their turn until `done`.
fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_call_of_a_task_waits_for_what_is_held() {
    let place = Place::new();
    for address in addresses(&place) {
        let (work, _server, ledger, breaker) = tasks(&address).await;
        let take = |number| {
            let work = work.clone();
            tokio::spawn(async move { work.take(number).await })
        };
        let settle = async || {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        };
        breaker.hold(Direction::Outgoing);
        let there = take(1);
        settle().await;
        assert_eq!(ledger.taken().len(), 0, "{address}: held on its way there");
        breaker.hold(Direction::Incoming);
        breaker.let_go(Direction::Outgoing);
        until(&address, || ledger.taken().len() == 1).await;
        let second = take(2);
        until(&address, || ledger.taken().len() == 2).await;
        settle().await;
        assert!(!there.is_finished() && !second.is_finished(), "{address}: held on its way back");
        breaker.pass(Direction::Incoming, 1);
        until(&address, || there.is_finished()).await;
        settle().await;
        assert!(!second.is_finished(), "{address}: one was let through");
        breaker.let_go(Direction::Incoming);
        assert_eq!((there.await.unwrap(), second.await.unwrap()), (Ok(1), Ok(2)), "{address}");
        assert_eq!(ledger.taken(), BTreeMap::from([(1, 1), (2, 1)]), "{address}");
    }
}

#[test]
fn a_call_of_a_thread_waits_for_what_is_held() {
    let place = Place::new();
    for address in addresses(&place) {
        let (work, _server, ledger, breaker) = threads(&address);
        let (tell, told) = mpsc::channel();
        let take = |number| {
            let (work, tell) = (work.clone(), tell.clone());
            std::thread::spawn(move || tell.send(work.take(number)).unwrap());
        };
        breaker.hold(Direction::Incoming);
        take(1);
        wait(&address, || ledger.taken().len() == 1);
        breaker.hold(Direction::Outgoing);
        take(2);
        assert_eq!(told.try_recv().ok(), None, "{address}: held on its way back");
        breaker.let_go(Direction::Incoming);
        assert_eq!(told.recv_timeout(PATIENCE), Ok(Ok(1)), "{address}");
        assert_eq!(ledger.taken().len(), 1, "{address}: held on its way there");
        breaker.let_go(Direction::Outgoing);
        assert_eq!(told.recv_timeout(PATIENCE), Ok(Ok(2)), "{address}");
        assert_eq!(ledger.taken(), BTreeMap::from([(1, 1), (2, 1)]), "{address}");
    }
}

const CALLS: u64 = 20;
const INTERVAL: Duration = Duration::from_millis(1);
/// What the answers to so many calls take at least.
const ALL: Duration = INTERVAL.saturating_mul(CALLS as u32);

#[tokio::test]
async fn a_slow_link_makes_the_calls_of_tasks_slow() {
    let place = Place::new();
    for address in addresses(&place) {
        let (work, _server, _ledger, breaker) = tasks(&address).await;
        let begin = Instant::now();
        let slow = breaker.slow(Direction::Incoming, INTERVAL);
        for number in 0..CALLS {
            assert_eq!(work.take(number).await, Ok(number), "{address}");
        }
        assert!(begin.elapsed() >= ALL, "{address}");
        breaker.hold(Direction::Incoming);
        drop(slow);
        assert_eq!(work.take(CALLS).await, Ok(CALLS), "{address}: as fast as it likes");
    }
}

#[test]
fn a_slow_link_makes_the_calls_of_threads_slow() {
    let place = Place::new();
    for address in addresses(&place) {
        let (work, _server, _ledger, breaker) = threads(&address);
        let begin = Instant::now();
        let _slow = breaker.slow(Direction::Outgoing, INTERVAL);
        for number in 0..CALLS {
            assert_eq!(work.take(number), Ok(number), "{address}");
        }
        assert!(begin.elapsed() >= ALL, "{address}");
    }
}

/// Calls that are answered; that run, but whose answers are lost; and that do not reach the peer.
const ANSWERED: u64 = 10;
const LOST: u64 = 20;
const UNSENT: u64 = 10;

/// Lets so much through.
fn dam(breaker: &Breaker) {
    // The method is bound with a frame of its own.
    breaker.pass(Direction::Outgoing, 1 + ANSWERED + LOST);
    breaker.pass(Direction::Incoming, ANSWERED);
}

/// What a cut looks like to the side whose link is cut.
fn cuts() -> [(Cut, CloseReason); 2] {
    [
        (Cut::Death, CloseReason::PeerDied),
        (Cut::Io(ErrorKind::TimedOut), CloseReason::Transport(ErrorKind::TimedOut)),
    ]
}

/// Every call has ended in its way, and none ran twice.
fn check(
    address: &str,
    outcomes: &[(u64, Result<u64, CallError>)],
    taken: &BTreeMap<u64, u32>,
    cut: &CloseReason,
) {
    let (mut answered, mut lost, mut unsent) = (0, 0, 0);
    for (number, outcome) in outcomes {
        let times = taken.get(number).copied().unwrap_or(0);
        match outcome {
            Ok(answer) => {
                assert_eq!((answer, times), (number, 1), "{address}");
                answered += 1;
            }
            Err(CallError::Disconnected { reason, maybe_executed: true }) => {
                assert_eq!((reason, times), (cut, 1), "{address}");
                lost += 1;
            }
            Err(CallError::Disconnected { reason, maybe_executed: false }) => {
                assert_eq!((reason, times), (cut, 0), "{address}");
                unsent += 1;
            }
            Err(other) => panic!("{address}: {other}"),
        }
    }
    assert_eq!((answered, lost, unsent), (ANSWERED, LOST, UNSENT), "{address}");
}

#[tokio::test]
async fn a_cut_ends_every_call_of_tasks_once() {
    let place = Place::new();
    for address in addresses(&place) {
        for (cut, reason) in cuts() {
            let (work, server, ledger, breaker) = tasks(&address).await;
            let never = work.clone();
            let stuck = tokio::spawn(async move { never.never().await });
            until(&address, || ledger.stuck() == 1).await;
            dam(&breaker);
            let outcomes: Arc<Mutex<Vec<_>>> = Arc::default();
            let callers: Vec<_> = (0..ANSWERED + LOST + UNSENT)
                .map(|number| {
                    let (work, outcomes) = (work.clone(), Arc::clone(&outcomes));
                    tokio::spawn(async move {
                        let outcome = work.take(number).await;
                        outcomes.lock().unwrap().push((number, outcome));
                    })
                })
                .collect();
            let ended = || outcomes.lock().unwrap().len() as u64;
            until(&address, || ledger.taken().len() as u64 == ANSWERED + LOST && ended() == ANSWERED).await;
            breaker.cut(cut);
            assert_eq!(work.session().closed().await, reason, "{address}");
            assert_eq!(server.closed().await, CloseReason::PeerDied, "{address}");
            for caller in callers {
                caller.await.unwrap();
            }
            check(&address, &outcomes.lock().unwrap(), &ledger.taken(), &reason);
            let lost = CallError::Disconnected { reason: reason.clone(), maybe_executed: true };
            assert_eq!(stuck.await.unwrap(), Err(lost), "{address}");
            until(&address, || ledger.stuck() == 0).await;
            let unsent = CallError::Disconnected { reason, maybe_executed: false };
            assert_eq!(work.take(0).await, Err(unsent), "{address}");
        }
    }
}

#[test]
fn a_cut_ends_every_call_of_threads_once() {
    let place = Place::new();
    for address in addresses(&place) {
        for (cut, reason) in cuts() {
            let (work, server, ledger, breaker) = threads(&address);
            let (tell, told) = mpsc::channel();
            dam(&breaker);
            for number in 0..ANSWERED + LOST + UNSENT {
                let (work, tell) = (work.clone(), tell.clone());
                std::thread::spawn(move || tell.send((number, work.take(number))).unwrap());
            }
            let next = || told.recv_timeout(PATIENCE).expect(&address);
            let mut outcomes: Vec<_> = (0..ANSWERED).map(|_| next()).collect();
            wait(&address, || ledger.taken().len() as u64 == ANSWERED + LOST);
            breaker.cut(cut);
            outcomes.extend((0..LOST + UNSENT).map(|_| next()));
            check(&address, &outcomes, &ledger.taken(), &reason);
            assert_eq!(work.session().close_reason(), Some(reason.clone()), "{address}");
            wait(&address, || server.close_reason() == Some(CloseReason::PeerDied));
            let unsent = CallError::Disconnected { reason, maybe_executed: false };
            assert_eq!(work.take(0), Err(unsent), "{address}");
        }
    }
}

#[tokio::test]
async fn a_cut_concerns_only_the_links_that_are_there() {
    let place = Place::new();
    for address in addresses(&place) {
        let (ledger, breaker) = (Ledger::default(), Breaker::new());
        let listener = Server::new(&address, WorkServer::new(ledger)).bind().unwrap();
        let serving = tokio::spawn(listener.run());
        let connect =
            || Connector::new(&address).options(Options::new().breaker(&breaker)).connect::<WorkClient>();
        let (first, other) = (connect().await.unwrap(), connect().await.unwrap());
        breaker.cut(Cut::Death);
        for cut in [first, other] {
            assert_eq!(cut.session().closed().await, CloseReason::PeerDied, "{address}");
        }
        assert_eq!(connect().await.unwrap().take(1).await, Ok(1), "{address}");
        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled(), "{address}");
    }
}
