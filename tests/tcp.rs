//! Sessions over TCP: what an address names, who may come, what stays within this machine, and attempts that lead nowhere.

mod common;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use common::{Echo, EchoBlockingClient, EchoClient, EchoServer};
use rustix::net::{AddressFamily, SocketType};
use transom::{
    Access, Address, Client as _, CloseReason, ConnectError, Connector, Options, ServeError, Server, Session,
    Transport,
};

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(20);

fn server(address: &str) -> Server {
    Server::new(address, EchoServer::new(Echo))
}

fn port(address: &Address) -> u16 {
    match address {
        Address::Tcp { port, .. } => *port,
        other => panic!("{other}"),
    }
}

/// Opens a session with whoever comes by `connector` to this listener.
async fn meet(listener: &mut transom::Listener, connector: Connector) -> (Session, Session) {
    let (client, server) = tokio::join!(connector.session(), listener.accept());
    (client.unwrap(), server.unwrap())
}

#[tokio::test]
async fn each_side_knows_the_others_address_and_nothing_else() {
    let mut listener = server("tcp:127.0.0.1:0").bind().unwrap();
    let connector = Connector::to(listener.address().clone());
    let (client, server) = meet(&mut listener, connector).await;
    let [theirs, ours] = [client.peer(), server.peer()];
    assert_eq!(theirs.address.map(Address::from).as_ref(), Some(listener.address()));
    assert!(ours.address.is_some_and(|address| address.ip().is_loopback()));
    assert!([theirs, ours].iter().all(|peer| (peer.uid, peer.pid) == (None, None)));
    assert_eq!(client.negotiated().unwrap().transport, Transport::Tcp);
}

#[tokio::test]
async fn a_name_is_looked_up_by_both_sides() {
    let mut listener = server("tcp:localhost:0").bind().unwrap();
    let address = format!("tcp:localhost:{}", port(listener.address()));
    // The listener has one of the addresses of that name; a connector tries them all.
    let (client, _server) = meet(&mut listener, Connector::new(&address)).await;
    assert_eq!(client.client::<EchoClient>().echo(b"x").await.unwrap(), b"x");
    drop(listener);
    let listener = server("tcp:localhost:0").bind_blocking().unwrap();
    let address = format!("tcp:localhost:{}", port(listener.address()));
    let serving = std::thread::spawn(move || listener.accept().unwrap());
    let echo: EchoBlockingClient =
        tokio::task::spawn_blocking(move || transom::blocking::connect(&address).unwrap()).await.unwrap();
    assert_eq!(echo.session().transport(), Transport::Tcp);
    drop(serving.join().unwrap());
}

#[tokio::test]
async fn version_six_is_written_in_brackets() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        println!("skipped: there is no IPv6 here");
        return;
    }
    let mut listener = server("tcp:[::1]:0").bind().unwrap();
    let address = listener.address().to_string();
    assert!(address.starts_with("tcp:[::1]:"), "{address}");
    let (client, _server) = meet(&mut listener, Connector::new(&address)).await;
    assert_eq!(client.client::<EchoClient>().echo(b"x").await.unwrap(), b"x");
}

#[tokio::test]
async fn plain_text_stays_within_this_machine_unless_told_otherwise() {
    // Nobody is at the first: it is for documentation only.
    for address in ["tcp:192.0.2.1:7000", "tcp:0.0.0.0:7000", "tcp:[::]:7000"] {
        let refused = Connector::new(address).session().await.unwrap_err();
        assert!(matches!(refused, ConnectError::Plaintext { .. }) && !refused.can_retry(), "{refused}");
        let refused = Connector::new(address).session_blocking().unwrap_err();
        assert!(matches!(refused, ConnectError::Plaintext { .. }), "{refused}");
        let refused = server(address).bind().unwrap_err();
        assert!(matches!(refused, ServeError::Plaintext { .. }), "{refused}");
        assert!(matches!(server(address).bind_blocking(), Err(ServeError::Plaintext { .. })));
    }
    let everywhere = server("tcp:0.0.0.0:0").options(Options::new().plaintext_beyond_loopback());
    let mut listener = everywhere.bind().unwrap();
    let near = format!("tcp:127.0.0.1:{}", port(listener.address()));
    let (client, _server) = meet(&mut listener, Connector::new(&near)).await;
    assert_eq!(client.client::<EchoClient>().echo(b"x").await.unwrap(), b"x");
    // Every address of this machine leads there, but who may come is another question.
    let everywhere = format!("tcp:0.0.0.0:{}", port(listener.address()));
    let bold = Connector::new(&everywhere).options(Options::new().plaintext_beyond_loopback());
    let (client, _server) = meet(&mut listener, bold).await;
    assert_eq!(client.transport(), Transport::Tcp);
}

#[tokio::test]
async fn access_by_user_is_not_to_be_had() {
    for access in [Access::SameUser, Access::Users(vec![0])] {
        let refused = server("tcp:127.0.0.1:0").access(access).bind().unwrap_err();
        assert!(matches!(refused, ServeError::UsersUnknown { .. }), "{refused}");
    }
    for access in [Access::ThisMachine, Access::Anyone] {
        let mut listener = server("tcp:127.0.0.1:0").access(access).bind().unwrap();
        let connector = Connector::to(listener.address().clone());
        meet(&mut listener, connector).await;
    }
}

#[tokio::test]
async fn what_leads_nowhere_says_why() {
    let listener = server("tcp:127.0.0.1:0").bind().unwrap();
    let address = listener.address().to_string();
    let in_use = server(&address).bind().unwrap_err();
    assert!(matches!(in_use, ServeError::InUse { .. }), "{in_use}");
    drop(listener);
    let absent = [
        Connector::new(&address).session().await.unwrap_err(),
        Connector::new(&address).session_blocking().unwrap_err(),
    ];
    for absent in absent {
        assert!(matches!(absent, ConnectError::Absent { .. }) && absent.can_retry(), "{absent}");
    }
    // Free again at once, though there were connections.
    server(&address).bind().unwrap();

    // No part of a name is that long, so that nobody is asked for it.
    let unknown = format!("tcp:{}:7000", "x".repeat(100));
    let unresolved = [
        Connector::new(&unknown).session().await.unwrap_err(),
        Connector::new(&unknown).session_blocking().unwrap_err(),
    ];
    for unresolved in unresolved {
        assert!(matches!(unresolved, ConnectError::Unresolved { .. }), "{unresolved}");
    }
    assert!(matches!(server(&unknown).bind(), Err(ServeError::Unresolved { .. })));
}

/// An address at which connections are neither made nor refused, for as long as this is held.
struct Silent {
    address: SocketAddr,
    _listener: OwnedFd,
    _waiting: Vec<OwnedFd>,
}

impl Silent {
    fn new() -> Self {
        let connection = || rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        let listener = connection();
        rustix::net::bind(&listener, &"127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let address = SocketAddr::try_from(rustix::net::getsockname(&listener).unwrap()).unwrap();
        // One more than may wait to be accepted: the kernel answers nobody from then on.
        let waiting: Vec<OwnedFd> = (0..8)
            .map(|_| {
                let waiting = connection();
                rustix::io::ioctl_fionbio(&waiting, true).unwrap();
                assert_eq!(rustix::net::connect(&waiting, &address), Err(rustix::io::Errno::INPROGRESS));
                waiting
            })
            .collect();
        Self { address, _listener: listener, _waiting: waiting }
    }
}

#[tokio::test]
async fn an_attempt_that_nobody_answers_ends() {
    let silent = Silent::new();
    let hasty = || {
        let options = Options::new().handshake_timeout(Duration::from_millis(200));
        Connector::to(silent.address.into()).options(options)
    };
    let begun = Instant::now();
    for late in [hasty().session().await.unwrap_err(), hasty().session_blocking().unwrap_err()] {
        let ConnectError::Socket { source, .. } = &late else { panic!("{late}") };
        assert!(source.kind() == ErrorKind::TimedOut && late.can_retry(), "{late}");
    }
    assert!(begun.elapsed() < PATIENCE);
}

#[test]
fn a_browser_is_told_what_it_has_reached() {
    let listener = server("tcp:127.0.0.1:0").bind_blocking().unwrap();
    let Address::Tcp { host, port } = listener.address().clone() else { panic!("{:?}", listener.address()) };
    std::thread::scope(|scope| {
        let accepting = scope.spawn(|| listener.accept().unwrap());
        let mut browser = TcpStream::connect((host.as_str(), port)).unwrap();
        browser.set_read_timeout(Some(PATIENCE)).unwrap();
        browser.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let mut said = [0; 64];
        browser.read_exact(&mut said).unwrap();
        assert!(said.starts_with(b"TRNSOM\r\n"), "{}", said.escape_ascii());
        // It costs nobody else anything.
        Connector::to(listener.address().clone()).session_blocking().unwrap();
        accepting.join().unwrap();
    });
}

/// Somebody must answer when the other side asks whether this one is alive.
#[test]
fn a_session_is_looked_after_though_nobody_serves_or_calls() {
    let listener = server("tcp:127.0.0.1:0").bind_blocking().unwrap();
    std::thread::scope(|scope| {
        let accepting = scope.spawn(|| listener.accept().unwrap());
        let client = Connector::to(listener.address().clone()).options(Options::new().no_keepalive());
        let client = client.session_blocking().unwrap();
        accepting.join().unwrap().close();
        let until = Instant::now() + PATIENCE;
        while client.is_open() {
            assert!(Instant::now() < until, "nobody has looked");
            std::thread::yield_now();
        }
        assert_eq!(client.close_reason(), Some(CloseReason::Goodbye));
    });
}
