//! What is left of a session that has ended, though its clients are held: nothing mapped, nothing open.

mod common;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use common::{Echo, EchoBlockingClient, EchoClient, EchoServer, Place, Shout, ShoutServer};
use transom::{CallError, CallOptions, Client, Connector, Server, Session, Transport};

/// What this process has of what a session costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Resources {
    mappings: usize,
    sockets: usize,
    pipes: usize,
    memories: usize,
}

impl Resources {
    fn now() -> Self {
        let maps = fs::read_to_string("/proc/self/maps").expect("/proc");
        let descriptors: Vec<String> = fs::read_dir("/proc/self/fd")
            .expect("/proc")
            // One that was closed meanwhile is none.
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .map(|what| what.display().to_string())
            .collect();
        let count = |kind: &str| descriptors.iter().filter(|what| what.starts_with(kind)).count();
        Self {
            mappings: maps.lines().filter(|line| line.contains("memfd:transom")).count(),
            sockets: count("socket:"),
            pipes: count("pipe:"),
            memories: count("/memfd:transom"),
        }
    }

    /// Waits until no more is there than this.
    fn come_back(self, what: &str) {
        let until = Instant::now() + Duration::from_secs(20);
        while Self::now() != self {
            assert!(Instant::now() < until, "{what}: {:?} instead of {self:?}", Self::now());
            thread::yield_now();
        }
    }
}

/// Waits for the end of a session.
fn is_over(session: &Session) {
    let until = Instant::now() + Duration::from_secs(20);
    while session.is_open() {
        assert!(Instant::now() < until, "it goes on");
        thread::yield_now();
    }
}

/// Both sides of a session without a runtime, over what `address` says.
fn blocking(address: &str, serves: bool) -> (Session, Session) {
    let listener = Server::new(address, EchoServer::new(Echo)).bind_blocking().expect("a listener");
    let address = listener.address().clone();
    thread::scope(|scope| {
        let server = scope.spawn(|| listener.accept().expect("a session"));
        let connector = Connector::to(address);
        let connector = if serves { connector.serve(ShoutServer::new(Shout)) } else { connector };
        (connector.session_blocking().expect("a session"), server.join().expect("no panic"))
    })
}

/// Who ends a session, and how.
type End = (&'static str, fn(&Session, &Session));

const ENDS: [End; 3] = [
    ("the caller closes it", |caller, _| caller.close()),
    ("the other side closes it", |_, server| server.close()),
    ("the caller says goodbye", |caller, _| caller.goodbye()),
];

// One test: what a process has is one for all.
#[test]
fn nothing_is_left_of_a_session_though_its_clients_are() {
    let place = Place::new();
    let path = place.path().display().to_string();
    for (address, transport) in [
        (format!("shm:{path}"), Transport::Shm),
        (format!("unix:{path}"), Transport::Unix { fallback: None }),
        ("tcp:127.0.0.1:0".to_owned(), Transport::Tcp),
    ] {
        for end in ENDS {
            without_a_runtime(&address, &transport, end, true);
            // Nobody looks after one that only calls; its lifeline is watched where it has one, and over TCP it has a
            // thread.
            if end.0 != "the caller says goodbye" || transport != (Transport::Unix { fallback: None }) {
                without_a_runtime(&address, &transport, end, false);
            }
            in_a_runtime(&address, &transport, end);
        }
    }
}

fn without_a_runtime(address: &str, transport: &Transport, (end, ends): End, serves: bool) {
    let what = format!("{address}, blocking, {end}, serves: {serves}");
    let before = Resources::now();
    let (caller, server) = blocking(address, serves);
    assert_eq!(caller.transport(), *transport);
    let (echo, held) = (caller.client::<EchoBlockingClient>(), server.clone());
    assert_eq!(echo.echo(b"x"), Ok(b"x".to_vec()));
    assert_ne!(Resources::now(), before);
    thread::scope(|scope| {
        // Threads that sleep on the link at that moment, or are about to.
        let hasty = || echo.with(CallOptions::new().deadline(Duration::from_millis(50))).never();
        let calls: Vec<_> = (0..3).map(|_| scope.spawn(hasty)).collect();
        (0..100).for_each(|_| assert_eq!(echo.echo(b"x"), Ok(b"x".to_vec())));
        ends(&caller, &server);
        calls.into_iter().for_each(|call| assert!(call.join().expect("no panic").is_err()));
    });
    is_over(&caller);
    is_over(&held);
    before.come_back(&what);
    assert!(matches!(echo.echo(b"x"), Err(CallError::Disconnected { .. })));
    assert_eq!(echo.session().transport(), *transport);
}

fn in_a_runtime(address: &str, transport: &Transport, (end, ends): End) {
    let what = format!("{address}, tokio, {end}");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let before = Resources::now();
    let (caller, server) = runtime.block_on(async {
        let mut listener = Server::new(address, EchoServer::new(Echo)).bind().expect("a listener");
        let connector = Connector::to(listener.address().clone());
        let (caller, server) = tokio::join!(connector.session(), listener.accept());
        (caller.expect("a session"), server.expect("a session"))
    });
    assert_eq!(caller.transport(), *transport);
    let echo = caller.client::<EchoClient>();
    assert_eq!(runtime.block_on(async { echo.echo(b"x").await }), Ok(b"x".to_vec()));
    assert_ne!(Resources::now(), before);
    ends(&caller, &server);
    runtime.block_on(async { (caller.closed().await, server.closed().await) });
    before.come_back(&what);
    let late = runtime.block_on(async { echo.echo(b"x").await });
    assert!(matches!(late, Err(CallError::Disconnected { .. })), "{late:?}");
}
