//! Whom a side lets in: H2. Policies of servers and of clients, and servers that shut down.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use transom::{
    Address, CallError, Client as _, CloseReason, ConnectError, Connector, Entry, Listener, Metadata,
    Negotiated, OpenError, Options, Peer, Refusal, RejectReason, Rejection, Role, Server, Session, Side,
    Value,
};

use crate::scene::{Link, Place};

#[transom::service]
pub trait Guarded {
    #[transom(idempotent)]
    async fn ping(&self) -> u32;
    /// Answers when it is let go of.
    async fn wait(&self) -> u32;
}

#[derive(Clone, Default)]
struct Guard {
    asked: Arc<AtomicU32>,
    began: Arc<Notify>,
    go: Arc<Notify>,
}

impl Guarded for Guard {
    async fn ping(&self) -> u32 {
        self.asked.fetch_add(1, Ordering::Relaxed)
    }

    async fn wait(&self) -> u32 {
        self.began.notify_one();
        self.go.notified().await;
        7
    }
}

const LONG: Duration = Duration::from_secs(3600);

/// What a peer says of itself.
fn called(name: &str) -> Metadata {
    let mut metadata = Metadata::new();
    metadata.push(Entry::new("name", name)).expect("it fits");
    metadata
}

fn name(agreed: &Negotiated) -> String {
    match agreed.peer_metadata.get("name") {
        Some(Value::Text(name)) => name.clone(),
        other => panic!("it has a name: {other:?}"),
    }
}

/// Options of a peer with this name.
fn options(name: &str) -> Options {
    Options::new().metadata(called(name))
}

fn server(place: &Place, link: Link, options: Options) -> Server {
    Server::new(&place.address(link), GuardedServer::new(Guard::default())).options(options)
}

fn listen(place: &Place, link: Link, options: Options) -> (Listener, Address) {
    let listener = server(place, link, options).bind().expect("a place to listen");
    let address = listener.address().clone();
    (listener, address)
}

fn connector(address: &Address, name: &str) -> Connector {
    Connector::to(address.clone()).options(options(name))
}

/// Why there is no session, and who says so.
fn refused(error: ConnectError) -> (Rejection, Side) {
    let may_pass = error.can_retry();
    match error {
        ConnectError::Open { source: OpenError::Ended(reason), .. } => refused_as(reason, may_pass),
        other => panic!("not refused: {other}"),
    }
}

fn refused_as(reason: CloseReason, may_pass: bool) -> (Rejection, Side) {
    match reason {
        CloseReason::Refused { refusal: Refusal::Policy(rejection), by } => {
            assert_eq!(may_pass, rejection.reason.can_retry(), "{rejection}");
            (*rejection, by)
        }
        other => panic!("not refused: {other}"),
    }
}

const REASONS: [RejectReason; 6] = [
    RejectReason::Unauthenticated,
    RejectReason::Forbidden,
    RejectReason::NotReady,
    RejectReason::Draining,
    RejectReason::UnknownService,
    RejectReason::Other,
];

/// What the peer is told that has the number of a reason for its name, if any.
fn by_number(name: &str) -> Result<(), Rejection> {
    match name.parse::<usize>() {
        Err(_) => Ok(()),
        Ok(at) => {
            Err(Rejection::new(REASONS[at]).with_text(format!("as {name}")).with_metadata(called("no")))
        }
    }
}

fn told(at: usize, by: Side) -> (Rejection, Side) {
    (by_number(&at.to_string()).expect_err("a reason"), by)
}

pub async fn h2_a_policy_is_told_who_comes(link: Link) {
    let seen = Arc::new(Mutex::new(Vec::<(Peer, Arc<Negotiated>)>::new()));
    let sees = || {
        let seen = Arc::clone(&seen);
        move |peer, agreed| {
            seen.lock().unwrap().push((peer, agreed));
            std::future::ready(Ok(()))
        }
    };
    let place = Place::new();
    let (mut listener, address) = listen(&place, link, options("server").policy(sees()));
    let connector = Connector::to(address).options(options("client").policy(sees()));
    let (client, server) = tokio::join!(connector.session(), listener.accept());
    let (client, server) = (client.unwrap(), server.unwrap());
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    let [(peer_of_server, at_server), (peer_of_client, at_client)] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((name(at_server), at_server.role), ("client".to_owned(), Role::Acceptor));
    assert_eq!((name(at_client), at_client.role), ("server".to_owned(), Role::Initiator));
    for (peer, agreed, session) in
        [(peer_of_server, at_server, &server), (peer_of_client, at_client, &client)]
    {
        assert_eq!(*peer, session.peer());
        assert_eq!(peer.address.is_some(), link == Link::Tcp);
        assert_eq!(peer.pid == Some(std::process::id()) && peer.uid.is_some(), link != Link::Tcp);
        assert_eq!(agreed.transport, session.transport());
        assert_eq!(agreed.limits, session.negotiated().unwrap().limits);
    }
    assert_eq!(client.client::<GuardedClient>().ping().await, Ok(0));
}

pub async fn h2_a_server_refuses_for_a_reason(link: Link) {
    let place = Place::new();
    let policy = |_, agreed: Arc<Negotiated>| async move { by_number(&name(&agreed)) };
    let (mut listener, address) = listen(&place, link, options("server").policy(policy));
    let accepting = tokio::spawn(async move { (listener.accept().await.unwrap(), listener) });
    for at in 0..REASONS.len() {
        let error = connector(&address, &at.to_string()).session().await.unwrap_err();
        assert_eq!(refused(error), told(at, Side::Peer));
    }
    let client: GuardedClient = connector(&address, "friend").connect().await.unwrap();
    let (session, _listener) = accepting.await.unwrap();
    assert_eq!(name(&session.negotiated().unwrap()), "friend", "nobody else has a session");
    assert_eq!(client.ping().await, Ok(0));
}

pub async fn h2_a_client_refuses_for_a_reason(link: Link) {
    let place = Place::new();
    let (mut listener, address) = listen(&place, link, options("server"));
    let accepting = tokio::spawn(async move { (listener.accept().await.unwrap(), listener) });
    for at in 0..REASONS.len() {
        let policy = move |_, agreed: Arc<Negotiated>| {
            assert_eq!(name(&agreed), "server");
            std::future::ready(by_number(&at.to_string()))
        };
        let connector = Connector::to(address.clone()).options(options("client").policy(policy));
        assert_eq!(refused(connector.session().await.unwrap_err()), told(at, Side::Local));
    }
    let client: GuardedClient = connector(&address, "friend").connect().await.unwrap();
    let (session, _listener) = accepting.await.unwrap();
    assert_eq!(name(&session.negotiated().unwrap()), "friend", "nobody else has a session");
    assert_eq!(client.ping().await, Ok(0));
}

pub async fn h2_a_slow_policy_holds_up_nobody_else(link: Link) {
    let (place, began, go) = (Place::new(), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let policy = {
        let (began, go) = (Arc::clone(&began), Arc::clone(&go));
        move |_, agreed: Arc<Negotiated>| {
            let (began, go) = (Arc::clone(&began), Arc::clone(&go));
            async move {
                if name(&agreed) == "slow" {
                    began.notify_one();
                    go.notified().await;
                }
                Ok(())
            }
        }
    };
    let (listener, address) = listen(&place, link, options("server").policy(policy));
    let serving = tokio::spawn(listener.run());
    let slow = tokio::spawn(connector(&address, "slow").connect::<GuardedClient>());
    began.notified().await;
    for _ in 0..3 {
        connector(&address, "quick").connect::<GuardedClient>().await.unwrap().ping().await.unwrap();
    }
    assert!(!slow.is_finished());
    go.notify_one();
    slow.await.unwrap().unwrap().ping().await.unwrap();
    serving.abort();
}

/// Says so when it is dropped.
struct Dropped(Option<oneshot::Sender<()>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(|dropped| dropped.send(()).expect("is waited for"));
    }
}

pub async fn h2_who_leaves_is_not_decided_about_any_more(link: Link) {
    let (place, began) = (Place::new(), Arc::new(Notify::new()));
    let (dropped, is_dropped) = oneshot::channel();
    let policy = {
        let (began, dropped) = (Arc::clone(&began), Mutex::new(Some(dropped)));
        move |_, _| {
            let (began, dropped) = (Arc::clone(&began), Dropped(dropped.lock().unwrap().take()));
            async move {
                began.notify_one();
                std::future::pending::<()>().await;
                drop(dropped);
                Ok(())
            }
        }
    };
    let (listener, address) = listen(&place, link, options("server").policy(policy));
    let serving = tokio::spawn(listener.run());
    let connecting = tokio::spawn(connector(&address, "hasty").session());
    began.notified().await;
    connecting.abort();
    is_dropped.await.unwrap();
    serving.abort();
}

pub async fn h2_a_policy_that_panics_costs_its_peer_alone(link: Link) {
    let place = Place::new();
    let policy = |_, agreed: Arc<Negotiated>| async move {
        assert_eq!(name(&agreed), "friend", "as the test asks");
        Ok(())
    };
    let (listener, address) = listen(&place, link, options("server").policy(policy));
    let serving = tokio::spawn(listener.run());
    for _ in 0..3 {
        let error = connector(&address, "foe").session().await.unwrap_err();
        assert!(matches!(error, ConnectError::Open { source: OpenError::Ended(CloseReason::Goodbye), .. }));
        connector(&address, "friend").connect::<GuardedClient>().await.unwrap().ping().await.unwrap();
    }
    serving.abort();
}

/// A listener that runs, and a client with a call in flight.
struct Busy {
    guard: Guard,
    address: Address,
    shutdown: transom::ShutdownHandle,
    running: tokio::task::JoinHandle<Result<(), transom::ServeError>>,
    client: Session,
    call: tokio::task::JoinHandle<Result<u32, CallError>>,
}

impl Busy {
    async fn new(place: &Place, link: Link) -> Self {
        let guard = Guard::default();
        let server = Server::new(&place.address(link), GuardedServer::new(guard.clone()));
        let listener = server.bind().unwrap();
        let (address, shutdown) = (listener.address().clone(), listener.shutdown_handle());
        let running = tokio::spawn(listener.run());
        let client = connector(&address, "busy").session().await.unwrap();
        let guarded: GuardedClient = client.client();
        let call = tokio::spawn(async move { guarded.wait().await });
        guard.began.notified().await;
        Self { guard, address, shutdown, running, client, call }
    }
}

pub async fn h2_a_server_that_shuts_down_refuses_newcomers(link: Link) {
    let place = Place::new();
    let Busy { guard, address, shutdown, running, client, call } = Busy::new(&place, link).await;
    let idle = connector(&address, "idle").session().await.unwrap();
    shutdown.shutdown_within(LONG);
    assert_eq!(idle.closed().await, CloseReason::Goodbye, "nothing is in flight there");
    for _ in 0..3 {
        let error = connector(&address, "late").session().await.unwrap_err();
        assert_eq!(refused(error), (RejectReason::Draining.into(), Side::Peer));
    }
    assert!(!running.is_finished() && client.is_open());
    guard.go.notify_one();
    assert_eq!(call.await.unwrap(), Ok(7), "what is in flight finishes");
    assert_eq!(client.closed().await, CloseReason::Goodbye);
    running.await.unwrap().unwrap();
    let error = connector(&address, "late").session().await.unwrap_err();
    assert!(matches!(error, ConnectError::Absent { .. }), "the address is free: {error}");
}

pub async fn h2_a_server_that_shuts_down_waits_no_longer_than_was_said(link: Link) {
    let place = Place::new();
    let Busy { shutdown, running, client, call, .. } = Busy::new(&place, link).await;
    shutdown.shutdown_within(LONG);
    assert!(client.is_open());
    shutdown.shutdown_within(Duration::ZERO);
    running.await.unwrap().unwrap();
    assert_eq!(client.closed().await, CloseReason::Goodbye);
    let lost = CallError::Disconnected { reason: CloseReason::Goodbye, maybe_executed: true };
    assert_eq!(call.await.unwrap(), Err(lost));

    // Whoever accepts without running learns of the end, too.
    let (mut listener, address) = listen(&place, link, Options::new());
    let (client, session) = tokio::join!(connector(&address, "one").session(), listener.accept());
    let (client, _session) = (client.unwrap(), session.unwrap());
    listener.shutdown_handle().shutdown_within(LONG);
    assert!(matches!(listener.accept().await, Err(transom::ServeError::ShutDown)));
    assert_eq!(client.closed().await, CloseReason::Goodbye);
}

pub async fn h2_a_reconnecting_client_waits_for_what_may_pass(link: Link) {
    let (place, verdict) = (Place::new(), Arc::new(Mutex::new(Ok(()))));
    let (asked, is_ready) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let policy = {
        let (verdict, asked) = (Arc::clone(&verdict), Arc::clone(&asked));
        move |_, _| {
            let verdict = verdict.lock().unwrap().clone();
            asked.notify_one();
            std::future::ready(verdict)
        }
    };
    let (mut listener, address) = listen(&place, link, options("server").policy(policy));
    let connector = connector(&address, "client").reconnect_within(LONG);
    let (client, session) = tokio::join!(connector.connect::<GuardedClient>(), listener.accept());
    let (client, session) = (client.unwrap(), session.unwrap());
    asked.notified().await;
    let shutdown = listener.shutdown_handle();
    let running = tokio::spawn(listener.run());

    // For good: the call ends at once, and says why.
    let forbidden = Rejection::new(RejectReason::Forbidden).with_text("for good");
    *verdict.lock().unwrap() = Err(forbidden.clone());
    session.close();
    assert_eq!(client.connection().closed().await, CloseReason::Goodbye);
    for _ in 0..2 {
        let error = client.ping().await.unwrap_err();
        assert!(!error.can_retry());
        let CallError::Disconnected { reason, maybe_executed: false } = error else { panic!("{error}") };
        assert_eq!(refused_as(reason, false), (forbidden.clone(), Side::Peer));
        asked.notified().await;
    }

    // For now: it waits.
    *verdict.lock().unwrap() = Err(RejectReason::NotReady.into());
    let call = tokio::spawn({
        let (client, is_ready) = (client.clone(), Arc::clone(&is_ready));
        async move {
            let answer = client.ping().await;
            assert!(is_ready.load(Ordering::Relaxed), "not before");
            answer
        }
    });
    asked.notified().await;
    is_ready.store(true, Ordering::Relaxed);
    *verdict.lock().unwrap() = Ok(());
    assert_eq!(call.await.unwrap(), Ok(0));

    // It outlives a server that shuts down, too.
    shutdown.shutdown_within(LONG);
    running.await.unwrap().unwrap();
    let next = Server::new(&address.to_string(), GuardedServer::new(Guard::default())).bind().unwrap();
    let serving = tokio::spawn(next.run());
    assert_eq!(client.ping().await, Ok(0));
    serving.abort();
}

/// Runs a test on a thread of its own.
async fn without_a_runtime(test: impl FnOnce() + Send + 'static) {
    let (done, is_done) = oneshot::channel();
    std::thread::spawn(move || {
        test();
        done.send(()).expect("is waited for");
    });
    is_done.await.expect("no panic");
}

pub async fn h2_threads_have_policies_too(link: Link) {
    without_a_runtime(move || {
        let place = Place::new();
        let (slow, is_slow) = std::sync::mpsc::channel();
        let (go, may_go) = std::sync::mpsc::channel::<()>();
        let may_go = Mutex::new(may_go);
        let policy = move |_: Peer, agreed: Arc<Negotiated>| {
            let name = name(&agreed);
            if name == "slow" {
                slow.send(()).unwrap();
                may_go.lock().unwrap().recv().unwrap();
            }
            assert_ne!(name, "panic", "as the test asks");
            std::future::ready(by_number(&name))
        };
        let listener = server(&place, link, options("server").policy(policy)).bind_blocking().unwrap();
        let (address, shutdown) = (listener.address().clone(), listener.shutdown_handle());
        std::thread::scope(|scope| {
            let running = scope.spawn(|| listener.run());
            let waits =
                scope.spawn(|| connector(&address, "slow").connect_blocking::<GuardedBlockingClient>());
            is_slow.recv().unwrap();
            for at in 0..REASONS.len() {
                let error = connector(&address, &at.to_string()).session_blocking().unwrap_err();
                assert_eq!(refused(error), told(at, Side::Peer));
                let policy = move |_, _| std::future::ready(by_number(&at.to_string()));
                // One that serves has a thread that looks after its session, one that does not has none.
                for serves in [false, true] {
                    let choosy = Connector::to(address.clone()).options(options("choosy").policy(policy));
                    let choosy =
                        if serves { choosy.serve(GuardedServer::new(Guard::default())) } else { choosy };
                    assert_eq!(refused(choosy.session_blocking().unwrap_err()), told(at, Side::Local));
                }
            }
            let error = connector(&address, "panic").session_blocking().unwrap_err();
            assert!(error.can_retry(), "{error}");
            let quick: GuardedBlockingClient = connector(&address, "quick").connect_blocking().unwrap();
            assert_eq!(quick.ping(), Ok(0));
            assert!(!waits.is_finished());
            go.send(()).unwrap();
            let slow = waits.join().unwrap().unwrap();
            assert_eq!(slow.ping(), Ok(1));
            shutdown.shutdown_within(Duration::ZERO);
            running.join().unwrap().unwrap();
        });
    })
    .await;
}

pub async fn h2_threads_shut_down_too(link: Link) {
    without_a_runtime(move || {
        let place = Place::new();
        let guard = Guard::default();
        let served = Server::new(&place.address(link), GuardedServer::new(guard.clone()));
        let listener = served.bind_blocking().unwrap();
        let (address, shutdown) = (listener.address().clone(), listener.shutdown_handle());
        std::thread::scope(|scope| {
            let running = scope.spawn(|| listener.run());
            let busy: GuardedBlockingClient = connector(&address, "busy").connect_blocking().unwrap();
            let call = scope.spawn(move || busy.wait());
            wait_for(&guard.began);
            shutdown.shutdown_within(LONG);
            let error = connector(&address, "late").session_blocking().unwrap_err();
            assert_eq!(refused(error), (RejectReason::Draining.into(), Side::Peer));
            assert!(!running.is_finished());
            guard.go.notify_one();
            assert_eq!(call.join().unwrap(), Ok(7));
            running.join().unwrap().unwrap();
            let error = connector(&address, "late").session_blocking().unwrap_err();
            assert!(matches!(error, ConnectError::Absent { .. }), "the address is free: {error}");
            let listener = server(&place, link, Options::new()).bind_blocking().unwrap();
            listener.shutdown_handle().shutdown_within(LONG);
            assert!(matches!(listener.accept(), Err(transom::ServeError::ShutDown)));
        });
    })
    .await;
}

/// Waits, with this thread, until it is told.
fn wait_for(told: &Notify) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(told.notified());
}
