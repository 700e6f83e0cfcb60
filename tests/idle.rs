//! A session on which nothing happens costs no time of any CPU.

mod common;

use std::time::Duration;

use common::{Echo, EchoBlockingClient, EchoClient, EchoServer, Place, Shout, ShoutServer};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Builder;
use transom::{Connector, Server};

/// How long nothing happens.
const IDLE: Duration = Duration::from_secs(1);
/// The most time of CPUs that this may cost: with two CPUs a side that never sleeps takes some hundred milliseconds, however
/// busy they are.
const MOST: Duration = Duration::from_millis(50);

/// The time of CPUs that this process has had.
fn spent() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().expect("a time")
}

fn costs_nothing(what: &str) {
    let before = spent();
    std::thread::sleep(IDLE);
    let cost = spent() - before;
    assert!(cost < MOST, "{what}: {cost:?} in {IDLE:?}");
}

fn addresses(place: &Place) -> [String; 3] {
    let path = place.path().display().to_string();
    [format!("shm:{path}"), format!("unix:{path}"), "tcp:127.0.0.1:0".to_owned()]
}

// One test: the time that a process has had is one for all.
#[test]
fn a_session_on_which_nothing_happens_costs_nothing() {
    let place = Place::new();
    for address in addresses(&place) {
        let listener = Server::new(&address, EchoServer::new(Echo)).bind_blocking().unwrap();
        std::thread::scope(|scope| {
            let accepting = scope.spawn(|| listener.accept().unwrap());
            let connector = Connector::to(listener.address().clone()).serve(ShoutServer::new(Shout));
            let echo: EchoBlockingClient = connector.connect_blocking().unwrap();
            let _server = accepting.join().unwrap();
            assert_eq!(echo.echo(b"x"), Ok(b"x".to_vec()));
            costs_nothing(&format!("{address}, blocking"));
            assert_eq!(echo.echo(b"x"), Ok(b"x".to_vec()));
        });
        drop(listener);

        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (echo, _server) = runtime.block_on(async {
            let mut listener = Server::new(&address, EchoServer::new(Echo)).bind().unwrap();
            let connector = Connector::to(listener.address().clone()).serve(ShoutServer::new(Shout));
            let (echo, server) = tokio::join!(connector.connect::<EchoClient>(), listener.accept());
            (echo.unwrap(), server.unwrap())
        });
        assert_eq!(runtime.block_on(async { echo.echo(b"x").await }), Ok(b"x".to_vec()));
        costs_nothing(&format!("{address}, tokio"));
        assert_eq!(runtime.block_on(async { echo.echo(b"x").await }), Ok(b"x".to_vec()));
    }
}
