//! Cells that die and come back, and those that do not any more.

use std::fs;
use std::process::Command;
use std::time::Duration;

use transom::{CallError, Cause, Cell, Host, RestartPolicy, SpawnError};

use crate::cells::{WorkClient, program, spawn};
use crate::probe::{LIVENESS, Other, soon};

const FIRST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(10);

/// Kills the incarnation that runs and waits for its report.
async fn kill(cell: &Cell) {
    let incarnation = cell.incarnation();
    Other::new(cell.pid().expect("it lives")).kill();
    let mut deaths = cell.deaths();
    loop {
        let report = soon(deaths.next()).await.expect("a report");
        if report.incarnation == incarnation {
            assert_eq!(report.cause, Cause::Signal(9));
            return;
        }
    }
}

pub(crate) async fn always_until_the_budget_is_used_up() {
    let host = Host::new();
    let policy = RestartPolicy::always().backoff(FIRST, LONGEST).budget(3, LIVENESS);
    let cell = soon(spawn(&host, "worker").restart(policy).start()).await.expect("a cell");
    let mut pids = Vec::new();
    for incarnation in 1..=3 {
        let session = soon(cell.ready()).await.expect("ready again");
        assert_eq!(cell.incarnation(), incarnation);
        pids.extend(cell.pid());
        let work: WorkClient = session.client();
        assert_eq!(soon(work.add(1, incarnation)).await, Ok(1 + incarnation));
        kill(&cell).await;
        // A client of an incarnation never reaches the next.
        let late = soon(work.add(1, 2)).await.expect_err("it is dead");
        assert!(matches!(late, CallError::Disconnected { maybe_executed: false, .. }), "{late}");
    }
    soon(cell.ready()).await.expect("the last time");
    soon(cell.client::<WorkClient>().exit(3)).await.expect_err("it ends instead");
    let error = soon(cell.ready()).await.expect_err("it died too often");
    let SpawnError::GivenUp { restarts: 3, cause } = &error else { panic!("{error}") };
    assert!(matches!(&**cause, SpawnError::Died(report) if report.cause == Cause::Exit(3)), "{error}");
    assert_eq!(cell.pid(), None);
    pids.dedup();
    assert_eq!(pids.len(), 3);
    let mut deaths = cell.deaths();
    let mut told = Vec::new();
    while let Some(report) = soon(deaths.next()).await {
        told.push(report.incarnation);
    }
    assert_eq!(told, [1, 2, 3, 4]);
}

pub(crate) async fn on_demand_only() {
    let host = Host::new();
    let policy = RestartPolicy::on_demand().backoff(FIRST, LONGEST);
    let cell = soon(spawn(&host, "worker").restart(policy).start()).await.expect("a cell");
    kill(&cell).await;
    assert_eq!((cell.incarnation(), cell.pid()), (1, None));
    let (one, other) = tokio::join!(soon(cell.ready()), soon(cell.ready()));
    let work: WorkClient = one.expect("ready again").client();
    assert!(other.expect("ready again").is_open());
    assert_eq!(cell.incarnation(), 2);
    assert_eq!(soon(work.add(1, 2)).await, Ok(3));
}

pub(crate) async fn never() {
    let host = Host::new();
    let cell = soon(spawn(&host, "worker").start()).await.expect("a cell");
    kill(&cell).await;
    let error = soon(cell.ready()).await.expect_err("it is over");
    assert!(matches!(&error, SpawnError::Died(report) if report.incarnation == 1), "{error}");
    assert_eq!(cell.incarnation(), 1);
}

/// A cell that starts once: a second start finds the mark of the first.
fn once(mark: &std::path::Path) -> Command {
    let script = "if [ -e \"$1\" ]; then echo not again >&2; exit 4; fi; : > \"$1\"; exec \"$0\" worker";
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).arg(program().get_program()).arg(mark);
    command
}

pub(crate) async fn a_restart_that_fails_counts() {
    let mark = std::env::temp_dir().join(format!("transom-host-{}", std::process::id()));
    let host = Host::new();
    let policy = RestartPolicy::always().backoff(FIRST, LONGEST).budget(2, LIVENESS);
    let cell = soon(host.spawn(once(&mark)).restart(policy).start()).await.expect("a cell");
    kill(&cell).await;
    let error = soon(cell.ready()).await.expect_err("it starts once");
    fs::remove_file(&mark).expect("the mark");
    let SpawnError::GivenUp { restarts: 2, cause } = &error else { panic!("{error}") };
    let SpawnError::Died(report) = &**cause else { panic!("{error}") };
    assert_eq!((report.incarnation, report.cause, &report.session), (3, Cause::Exit(4), &None));
    assert_eq!(report.stderr_tail, ["not again"]);
}

pub(crate) async fn one_that_is_waited_for_can_be_shut_down() {
    let host = Host::new();
    // No time is too long.
    let policy = RestartPolicy::always().backoff(Duration::MAX, Duration::MAX);
    let worker = spawn(&host, "worker").restart(policy).start_deadline(Duration::MAX);
    let worker = worker.drain_deadline(Duration::MAX).exit_deadline(Duration::MAX);
    let cell = soon(worker.start()).await.expect("a cell");
    kill(&cell).await;
    let waiting = tokio::spawn({
        let cell = cell.clone();
        async move { cell.ready().await }
    });
    tokio::task::yield_now().await;
    soon(cell.shutdown()).await;
    let error = soon(waiting).await.expect("no panic").expect_err("it is shut down");
    assert!(matches!(error, SpawnError::ShutDown), "{error}");
}
