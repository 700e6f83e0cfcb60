//! The death of a cell: what it had completely answered is delivered, the rest ends, nothing is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use transom::{CallError, Cause, Cell, CloseReason, Host, Keepalive, Options, SpawnError};

use crate::cells::{ANSWERED, CROWD, WorkClient, in_flight, spawn, spawn_without_shm};
use crate::probe::{Other, Resources, eventually, soon};

fn is_disconnected<T>(result: &Result<T, CallError>, reason: &CloseReason) -> bool {
    matches!(result, Err(CallError::Disconnected { reason: why, maybe_executed: true }) if why == reason)
}

pub(crate) async fn what_was_answered_is_delivered_and_the_rest_ends() {
    let host = Host::new();
    answered_and_not(&soon(spawn(&host, "worker").start()).await.expect("a cell")).await;
}

pub(crate) async fn the_same_without_shared_memory() {
    let host = Host::new();
    answered_and_not(&soon(spawn_without_shm(&host, "worker").start()).await.expect("a cell")).await;
}

/// The cell answers half of its calls and kills itself while this thread sleeps, so that nothing is taken in before.
async fn answered_and_not(cell: &Cell) {
    let process = Other::new(cell.pid().expect("it lives"));
    let calls = in_flight(&cell.client(), CROWD, |work| async move { work.gather().await }).await;
    process.wait();
    let died = Instant::now();
    let results = soon(calls.join_all()).await;
    println!("  {CROWD} calls ended {:?} after the death", died.elapsed());
    let mut answered: Vec<u64> = results.iter().filter_map(|result| result.clone().ok()).collect();
    answered.sort_unstable();
    assert_eq!(answered, (0..ANSWERED).collect::<Vec<_>>());
    let lost = results.iter().filter(|result| is_disconnected(result, &CloseReason::PeerDied)).count();
    assert_eq!(lost as u64, CROWD - ANSWERED);
    let report = soon(cell.deaths().next()).await.expect("a report");
    assert_eq!((report.incarnation, report.cause), (1, Cause::Signal(9)));
    assert_eq!(report.session, Some(CloseReason::PeerDied));
}

pub(crate) async fn killed_from_outside_with_calls_in_flight() {
    let host = Host::new();
    let cell = soon(spawn(&host, "worker").start()).await.expect("a cell");
    let work: WorkClient = cell.client();
    let answers = Arc::new(AtomicU64::new(0));
    let mut callers = JoinSet::new();
    for caller in 0..CROWD {
        let (work, answers) = (work.clone(), Arc::clone(&answers));
        callers.spawn(async move {
            loop {
                let call = answers.load(Ordering::Relaxed);
                match work.add(caller, call).await {
                    Ok(sum) => assert_eq!(sum, caller + call),
                    Err(CallError::Disconnected { reason: CloseReason::PeerDied, .. }) => break,
                    Err(other) => panic!("{other}"),
                }
                answers.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let process = Other::new(cell.pid().expect("it lives"));
    eventually("calls are answered", || answers.load(Ordering::Relaxed) > 1000).await;
    process.kill();
    let killed = Instant::now();
    soon(callers.join_all()).await;
    let (answers, took) = (answers.load(Ordering::Relaxed), killed.elapsed());
    println!("  after {answers} answers {CROWD} callers ended {took:?} after the kill");
    let late = soon(work.add(1, 2)).await.expect_err("it is dead");
    assert!(late.can_retry(), "{late}");
}

/// K1 and K2: nobody else would tell.
pub(crate) async fn a_frozen_cell_is_given_up() {
    let host = Host::new();
    for spawn in [spawn, spawn_without_shm] {
        let short = Duration::from_millis(50);
        let keepalive = Keepalive { silence: short, timeout: Duration::from_secs(2) };
        let spawn = spawn(&host, "worker").options(Options::new().keepalive(keepalive)).exit_deadline(short);
        let cell = soon(spawn.start()).await.expect("a cell");
        let process = Other::new(cell.pid().expect("it lives"));
        let work: WorkClient = cell.client();
        assert_eq!(soon(work.add(1, 2)).await, Ok(3));
        process.freeze();
        let lost = soon(work.add(1, 2)).await;
        assert!(is_disconnected(&lost, &CloseReason::Silent), "{lost:?}");
        let report = soon(cell.deaths().next()).await.expect("a report");
        assert_eq!(report.session, Some(CloseReason::Silent));
        assert!(matches!(report.cause, Cause::Signal(_)), "{report:?}");
        process.wait();
    }
}

pub(crate) async fn noticed_though_the_lifeline_stays_open() {
    let host = Host::new();
    for spawn in [spawn, spawn_without_shm] {
        let cell = soon(spawn(&host, "forker").start()).await.expect("a cell");
        let work: WorkClient = cell.client();
        assert_eq!(soon(work.add(1, 2)).await, Ok(3));
        let never = in_flight(&work, 1, |work| async move { work.never().await }).await;
        Other::new(cell.pid().expect("it lives")).kill();
        assert!(is_disconnected(&soon(never.join_all()).await[0], &CloseReason::PeerDied));
        let report = soon(cell.deaths().next()).await.expect("a report");
        assert_eq!(report.cause, Cause::Signal(9));
    }
}

pub(crate) async fn a_cell_that_closes_its_session_and_lives_on() {
    let host = Host::new();
    let spawn = spawn(&host, "lingerer").exit_deadline(Duration::from_millis(50));
    let cell = soon(spawn.start()).await.expect("a cell");
    let closing = soon(cell.client::<WorkClient>().close()).await;
    assert!(is_disconnected(&closing, &CloseReason::Goodbye), "{closing:?}");
    let SpawnError::Died(report) = soon(cell.ready()).await.expect_err("it is over") else {
        panic!("another")
    };
    assert_eq!((report.cause, &report.session), (Cause::Signal(15), &Some(CloseReason::Goodbye)));
}

pub(crate) async fn nothing_is_left_of_a_killed_cell() {
    let host = Host::new();
    // What a process has once and for all is there after the first.
    soon(spawn(&host, "worker").start()).await.expect("a cell").shutdown().await;
    let before = Resources::now();
    for spawn in [spawn, spawn_without_shm] {
        let cell = soon(spawn(&host, "worker").start()).await.expect("a cell");
        let work: WorkClient = cell.client();
        assert_eq!(soon(work.add(1, 2)).await, Ok(3));
        assert_ne!(Resources::now(), before);
        let calls = in_flight(&work, CROWD, |work| async move { work.never().await }).await;
        Other::new(cell.pid().expect("it lives")).kill();
        let killed = Instant::now();
        for result in soon(calls.join_all()).await {
            assert!(is_disconnected(&result, &CloseReason::PeerDied), "{result:?}");
        }
        println!("  {CROWD} calls ended {:?} after the kill", killed.elapsed());
        // Though both are still held.
        before.come_back().await;
        assert!(!before.has_mappings());
        drop((cell, work));
    }
}
