//! Waiting for a service that is not there yet, and not for what will never be.

mod common;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use common::{Echo, EchoBlockingClient, EchoClient, EchoServer, Place};
use tokio::runtime::Builder;
use transom::{
    Access, Address, CloseReason, ConnectError, Connector, HandoverError, OpenError, Options, Refusal,
    Refused, RejectReason, Server, Side,
};

/// Longer than anything takes here, and shorter than what is waited for in vain.
const PATIENCE: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(3600);

/// What listens at an address before the service does: it takes one connection and leaves.
fn leaves(address: &str, place: &Place) -> (Address, Box<dyn FnOnce() + Send>) {
    if address == "tcp" {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().into();
        return (address, Box::new(move || drop(listener.accept().unwrap())));
    }
    let listener = UnixListener::bind(place.path()).unwrap();
    let address = format!("{address}:{}", place.path().display()).parse().unwrap();
    (address, Box::new(move || drop(listener.accept().unwrap())))
}

#[test]
fn a_service_that_comes_later_is_found() {
    for scheme in ["shm", "unix", "tcp"] {
        let place = Place::new();
        let (address, leaves) = leaves(scheme, &place);
        thread::scope(|scope| {
            let connector = Connector::to(address.clone()).wait_for_service(LONG);
            let connecting = scope.spawn(move || connector.connect_blocking::<EchoBlockingClient>().unwrap());
            // The first attempt has failed for sure.
            leaves();
            let listener = Server::new(&address.to_string(), EchoServer::new(Echo)).bind_blocking().unwrap();
            let _server = listener.accept().unwrap();
            assert_eq!(connecting.join().unwrap().echo(b"x"), Ok(b"x".to_vec()));
        });
    }
}

#[tokio::test]
async fn a_task_finds_a_service_that_comes_later() {
    for scheme in ["shm", "unix", "tcp"] {
        let place = Place::new();
        let (address, leaves) = leaves(scheme, &place);
        let connector = Connector::to(address.clone()).wait_for_service(LONG);
        let connecting = tokio::spawn(connector.connect::<EchoClient>());
        tokio::task::spawn_blocking(leaves).await.unwrap();
        let mut listener = Server::new(&address.to_string(), EchoServer::new(Echo)).bind().unwrap();
        let _server = listener.accept().await.unwrap();
        assert_eq!(connecting.await.unwrap().unwrap().echo(b"x").await.unwrap(), b"x");
    }
}

#[tokio::test(start_paused = true)]
async fn an_absent_service_is_waited_for_as_long_as_was_said_and_no_longer() {
    let place = Place::new();
    let begun = tokio::time::Instant::now();
    for address in [format!("unix:{}", place.path().display()), "mem:waiting::absent".to_owned()] {
        let begun = tokio::time::Instant::now();
        let absent = Connector::new(&address).wait_for_service(LONG).session().await.unwrap_err();
        assert!(matches!(absent, ConnectError::Absent { .. }), "{absent}");
        // The clock of a runtime counts milliseconds.
        let waited = begun.elapsed();
        assert!(waited >= LONG && waited < LONG + Duration::from_secs(1), "{waited:?}");
    }
    // One that comes late is found, within this process, so that nobody waits for anything but time.
    let serving = tokio::spawn(async move {
        tokio::time::sleep(LONG / 2).await;
        let mut listener = Server::new("mem:waiting::late", EchoServer::new(Echo)).bind().unwrap();
        listener.accept().await.unwrap()
    });
    let late = Connector::new("mem:waiting::late").wait_for_service(LONG).connect::<EchoClient>();
    let echo = late.await.unwrap();
    let _server = serving.await.unwrap();
    assert_eq!(echo.echo(b"x").await.unwrap(), b"x");
    assert!(begun.elapsed() > 2 * LONG);
}

#[test]
fn the_time_there_is_bounds_an_attempt() {
    let place = Place::new();
    let path = UnixListener::bind(place.path()).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let addresses = [Address::Unix(place.path()), tcp.local_addr().unwrap().into()];
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    for address in addresses {
        // Connections are made, and nobody says anything on them.
        let waits = || {
            let options = Options::new().handshake_timeout(LONG);
            Connector::to(address.clone()).options(options).wait_for_service(Duration::from_millis(200))
        };
        let begun = Instant::now();
        let errors =
            [waits().session_blocking().unwrap_err(), runtime.block_on(waits().session()).unwrap_err()];
        for error in errors {
            assert!(matches!(error, ConnectError::Open { source: OpenError::Timeout, .. }), "{error}");
        }
        assert!(begun.elapsed() < PATIENCE);
    }
    drop((path, tcp));
}

/// Both drivers fail at once, as `expected`.
fn fails_at_once(address: &Address, expected: impl Fn(&ConnectError) -> bool) {
    let connector = || Connector::to(address.clone()).wait_for_service(LONG);
    let (sender, failed) = channel();
    let blocking = (connector(), sender.clone());
    thread::spawn(move || blocking.1.send(blocking.0.session_blocking()));
    let task = (connector(), sender);
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        task.1.send(runtime.block_on(task.0.session()))
    });
    for _ in 0..2 {
        let error = failed.recv_timeout(PATIENCE).expect("at once").unwrap_err();
        assert!(expected(&error) && !error.can_retry(), "{error}");
    }
}

/// Why the server's policy does not let this side in.
fn policy(error: &ConnectError) -> Option<RejectReason> {
    match error {
        ConnectError::Open {
            source:
                OpenError::Ended(CloseReason::Refused { refusal: Refusal::Policy(rejection), by: Side::Peer }),
            ..
        } => Some(rejection.reason),
        _ => None,
    }
}

#[test]
fn a_service_that_is_not_ready_is_waited_for() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    for reason in [RejectReason::NotReady, RejectReason::Draining] {
        let asked = Arc::new(AtomicU32::new(0));
        let options = Options::new().policy({
            let asked = Arc::clone(&asked);
            // Not the first time.
            move |_, _| {
                let first = asked.fetch_add(1, Ordering::Relaxed) == 0;
                std::future::ready(if first { Err(reason.into()) } else { Ok(()) })
            }
        });
        let server = Server::new("tcp:127.0.0.1:0", EchoServer::new(Echo)).options(options);
        let listener = server.bind_blocking().unwrap();
        let address = listener.address().clone();
        thread::spawn(move || listener.run());
        let waits = || Connector::to(address.clone()).wait_for_service(LONG);
        let error = Connector::to(address.clone()).session_blocking().unwrap_err();
        assert!(policy(&error) == Some(reason) && error.can_retry(), "{error}");
        for turn in 1..=2 {
            asked.store(0, Ordering::Relaxed);
            if turn == 1 {
                waits().session_blocking().unwrap();
            } else {
                runtime.block_on(waits().session()).unwrap();
            }
            assert_eq!(asked.load(Ordering::Relaxed), 2);
        }
    }
}

fn refused(error: &ConnectError, by: impl Fn(&HandoverError) -> bool) -> bool {
    matches!(error, ConnectError::Open { source: OpenError::Handover(error), .. } if by(error))
}

/// Answers whoever comes with these bytes.
fn answers(bytes: Vec<u8>) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().into();
    thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; 64]).unwrap();
            stream.write_all(&bytes).unwrap();
            // Until it has been read.
            assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
        }
    });
    address
}

#[test]
fn what_will_never_be_is_not_waited_for() {
    let place = Place::new();
    let strict = Server::new(&format!("shm:{}", place.path().display()), EchoServer::new(Echo));
    let listener = strict.access(Access::Users(vec![])).bind_blocking().unwrap();
    let address = listener.address().clone();
    thread::spawn(move || listener.run());
    let forbidden = |error: &HandoverError| matches!(error, HandoverError::Refused(Refused::Forbidden));
    fails_at_once(&address, |error| refused(error, forbidden));

    for reason in [RejectReason::Forbidden, RejectReason::Unauthenticated] {
        let options = Options::new().policy(move |_, _| std::future::ready(Err(reason.into())));
        let server = Server::new("tcp:127.0.0.1:0", EchoServer::new(Echo)).options(options);
        let listener = server.bind_blocking().unwrap();
        let address = listener.address().clone();
        thread::spawn(move || listener.run());
        fails_at_once(&address, |error| policy(error) == Some(reason));
    }

    // A prologue of versions to come.
    let mut prologue = b"TRNSOM\r\n\x09\0\x08\0\x02\x01".to_vec();
    prologue.resize(64, 0);
    let version = |error: &HandoverError| matches!(error, HandoverError::Version { .. });
    fails_at_once(&answers(prologue), |error| refused(error, version));

    let web = answers(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".to_vec());
    let other = |error: &HandoverError| matches!(error, HandoverError::NotTransom { .. });
    fails_at_once(&web, |error| refused(error, other));

    let beyond = "tcp:192.0.2.1:7000".parse().unwrap();
    fails_at_once(&beyond, |error| matches!(error, ConnectError::Plaintext { .. }));

    std::fs::write(place.beside("file"), "").unwrap();
    let under_a_file = Address::Unix(place.beside("file").join("a.sock"));
    fails_at_once(
        &under_a_file,
        |error| matches!(error, ConnectError::Socket { source, .. } if source.kind() == ErrorKind::NotADirectory),
    );
}
