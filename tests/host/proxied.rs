//! A cell in shared memory, reached over a socket through its host: three processes.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ExitCode, Stdio};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use transom::proxy::Forward;
use transom::tunnel::tunnel_pair;
use transom::{CallError, CloseReason, Connector, Host, RecvError, Server, Transport, channel};

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
    let path = std::env::temp_dir().join(format!("transom-proxied-{}.sock", std::process::id()));
    through_the_host(&format!("unix:{}", path.display())).await;
    assert!(!path.exists(), "its listener has removed it");
}

pub(crate) async fn over_tcp() {
    through_the_host("tcp:127.0.0.1:0").await;
}

async fn through_the_host(address: &str) {
    let mut command = program();
    command.args([PROXY, address]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut host = command.spawn().expect("a host");
    let mut lines = BufReader::new(host.stdout.take().expect("a pipe")).lines();
    let mut line = || lines.next().expect("an address and a cell").expect("text");
    let (address, cell) = (line(), Other::new(line().parse().expect("a process")));
    let session = soon(Connector::new(&address).session()).await.expect("a session");
    assert!(address.starts_with(&session.transport().to_string()), "{address}");
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

/// What goes through the host does not stay there, whether it is read or not.
async fn a_stream_in_flat_memory(work: &WorkClient, host: &Child) {
    const BYTES: u64 = 100 << 20;
    const SLACK: u64 = 8 << 20;
    let mut before = 0;
    // The first time for the buffers that are kept, the second time for the count.
    for bytes in [BYTES / 10, BYTES] {
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
    println!("  the host has {before} bytes before {BYTES} have gone through it, and {after} after");
    assert!(after < before + SLACK, "{before} bytes before, {after} after");
}
