//! What the cells of the tests do, and what their host serves them.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::pin::pin;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::process::Signal;
use tokio::io::AsyncWriteExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use transom::cell::{self, CellError};
use transom::tunnel::Tunnel;
use transom::{CallError, CloseReason, Context, Host, Spawn, Tx};

/// Calls that [`Work::gather`] waits for.
pub(crate) const CROWD: u64 = 64;
/// Those of them that it answers.
pub(crate) const ANSWERED: u64 = 32;

/// Makes `count` calls, and returns when all are on their way.
pub(crate) async fn in_flight<T, F>(
    work: &WorkClient,
    count: u64,
    call: impl Fn(WorkClient) -> F,
) -> JoinSet<Result<T, CallError>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, CallError>> + Send + 'static,
{
    let polled = Arc::new(AtomicU64::new(0));
    let mut calls = JoinSet::new();
    for _ in 0..count {
        let (call, polled) = (call(work.clone()), Arc::clone(&polled));
        calls.spawn(async move {
            // Within the poll that sends the call.
            polled.fetch_add(1, Ordering::Relaxed);
            call.await
        });
    }
    while polled.load(Ordering::Relaxed) < count {
        tokio::task::yield_now().await;
    }
    calls
}

/// What [`Work::pour`] sends at a time.
const PIECE: u64 = 20_000;

/// The code with which a cell exits that is told that its host is gone.
pub(crate) const HOST_GONE: u8 = 9;

/// The argument that makes this program hold its standard input open, a lifeline, until the other end is closed.
pub(crate) const HOLDER: &str = "--hold";

/// What cells serve.
#[transom::service]
pub(crate) trait Work {
    async fn add(&self, a: u64, b: u64) -> u64;
    /// What the host makes of the text.
    async fn relay(&self, cx: &Context, text: &str) -> String;
    /// The process that the cell takes for its host.
    async fn host(&self, cx: &Context) -> Option<u32>;
    /// Waits until [`CROWD`] calls have come, answers the first [`ANSWERED`] of them, and then kills its process.
    async fn gather(&self) -> u64;
    /// No answer.
    async fn never(&self);
    /// Answers only when the host has said goodbye.
    async fn outlast(&self, cx: &Context) -> u64;
    /// Tells the host that it has begun, and never leaves the processor again.
    async fn spin(&self, cx: &Context);
    /// Writes to standard output and standard error.
    async fn say(&self, line: &str);
    /// Ends the process.
    async fn exit(&self, code: i32);
    /// Ends the session, and only that.
    async fn close(&self, cx: &Context);
    /// Sends the numbers below `to`; how many those were.
    async fn count(&self, to: u64, out: Tx<u64>) -> u64;
    /// Sends so many bytes, in pieces.
    async fn pour(&self, bytes: u64, out: Tx<Vec<u8>>);
    /// Sends back what comes; how many bytes that was.
    async fn echo(&self, tunnel: Tunnel) -> u64;
}

/// What the host serves its cells.
#[transom::service]
pub(crate) trait Home {
    async fn upper(&self, text: &str) -> String;
    /// The cell does what it was asked to.
    async fn begun(&self);
}

/// A [`Home`].
#[derive(Clone, Default)]
pub(crate) struct AtHome {
    begun: Arc<Notify>,
}

impl AtHome {
    /// Waits until a cell has begun.
    pub(crate) async fn cell_has_begun(&self) {
        self.begun.notified().await;
    }
}

impl Home for AtHome {
    async fn upper(&self, text: &str) -> String {
        text.to_uppercase()
    }

    async fn begun(&self) {
        self.begun.notify_one();
    }
}

/// This program.
pub(crate) fn program() -> Command {
    Command::new(std::env::current_exe().expect("a path"))
}

/// A cell of the kind, served a [`Home`]; with shared memory, whatever the environment says.
pub(crate) fn spawn(host: &Host, kind: &str) -> Spawn {
    let mut command = program();
    command.arg(kind).env_remove("TRANSOM_SHM");
    host.spawn(command).name(kind).serve(HomeServer::new(AtHome::default()))
}

/// The same without shared memory.
pub(crate) fn spawn_without_shm(host: &Host, kind: &str) -> Spawn {
    let mut command = program();
    command.arg(kind).env("TRANSOM_SHM", "off");
    host.spawn(command).name(kind).serve(HomeServer::new(AtHome::default()))
}

/// The main of what holds a lifeline, and does not read from it.
pub(crate) fn hold() -> ExitCode {
    let lifeline = io::stdin();
    let mut watched = [PollFd::new(&lifeline, PollFlags::RDHUP)];
    rustix::event::poll(&mut watched, None).expect("a socket can be polled");
    ExitCode::SUCCESS
}

/// A cell's main. Its handlers run in turn, on one thread.
pub(crate) fn main() -> ExitCode {
    let kind = std::env::args().nth(1).expect("a kind of cell");
    let ended = if kind == "blocking" {
        cell::run_blocking(WorkServer::new(Worker::default())).map(|()| ExitCode::SUCCESS)
    } else {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(run(&kind))
    };
    match ended {
        Ok(code) => code,
        Err(CellError::HostGone) => ExitCode::from(HOST_GONE),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(kind: &str) -> Result<ExitCode, CellError> {
    let work = WorkServer::new(Worker::default());
    match kind {
        "worker" => cell::run(work).await?,
        "forker" => {
            let lifeline = io::stdin().as_fd().try_clone_to_owned().expect("the lifeline");
            let mut holder = program();
            holder.arg(HOLDER).stdin(lifeline).stdout(Stdio::null()).stderr(Stdio::null());
            let mut holder = holder.spawn().expect("a process");
            let ended = cell::run(work).await;
            holder.wait().expect("a child");
            ended?;
        }
        "cleaner" => {
            // It takes longer over its end than it would be granted if its host were gone.
            let served = cell::Builder::new(work).grace(Duration::from_millis(1)).run().await;
            std::thread::sleep(Duration::from_millis(100));
            served?;
            return Ok(ExitCode::from(5));
        }
        "lingerer" => {
            cell::run(work).await?;
            std::future::pending::<()>().await;
        }
        "stubborn" => {
            let mut asked = signal(SignalKind::terminate()).expect("a handler");
            let attached = cell::attach(work).await?;
            let ended = attached.ended().await;
            while asked.recv().await.is_some() {}
            ended?;
        }
        other => panic!("no such cell: {other}"),
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Default)]
struct Worker {
    gathered: AtomicU64,
    complete: Notify,
}

impl Work for Worker {
    async fn add(&self, a: u64, b: u64) -> u64 {
        a + b
    }

    async fn relay(&self, cx: &Context, text: &str) -> String {
        cx.client::<HomeClient>().upper(text).await.unwrap_or_else(|error| error.to_string())
    }

    async fn host(&self, cx: &Context) -> Option<u32> {
        cx.session().peer().pid
    }

    async fn gather(&self) -> u64 {
        let place = self.gathered.fetch_add(1, Ordering::Relaxed);
        if place + 1 == CROWD {
            self.complete.notify_waiters();
            // Tasks run in the order in which they were woken: those that answer come before this one.
            tokio::spawn(async {
                tokio::task::yield_now().await;
                rustix::process::kill_process(rustix::process::getpid(), Signal::KILL).expect("itself");
            });
        } else {
            self.complete.notified().await;
        }
        if place >= ANSWERED {
            std::future::pending::<()>().await;
        }
        place
    }

    async fn never(&self) {
        std::future::pending().await
    }

    async fn outlast(&self, cx: &Context) -> u64 {
        let home: HomeClient = cx.client();
        loop {
            match home.begun().await {
                Ok(()) => {}
                Err(CallError::Disconnected { reason: CloseReason::Goodbye, .. }) => return 42,
                Err(error) => panic!("{error}"),
            }
        }
    }

    async fn spin(&self, cx: &Context) {
        let home: HomeClient = cx.client();
        let mut call = pin!(home.begun());
        // From here on the processor is not given up, whether or not there is an answer already.
        let _sent = call.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop()));
        loop {
            std::hint::spin_loop();
        }
    }

    async fn say(&self, line: &str) {
        println!("{line} out");
        eprintln!("{line} err");
        io::stdout().flush().expect("a host that listens");
    }

    #[expect(clippy::disallowed_methods, reason = "a process that ends in the middle of a call is the point")]
    async fn exit(&self, code: i32) {
        std::process::exit(code)
    }

    async fn close(&self, cx: &Context) {
        cx.session().close();
    }

    async fn count(&self, to: u64, out: Tx<u64>) -> u64 {
        out.send_all(0..to).await.map_or_else(|error| error.sent, |()| to)
    }

    async fn pour(&self, bytes: u64, out: Tx<Vec<u8>>) {
        let mut left = bytes;
        while left > 0 {
            let piece = vec![7; left.min(PIECE) as usize];
            left -= piece.len() as u64;
            if out.send(piece).await.is_err() {
                return;
            }
        }
    }

    async fn echo(&self, tunnel: Tunnel) -> u64 {
        let (mut input, mut output) = tokio::io::split(tunnel.into_stream());
        let copied = tokio::io::copy(&mut input, &mut output).await.expect("a tunnel");
        output.shutdown().await.expect("a tunnel");
        copied
    }
}
