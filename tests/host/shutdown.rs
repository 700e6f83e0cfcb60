//! Ends that are polite first.

use std::time::Duration;

use transom::{CallError, Cause, Cell, CloseReason, DeathReport, Host, SpawnError};

use crate::cells::{AtHome, HomeServer, WorkClient, in_flight, spawn, spawn_without_shm};
use crate::probe::{LIVENESS, has_children, soon};

const BRIEF: Duration = Duration::from_millis(100);

/// Shuts the cell down and says how it ended.
async fn shut_down(cell: &Cell) -> DeathReport {
    soon(cell.shutdown()).await;
    assert_eq!(cell.pid(), None);
    let error = soon(cell.ready()).await.expect_err("it is shut down");
    assert!(matches!(error, SpawnError::ShutDown), "{error}");
    let mut deaths = cell.deaths();
    let report = soon(deaths.next()).await.expect("a report");
    assert!(soon(deaths.next()).await.is_none());
    report
}

pub(crate) async fn a_call_in_flight_finishes() {
    let host = Host::new();
    for spawn in [spawn, spawn_without_shm] {
        let home = AtHome::default();
        let spawn = spawn(&host, "worker").serve(HomeServer::new(home.clone())).drain_deadline(LIVENESS);
        let cell = soon(spawn.start()).await.expect("a cell");
        let work: WorkClient = cell.client();
        let outlasting = in_flight(&cell.client(), 1, |work| async move { work.outlast().await }).await;
        soon(home.cell_has_begun()).await;
        let report = shut_down(&cell).await;
        assert_eq!(soon(outlasting.join_all()).await, [Ok(42)]);
        assert_eq!((report.cause, report.session), (Cause::Exit(0), Some(CloseReason::Local)));
        let late = soon(work.add(1, 2)).await.expect_err("no new calls");
        assert!(matches!(late, CallError::Disconnected { maybe_executed: false, .. }), "{late}");
    }
}

pub(crate) async fn a_call_that_never_ends_is_cut_off() {
    let host = Host::new();
    let cell = soon(spawn(&host, "worker").drain_deadline(BRIEF).start()).await.expect("a cell");
    let never = in_flight(&cell.client(), 1, |work| async move { work.never().await }).await;
    assert_eq!(shut_down(&cell).await.cause, Cause::Exit(0));
    let cut = CallError::Disconnected { reason: CloseReason::Local, maybe_executed: true };
    assert_eq!(soon(never.join_all()).await, [Err(cut)]);
}

pub(crate) async fn time_to_clean_up() {
    let host = Host::new();
    let cell = soon(spawn(&host, "cleaner").exit_deadline(LIVENESS).start()).await.expect("a cell");
    assert_eq!(shut_down(&cell).await.cause, Cause::Exit(5));
}

pub(crate) async fn a_cell_that_lingers_is_asked_to_end() {
    let host = Host::new();
    let cell = soon(spawn(&host, "lingerer").exit_deadline(BRIEF).start()).await.expect("a cell");
    assert_eq!(shut_down(&cell).await.cause, Cause::Signal(15));
}

pub(crate) async fn a_stubborn_cell_is_killed() {
    let host = Host::new();
    let cell = soon(spawn(&host, "stubborn").exit_deadline(BRIEF).start()).await.expect("a cell");
    assert_eq!(shut_down(&cell).await.cause, Cause::Signal(9));
    // One that is too busy to hear of the goodbye.
    let home = AtHome::default();
    let spawn = spawn(&host, "stubborn").serve(HomeServer::new(home.clone()));
    let cell = soon(spawn.drain_deadline(BRIEF).exit_deadline(BRIEF).start()).await.expect("a cell");
    let spinning = in_flight(&cell.client(), 1, |work| async move { work.spin().await }).await;
    soon(home.cell_has_begun()).await;
    assert_eq!(shut_down(&cell).await.cause, Cause::Signal(9));
    assert!(soon(spinning.join_all()).await[0].is_err());
}

pub(crate) async fn all_cells_of_a_host_at_once() {
    let host = Host::new();
    let mut cells = Vec::new();
    for spawn in [spawn, spawn_without_shm, spawn] {
        cells.push(soon(spawn(&host, "worker").start()).await.expect("a cell"));
    }
    // One is on its way only.
    let late = tokio::spawn(host.spawn(std::process::Command::new("cat")).start());
    tokio::task::yield_now().await;
    soon(host.shutdown()).await;
    assert!(!has_children());
    let error = soon(late).await.expect("no panic").expect_err("it is shut down");
    assert!(matches!(error, SpawnError::ShutDown), "{error}");
    for cell in &cells {
        let report = soon(cell.deaths().next()).await.expect("a report");
        assert_eq!((report.cause, report.session), (Cause::Exit(0), Some(CloseReason::Local)));
    }
}
