//! A cell in shared memory, reached over a socket through its host: three processes.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ExitCode, Stdio};
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use transom::proxy::Forward;
use transom::tunnel::tunnel_pair;
use transom::{CallError, CloseReason, Connector, Host, RecvError, Server, Session, Transport, channel};

use crate::cells::{WorkClient, program, spawn};
use crate::probe::{Other, resident, soon};
use crate::runner;

/// The argument that makes this program a host that passes on to its cell what comes to an address.
pub(crate) const PROXY: &str = "--proxy";

/// The host. It ends when its standard input does.
pub(crate) fn host() -> ExitCode {
    runner::block_on(async {
        let address = std::env::args().nth(2).expect("an address");
        let host = Host::new();
        let cell = soon(spawn(&host, "worker").start()).await.expect("a cell");
        assert_eq!(cell.session().transport(), Transport::Shm);
        let listener = Server::new(&address, Forward::to(cell.session().root())).bind().expect("a listener");
        println!("{}\n{}", listener.address(), cell.pid().expect("it lives"));
        tokio::select! {
            served = listener.run() => panic!("{served:?}"),
            ended = async { tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await } => {
                ended.expect("a pipe");
            }
        }
        host.shutdown().await;
    });
    ExitCode::SUCCESS
}

pub(crate) async fn over_a_socket() {
    let place = Place::new();
    through_the_host(&format!("unix:{}", place.0.display())).await;
}

pub(crate) async fn over_tcp() {
    through_the_host("tcp:127.0.0.1:0").await;
}

/// Says how long calls take through the host, beside those that the host makes itself.
pub(crate) async fn one_after_the_other() {
    let own = Host::new();
    let direct = soon(spawn(&own, "worker").start()).await.expect("a cell");
    let place = Place::new();
    let Chain { mut host, session, .. } = Chain::new(&format!("shm:{}", place.0.display())).await;
    let (direct, proxied): (WorkClient, WorkClient) = (direct.client(), session.client());
    let mut took = [direct, proxied].map(|work| (work, Vec::new()));
    for _ in 0..20 {
        for (work, took) in &mut took {
            for n in 0..200 {
                let begun = Instant::now();
                assert_eq!(work.add(n, 1).await, Ok(n + 1));
                took.push(begun.elapsed());
            }
        }
    }
    let [direct, proxied] = took.map(|(_, mut took)| {
        took.sort_unstable();
        took[took.len() / 2]
    });
    println!("  a call takes {direct:?}, and {proxied:?} through the host");
    drop(host.stdin.take());
    assert!(host.wait().expect("a child").success());
}

/// A host, its cell, and a session with the host.
struct Chain {
    host: Child,
    cell: Other,
    session: Session,
}

impl Chain {
    async fn new(address: &str) -> Self {
        let mut command = program();
        command.args([PROXY, address]).env_remove("TRANSOM_SHM");
        let mut host = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a host");
        let mut lines = BufReader::new(host.stdout.take().expect("a pipe")).lines();
        let mut line = || lines.next().expect("an address and a cell").expect("text");
        let (address, cell) = (line(), Other::new(line().parse().expect("a process")));
        let session = soon(Connector::new(&address).session()).await.expect("a session");
        assert!(address.starts_with(&session.transport().to_string()), "{address}");
        Self { host, cell, session }
    }
}

/// A socket's path, and that nothing is left there.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("transom-proxied-{}.sock", std::process::id())))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        assert!(std::thread::panicking() || !self.0.exists(), "its listener has removed it");
    }
}

async fn through_the_host(address: &str) {
    let Chain { mut host, cell, session } = Chain::new(address).await;
    let work: WorkClient = session.client();

    soon(calls_and_channels(&work)).await;
    soon(a_tunnel(&work)).await;
    soon(a_stream_in_flat_memory(&work, &host)).await;

    // The cell dies; whoever called it learns that it was the cell.
    let (out, mut pours) = channel();
    let pouring = tokio::spawn({
        let work = work.clone();
        async move { work.pour(u64::MAX, out).await }
    });
    assert!(soon(pours.recv()).await.expect("it comes").is_some());
    cell.kill();
    let lost = |maybe_executed| CallError::Upstream { reason: CloseReason::PeerDied, maybe_executed };
    assert_eq!(soon(pouring).await.expect("no panic"), Err(lost(true)));
    let ended = soon(async {
        loop {
            if let Err(error) = pours.recv().await {
                break error;
            }
        }
    });
    assert_eq!(ended.await, RecvError::Reset);
    assert_eq!(soon(work.add(1, 2)).await, Err(lost(false)));
    assert!(session.is_open(), "the host is well");

    drop(host.stdin.take());
    assert!(host.wait().expect("a child").success());
}

async fn calls_and_channels(work: &WorkClient) {
    assert_eq!(work.add(1, 2).await, Ok(3));
    assert_eq!(work.relay("both ways").await.as_deref(), Ok("BOTH WAYS"));
    let (out, mut numbers) = channel();
    let count = tokio::spawn({
        let work = work.clone();
        async move { work.count(10_000, out).await }
    });
    for number in 0..10_000 {
        assert_eq!(numbers.recv().await, Ok(Some(number)));
    }
    assert_eq!((numbers.recv().await, count.await.expect("no panic")), (Ok(None), Ok(10_000)));
}

/// From a socket here to the cell and back.
async fn a_tunnel(work: &WorkClient) {
    let (near, far) = tunnel_pair();
    let echo = tokio::spawn({
        let work = work.clone();
        async move { work.echo(far).await }
    });
    let (mut here, there) = tokio::net::UnixStream::pair().expect("sockets");
    let pump = tokio::spawn(near.pump(there));
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n >> 4) as u8).collect();
    let (mut input, mut output) = here.split();
    let mut back = Vec::new();
    let writing = async {
        output.write_all(&sent).await?;
        output.shutdown().await
    };
    let (written, read) = tokio::join!(writing, input.read_to_end(&mut back));
    written.and(read).expect("no socket fails");
    assert!(back == sent);
    let copied = pump.await.expect("no panic").expect("both ended");
    assert_eq!((copied.sent, copied.received), (1_000_000, 1_000_000));
    assert_eq!(echo.await.expect("no panic"), Ok(1_000_000));
}

/// How much is streamed, in MiB. More on demand: `TRANSOM_STREAMED_MIB=1024 cargo test --release --test host proxied`.
fn streamed() -> u64 {
    std::env::var("TRANSOM_STREAMED_MIB").ok().and_then(|mib| mib.parse().ok()).unwrap_or(100)
}

/// What goes through the host does not stay there, whether it is read or not.
async fn a_stream_in_flat_memory(work: &WorkClient, host: &Child) {
    const SLACK: u64 = 8 << 20;
    let bytes = streamed() << 20;
    let mut before = 0;
    // The first time for the buffers that are kept, the second time for the count.
    for bytes in [bytes / 10, bytes] {
        before = before.max(resident(host.id()));
        let (out, mut pours) = channel();
        let pouring = tokio::spawn({
            let work = work.clone();
            async move { work.pour(bytes, out).await }
        });
        for _ in 0..100 {
            assert_eq!(work.add(1, 2).await, Ok(3), "nobody reads, and nobody waits for that");
        }
        let mut received = 0;
        while let Some(piece) = pours.recv().await.expect("they come") {
            received += piece.len() as u64;
        }
        assert_eq!((received, pouring.await.expect("no panic")), (bytes, Ok(())));
    }
    let after = resident(host.id());
    println!("  the host has {before} bytes before {bytes} have gone through it, and {after} after");
    assert!(after < before + SLACK, "{before} bytes before, {after} after");
}
