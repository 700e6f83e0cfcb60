//! Sessions from addresses: every transport, both drivers, several clients at once.

mod common;

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use common::{Echo, EchoBlockingClient, EchoClient, EchoServer, Place, Shout, ShoutClient, ShoutServer};
use transom::{
    Access, CallError, CallOptions, Client as _, CloseReason, ConnectError, Connector, FallbackReason,
    Limits, Options, PeerReason, ServeError, Server, Transport,
};

/// Addresses to listen at, and what carries the sessions. Where a port is found, the listener says which.
fn addresses(place: &Place) -> Vec<(String, Transport)> {
    let path = place.path().display().to_string();
    vec![
        (format!("shm:{path}"), Transport::Shm),
        (format!("unix:{path}"), Transport::Unix { fallback: None }),
        (format!("mem:{path}"), Transport::Mem),
        ("tcp:127.0.0.1:0".to_owned(), Transport::Tcp),
    ]
}

#[tokio::test]
async fn tasks_call_each_other_over_every_transport() {
    let place = Place::new();
    for (address, transport) in addresses(&place) {
        let mut listener = Server::new(&address, EchoServer::new(Echo)).bind().unwrap();
        assert_eq!(listener.address().to_string() == address, transport != Transport::Tcp);
        let address = listener.address().to_string();
        let connecting = Connector::new(&address).serve(ShoutServer::new(Shout)).session();
        let (session, server) = tokio::join!(connecting, listener.accept());
        let (session, server) = (session.unwrap(), server.unwrap());
        assert_eq!(session.transport(), transport);
        assert_eq!(server.transport(), transport);
        for peer in [session.peer(), server.peer()] {
            let known = (peer.pid == Some(std::process::id()), peer.address.is_some());
            assert_eq!(known, if transport == Transport::Tcp { (false, true) } else { (true, false) });
        }
        let echo: EchoClient = session.client();
        let shout: ShoutClient = server.client();
        for length in [0, 1, 1000, 100_000, 1_000_000] {
            let bytes = vec![3; length];
            assert_eq!(echo.echo(&bytes).await.unwrap(), bytes, "{address}");
        }
        assert_eq!(shout.shout("back").await.unwrap(), "BACK", "{address}");
        assert_eq!(echo.call_back("back").await.unwrap(), "BACK", "{address}: out of a handler");
        drop((session, echo));
        assert_eq!(server.closed().await, CloseReason::Goodbye, "{address}: the last handle says goodbye");
    }
}

#[test]
fn threads_call_over_every_transport() {
    let place = Place::new();
    for (address, transport) in addresses(&place) {
        let listener = Server::new(&address, EchoServer::new(Echo)).bind_blocking().unwrap();
        let address = listener.address().to_string();
        std::thread::scope(|scope| {
            let server = scope.spawn(|| listener.accept().unwrap());
            let echo = Connector::new(&address).serve(ShoutServer::new(Shout));
            let echo: EchoBlockingClient = echo.connect_blocking().unwrap();
            let server = server.join().unwrap();
            assert_eq!(transom::Client::session(&echo).transport(), transport);
            let bytes = vec![5; 300_000];
            assert_eq!(echo.echo(&bytes).unwrap(), bytes, "{address}");
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| (0..200).for_each(|_| assert_eq!(echo.echo(b"x").unwrap(), b"x")));
                }
            });
            let callers: transom::Session = server.clone();
            let shout: common::ShoutBlockingClient = callers.client();
            assert_eq!(shout.shout("back").unwrap(), "BACK", "{address}");
            drop(echo);
            while server.is_open() {
                std::thread::yield_now();
            }
            assert_eq!(server.close_reason(), Some(CloseReason::Goodbye), "{address}");
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_and_a_thread_call_each_other() {
    let place = Place::new();
    for (address, _) in addresses(&place) {
        let listener = Server::new(&address, EchoServer::new(Echo)).bind().unwrap();
        let address = listener.address().to_string();
        let serving = tokio::spawn(listener.run());
        let calling = tokio::task::spawn_blocking(move || {
            let echo: EchoBlockingClient = transom::blocking::connect(&address).unwrap();
            (0..1000_u32)
                .for_each(|turn| assert_eq!(echo.echo(&turn.to_le_bytes()).unwrap(), turn.to_le_bytes()));
        });
        calling.await.unwrap();
        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
    }
}

#[tokio::test]
async fn no_time_is_too_long() {
    let place = Place::new();
    // Long after everything, and longer than clocks count.
    for time in [Duration::from_secs(1 << 61), Duration::MAX] {
        for (address, _) in addresses(&place) {
            let patient = || Options::new().handshake_timeout(time);
            let mut listener =
                Server::new(&address, EchoServer::new(Echo)).options(patient()).bind().unwrap();
            let there = listener.address().to_string();
            let connecting = Connector::new(&there).options(patient()).connect::<EchoClient>();
            let (echo, server) = tokio::join!(connecting, listener.accept());
            let (echo, _server) = (echo.unwrap(), server.unwrap());
            assert_eq!(echo.echo(b"x").deadline(time).await.unwrap(), b"x", "{address}");
            echo.session().goodbye_within(time);
            drop(listener);
            let listener = Server::new(&address, EchoServer::new(Echo)).options(patient());
            let listener = listener.bind_blocking().unwrap();
            let there = listener.address().to_string();
            std::thread::scope(|scope| {
                let server = scope.spawn(|| listener.accept().unwrap());
                let connector = Connector::new(&there).options(patient());
                let echo: EchoBlockingClient = connector.connect_blocking().unwrap();
                let echo = echo.with(CallOptions::new().deadline(time));
                assert_eq!(echo.echo(b"x").unwrap(), b"x", "{address}");
                drop(server.join().unwrap());
            });
        }
    }
}

#[tokio::test]
async fn a_task_that_calls_in_a_loop_leaves_others_their_turn() {
    let place = Place::new();
    for (address, _) in addresses(&place) {
        let listener = Server::new(&address, EchoServer::new(Echo)).bind_blocking().unwrap();
        let address = listener.address().to_string();
        let serving = std::thread::spawn(move || listener.accept().unwrap());
        let echo: EchoClient = transom::connect(&address).await.unwrap();
        let server = serving.join().unwrap();
        // Served by another thread, and after the end answered by nobody: at once, every time.
        for ended in [false, true] {
            if ended {
                server.close();
                echo.session().closed().await;
            }
            let other = tokio::spawn(tokio::time::sleep(Duration::from_millis(1)));
            let until = Instant::now() + Duration::from_secs(20);
            while !other.is_finished() {
                assert_eq!(echo.echo(b"x").await.is_err(), ended, "{address}");
                assert!(Instant::now() < until, "{address}: nobody else has had a turn");
            }
        }
    }
}

#[test]
fn tasks_without_a_runtime_call_as_often_as_they_like() {
    let place = Place::new();
    let (address, _) = addresses(&place).remove(0);
    let listener = Server::new(&address, EchoServer::new(Echo)).bind_blocking().unwrap();
    let serving = std::thread::spawn(move || listener.accept().unwrap());
    let session = Connector::new(&address).serve(ShoutServer::new(Shout)).session_blocking().unwrap();
    let (echo, _server) = (session.client::<EchoClient>(), serving.join().unwrap());
    let (mut cx, until) = (Context::from_waker(Waker::noop()), Instant::now() + Duration::from_secs(20));
    for _ in 0..1000 {
        let mut call = pin!(echo.echo(b"x"));
        while call.as_mut().poll(&mut cx).is_pending() {
            assert!(Instant::now() < until, "no answer");
            std::thread::yield_now();
        }
    }
}

#[tokio::test]
async fn a_call_that_waits_uses_up_no_turns() {
    let place = Place::new();
    let (address, _) = addresses(&place).remove(0);
    let mut listener = Server::new(&address, EchoServer::new(Echo)).bind().unwrap();
    let (echo, _server) = tokio::join!(transom::connect::<EchoClient>(&address), listener.accept());
    let echo = echo.unwrap();
    let mut never = pin!(echo.never());
    poll_fn(|cx| {
        for _ in 0..1000 {
            assert!(never.as_mut().poll(cx).is_pending());
        }
        assert!(tokio::task::coop::has_budget_remaining());
        Poll::Ready(())
    })
    .await;
}

#[tokio::test]
async fn each_side_may_have_sockets_only_and_both_know_why() {
    let place = Place::new();
    let path = place.path().display().to_string();
    let (shm, unix) = (format!("shm:{path}"), format!("unix:{path}"));
    let small = Options::new().memory_cap(4096);
    let socket_only = Some(FallbackReason::Peer(PeerReason::SocketOnly));
    let cannot_attach = Some(FallbackReason::Peer(PeerReason::Attach));
    for (server, client, theirs, ours, options) in [
        (&unix, &shm, None, socket_only, (Options::new(), Options::new())),
        (&shm, &unix, None, None, (Options::new(), Options::new())),
        (&shm, &shm, None, cannot_attach.clone(), (small.clone(), Options::new())),
        (&shm, &shm, cannot_attach, None, (Options::new(), small)),
    ] {
        let mut listener = Server::new(server, EchoServer::new(Echo)).options(options.0).bind().unwrap();
        let (client, server) =
            tokio::join!(Connector::new(client).options(options.1).session(), listener.accept());
        let (client, server) = (client.unwrap(), server.unwrap());
        let fallback = |transport| match transport {
            Transport::Unix { fallback } => fallback,
            other => panic!("{other}"),
        };
        let (client_says, server_says) = (fallback(client.transport()), fallback(server.transport()));
        for (says, expected) in [(client_says, ours), (server_says, theirs)] {
            match (says, expected) {
                (Some(FallbackReason::Attach(text)), None) => {
                    assert!(text.contains("exceeds the cap of 4096"))
                }
                (says, expected) => assert_eq!(says, expected),
            }
        }
        assert_eq!(client.client::<EchoClient>().echo(b"x").await.unwrap(), b"x");
    }
}

#[tokio::test]
async fn what_cannot_be_connected_to_or_served_says_why() {
    let place = Place::new();
    let address = format!("shm:{}", place.path().display());
    let absent = transom::connect::<EchoClient>(&address).await.unwrap_err();
    assert!(matches!(absent, ConnectError::Absent { .. }) && absent.can_retry(), "{absent}");
    let absent = transom::connect::<EchoClient>("mem:nobody-is-here").await.unwrap_err();
    assert!(matches!(absent, ConnectError::Absent { .. }), "{absent}");
    let senseless = transom::connect::<EchoClient>("telnet:x").await.unwrap_err();
    assert!(matches!(senseless, ConnectError::Address(_)), "{senseless}");
    let mut limits = Limits::default();
    limits.requests = 0;
    let senseless = Server::new(&address, ()).options(Options::new().limits(limits)).bind().unwrap_err();
    assert!(matches!(senseless, ServeError::Limit(_)), "{senseless}");
    let _listener = Server::new(&address, ()).bind().unwrap();
    let in_use = Server::new(&address, ()).bind().unwrap_err();
    assert!(matches!(in_use, ServeError::InUse { .. }), "{in_use}");
    std::fs::write(place.beside("file"), "text").unwrap();
    let file = Server::new(&format!("unix:{}", place.beside("file").display()), ()).bind().unwrap_err();
    assert!(matches!(file, ServeError::NotASocket { .. }), "{file}");
    let refused = Server::new(&format!("shm:{}", place.beside("b").display()), ());
    let listener = refused.access(Access::Users(vec![])).bind().unwrap();
    let serving = tokio::spawn(listener.run());
    let forbidden =
        transom::connect::<EchoClient>(&format!("shm:{}", place.beside("b").display())).await.unwrap_err();
    assert!(forbidden.to_string().contains("does not let this side in"), "{forbidden}");
    serving.abort();
}

#[tokio::test]
async fn a_client_of_a_session_that_ended_says_so() {
    let place = Place::new();
    let address = format!("shm:{}", place.path().display());
    let mut listener = Server::new(&address, EchoServer::new(Echo)).bind().unwrap();
    let (echo, server) = tokio::join!(transom::connect::<EchoClient>(&address), listener.accept());
    let (echo, server) = (echo.unwrap(), server.unwrap());
    let never = tokio::spawn({
        let echo = echo.clone();
        async move { echo.never().await }
    });
    while echo.echo(b"x").await.is_ok() {
        if never.is_finished() {
            break;
        }
        server.close();
    }
    let ended = tokio::time::timeout(Duration::from_secs(20), never).await.unwrap().unwrap();
    assert!(matches!(ended, Err(CallError::Disconnected { .. })), "{ended:?}");
}
