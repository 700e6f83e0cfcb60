//! The host dies: so do its cells, busy ones too.

use std::io::{BufRead as _, BufReader};
use std::process::{ExitCode, Stdio};
use std::time::Instant;

use rustix::process::{Resource, Rlimit, Signal};
use transom::Host;

use crate::cells::{AtHome, HOST_GONE, HomeServer, WorkClient, program, spawn, spawn_without_shm};
use crate::probe::{Other, soon};
use crate::runner;

/// The argument that makes this program a host with three cells, the last of them busy, whose process numbers it prints.
pub(crate) const MIDDLE: &str = "--host-to-kill";

pub(crate) async fn cells_go_with_their_host() {
    kill_the_host("shm");
}

pub(crate) async fn cells_go_with_their_host_without_shared_memory() {
    kill_the_host("unix");
}

fn kill_the_host(transport: &str) {
    // Orphans become this process's, so that it learns how they ended.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).expect("it may");
    let mut command = program();
    command.args([MIDDLE, transport]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut middle = command.spawn().expect("a host");
    let mut lines = BufReader::new(middle.stdout.take().expect("a pipe")).lines();
    let mut cell = || {
        let line = lines.next().expect("three cells").expect("text");
        Other::new(line.parse().expect("a process"))
    };
    let (idle, blocking, busy) = (cell(), cell(), cell());
    assert!(idle.is_alive() && blocking.is_alive() && busy.is_alive());
    middle.kill().expect("it lives");
    let killed = Instant::now();
    idle.wait();
    blocking.wait();
    let idle_took = killed.elapsed();
    busy.wait();
    let busy_took = killed.elapsed();
    println!("  {transport}: the idle cells ended {idle_took:?} after its host, the busy one {busy_took:?}");
    middle.wait().expect("a child");
    for idle in [idle, blocking] {
        assert_eq!(idle.reap().exit_status(), Some(HOST_GONE.into()), "it was told");
    }
    assert_eq!(busy.reap().terminating_signal(), Some(Signal::ABORT.as_raw()), "it was not asked");
    rustix::process::set_child_subreaper(None).expect("it may");
}

/// The host that is to be killed. It ends by itself if whoever is to kill it is gone.
pub(crate) fn middle() -> ExitCode {
    // Its busy cell will be aborted, and is not to leave its memory in a file.
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, none).expect("less is always granted");
    runner::block_on(async {
        let spawn =
            if std::env::args().any(|argument| argument == "unix") { spawn_without_shm } else { spawn };
        let host = Host::new();
        let idle = soon(spawn(&host, "worker").start()).await.expect("a cell");
        let blocking = soon(spawn(&host, "blocking").start()).await.expect("a cell");
        let home = AtHome::default();
        let busy = spawn(&host, "worker").serve(HomeServer::new(home.clone()));
        let busy = soon(busy.start()).await.expect("a cell");
        let work: WorkClient = busy.client();
        let spinning = tokio::spawn(async move { work.spin().await });
        soon(home.cell_has_begun()).await;
        for cell in [&idle, &blocking, &busy] {
            println!("{}", cell.pid().expect("it lives"));
        }
        tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await.expect("a pipe");
        spinning.abort();
    });
    ExitCode::SUCCESS
}
