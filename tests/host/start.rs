//! Starts that succeed, and those that fail and leave nothing.

use std::io::ErrorKind;
use std::process::Command;
use std::time::Duration;

use transom::cell::{self, CellError};
use transom::{Cause, DeathReport, HandoverError, Host, InheritError, OpenError, SpawnError, Transport};

use crate::cells::{WorkClient, program, spawn};
use crate::probe::{self, LIVENESS, Resources, soon};

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command
}

/// Starts what must fail, and sees to it that nothing is left.
async fn fails(host: &Host, command: Command, deadline: Duration) -> SpawnError {
    let before = Resources::now();
    let started = soon(host.spawn(command).name("failing").start_deadline(deadline).start()).await;
    let error = started.expect_err("it cannot start");
    assert!(!probe::has_children());
    before.come_back().await;
    error
}

pub(crate) async fn a_cell_is_ready_and_knows_its_host() {
    let host = Host::new();
    let cell = soon(spawn(&host, "worker").start()).await.expect("a cell");
    assert_eq!((cell.name(), cell.incarnation()), ("worker", 1));
    let session = soon(cell.ready()).await.expect("ready at once");
    assert_eq!(session.transport(), Transport::Shm);
    assert_eq!(session.peer().pid, cell.pid());
    assert_eq!(soon(session.client::<WorkClient>().host()).await, Ok(Some(std::process::id())));
}

pub(crate) async fn a_program_that_does_not_exist() {
    let error = fails(&Host::new(), Command::new("/nonexistent/program"), LIVENESS).await;
    let SpawnError::Program(source) = &error else { panic!("{error}") };
    assert_eq!(source.kind(), ErrorKind::NotFound);
}

pub(crate) async fn a_program_that_ends_at_once() {
    let error = fails(&Host::new(), shell("echo out of luck >&2; exit 7"), LIVENESS).await;
    let SpawnError::Died(report) = &error else { panic!("{error}") };
    let DeathReport { incarnation, cause, session, stderr_tail, .. } = &**report;
    assert_eq!((*incarnation, *cause, session), (1, Cause::Exit(7), &None));
    assert_eq!(*stderr_tail, ["out of luck"]);
    assert!(error.to_string().contains("out of luck"), "{error}");
}

pub(crate) async fn a_program_that_never_attaches() {
    let deadline = Duration::from_millis(200);
    let error = fails(&Host::new(), shell("echo $$ >&2; exec sleep 1000"), deadline).await;
    let SpawnError::Late { report, .. } = &error else { panic!("{error}") };
    assert_eq!(report.cause, Cause::Signal(9));
    let pid = report.stderr_tail.first().expect("its number").parse().expect("a number");
    assert!(!probe::exists(pid), "it lives on");
}

pub(crate) async fn a_wrong_ticket() {
    let mut command =
        shell("export TRANSOM_CELL_TICKET=00000000000000000000000000000001; exec \"$0\" worker");
    command.arg(program().get_program());
    let error = fails(&Host::new(), command, LIVENESS).await;
    let SpawnError::Open { error: cause, report } = &error else { panic!("{error}") };
    assert!(matches!(**cause, OpenError::Handover(HandoverError::Ticket)), "{cause}");
    // It was told, and ended by itself.
    assert_eq!(report.cause, Cause::Exit(1));
    assert!(report.stderr_tail.iter().any(|line| line.contains("refused")), "{error}");
}

pub(crate) async fn a_start_that_is_dropped_leaves_nothing() {
    let before = Resources::now();
    let host = Host::new();
    let start = host.spawn(shell("exec sleep 1000")).start();
    tokio::time::timeout(Duration::from_millis(50), start).await.expect_err("it never attaches");
    probe::eventually("the process is reaped", || !probe::has_children()).await;
    before.come_back().await;
}

pub(crate) async fn no_cell_without_a_host() {
    assert!(!cell::is_cell());
    let error = cell::run(()).await.expect_err("no host started this process");
    assert!(matches!(error, CellError::Inherit(InheritError::NotACell)), "{error}");
}

pub(crate) async fn a_host_that_is_shut_down_starts_nothing() {
    let host = Host::new();
    host.shutdown().await;
    let error = spawn(&host, "worker").start().await.expect_err("it is shut down");
    assert!(matches!(error, SpawnError::ShutDown), "{error}");
}
