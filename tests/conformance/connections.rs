//! Connections: C1 to C10.

use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, oneshot};
use transom::{
    CallError, Client as _, CloseReason, Connection, ConnectionError, ConnectionSettings, Context, Entry,
    IncomingConnection, Metadata, Options, RejectReason, Rejection, Router, Service as _, Value,
};

use crate::scene::{Link, Scene};

/// Says which of several it is, and what it is told.
#[transom::service]
pub trait Named {
    /// Its name and the text.
    async fn name(&self, text: &str) -> String;
    /// What the caller's service on the same connection says.
    async fn name_of_caller(&self, cx: &Context) -> String;
    /// The number of the connection and of the request.
    async fn where_am_i(&self, cx: &Context) -> (u64, u64);
    /// No answer, ever.
    async fn never(&self);
}

/// Another service.
#[transom::service]
pub trait Doubles {
    /// Twice the number.
    async fn double(&self, number: u64) -> u64;
}

#[derive(Clone)]
pub struct Is(pub &'static str);

impl Named for Is {
    async fn name(&self, text: &str) -> String {
        format!("{}: {text}", self.0)
    }
    async fn name_of_caller(&self, cx: &Context) -> String {
        let caller: NamedClient = cx.client();
        caller.name("you").await.unwrap_or_else(|error| error.to_string())
    }
    async fn where_am_i(&self, cx: &Context) -> (u64, u64) {
        (cx.connection().id().into(), cx.request_id())
    }
    async fn never(&self) {
        std::future::pending().await
    }
}

#[derive(Clone)]
struct Two;

impl Doubles for Two {
    async fn double(&self, number: u64) -> u64 {
        2 * number
    }
}

pub fn is(name: &'static str) -> NamedServer<Is> {
    NamedServer::new(Is(name))
}

fn entry(key: &str, value: &str) -> Metadata {
    let mut metadata = Metadata::new();
    metadata.push(Entry::new(key, value)).unwrap();
    metadata
}

pub async fn c1_both_sides_serve_on_the_root(link: Link) {
    let scene = Scene::new(link, is("client"), (is("server"), DoublesServer::new(Two))).await;
    let (ours, theirs): (NamedClient, NamedClient) = (scene.client.client(), scene.server.client());
    assert_eq!(ours.name("a").await.unwrap(), "server: a");
    assert_eq!(theirs.name("b").await.unwrap(), "client: b");
    assert_eq!(scene.client.client::<DoublesClient>().double(4).await.unwrap(), 8);
    assert_eq!(ours.name_of_caller().await.unwrap(), "client: you");
    let error = scene.server.client::<DoublesClient>().double(4).await.unwrap_err();
    assert_eq!(error, CallError::UnknownMethod);
}

pub async fn c2_a_connection_is_opened_with_metadata_and_accepted_with_metadata(link: Link) {
    let (heard, mut hears) = mpsc::unbounded_channel();
    let server = ().accepting(move |incoming: IncomingConnection| {
        heard.send((incoming.service().to_owned(), incoming.metadata().get("from").cloned())).unwrap();
        incoming.with_metadata(entry("hello", "you")).serve(is("one")).unwrap();
    });
    let scene = Scene::new(link, (), server).await;
    let connection = scene.client.opening("Named").with_metadata(entry("from", "me")).open().await.unwrap();
    assert_eq!(hears.recv().await, Some(("Named".to_owned(), Some(Value::from("me")))));
    assert_eq!(connection.metadata().get("hello"), Some(&Value::from("you")));
    assert_eq!(connection.id(), 1);
    assert_eq!(connection.client::<NamedClient>().name("x").await.unwrap(), "one: x");
    // What the root serves is not served here, and the other way round.
    assert_eq!(scene.client.client::<NamedClient>().name("x").await, Err(CallError::UnknownMethod));
    let second: NamedClient = scene.client.open().await.unwrap();
    assert_eq!(second.connection().id(), 3);
}

pub async fn c2_a_connection_is_rejected_with_a_reason(link: Link) {
    let reasons = [
        RejectReason::Forbidden,
        RejectReason::NotReady,
        RejectReason::UnknownService,
        RejectReason::Unauthenticated,
        RejectReason::Other,
    ];
    let rejection =
        |reason| Rejection::new(reason).with_text("on principle").with_metadata(entry("more", "later"));
    let next = Arc::new(Mutex::new(reasons.to_vec()));
    let server = ().accepting(move |incoming: IncomingConnection| {
        let reason = next.lock().unwrap().remove(0);
        incoming.reject_with(rejection(reason));
    });
    let scene = Scene::new(link, (), server).await;
    for reason in reasons {
        let rejected = scene.client.opening("any").open().await.unwrap_err();
        assert_eq!(rejected, ConnectionError::Rejected(rejection(reason)));
    }
    assert!(scene.client.is_open());
}

fn rejected(error: &ConnectionError) -> &RejectReason {
    match error {
        ConnectionError::Rejected(rejection) => &rejection.reason,
        other => panic!("not rejected: {other}"),
    }
}

pub async fn c3_without_an_acceptor_it_is_rejected(link: Link) {
    let scene = Scene::new(link, (), is("server")).await;
    let error = scene.client.open::<NamedClient>().await.unwrap_err();
    assert_eq!(rejected(&error), &RejectReason::NoAcceptor);
    assert_eq!(scene.client.client::<NamedClient>().name("x").await.unwrap(), "server: x");
}

pub async fn c3_undecided_it_is_rejected(link: Link) {
    let server = is("root").accepting(|incoming: IncomingConnection| {
        if incoming.service() == "panic" {
            panic!("as the test asks");
        }
        drop(incoming);
    });
    let scene = Scene::new(link, (), server).await;
    for name in ["drop", "panic"] {
        let error = scene.client.opening(name).open().await.unwrap_err();
        assert_eq!(rejected(&error), &RejectReason::NoAcceptor);
    }
    assert_eq!(scene.client.client::<NamedClient>().name("x").await.unwrap(), "root: x");
}

pub async fn c3_the_acceptor_calls_the_opener(link: Link) {
    let (opened, mut opens) = mpsc::unbounded_channel();
    let server = ().accepting(move |incoming: IncomingConnection| {
        opened.send(incoming.serve(is("server")).unwrap()).unwrap();
    });
    let scene = Scene::new(link, is("root"), server).await;
    let connection = scene.client.opening("Named").serve(is("client")).open().await.unwrap();
    let back = opens.recv().await.unwrap();
    assert_eq!(back.client::<NamedClient>().name("x").await.unwrap(), "client: x");
    let ours: NamedClient = connection.client();
    assert_eq!(ours.name_of_caller().await.unwrap(), "client: you");
}

pub async fn c3_the_acceptor_decides_later(link: Link) {
    let (asked, mut asks) = mpsc::unbounded_channel();
    let server = ().accepting(move |incoming: IncomingConnection| asked.send(incoming).unwrap());
    let scene = Scene::new(link, (), server).await;
    let opening = tokio::spawn({
        let session = scene.client.clone();
        async move { session.open::<NamedClient>().await }
    });
    let incoming = asks.recv().await.unwrap();
    assert!(!opening.is_finished());
    incoming.serve(is("late")).unwrap();
    assert_eq!(opening.await.unwrap().unwrap().name("x").await.unwrap(), "late: x");
    // An opener that does not wait any more: the connection is over when it would be taken.
    let opening = tokio::spawn({
        let session = scene.client.clone();
        async move { session.open::<NamedClient>().await }
    });
    let incoming = asks.recv().await.unwrap();
    opening.abort();
    assert!(opening.await.unwrap_err().is_cancelled());
    let third: tokio::task::JoinHandle<_> = tokio::spawn({
        let session = scene.client.clone();
        async move { session.open::<NamedClient>().await }
    });
    // It was asked for behind the close of the second.
    let next = asks.recv().await.unwrap();
    assert!(incoming.serve(is("too late")).is_none());
    next.serve(is("third")).unwrap();
    assert_eq!(third.await.unwrap().unwrap().name("x").await.unwrap(), "third: x");
}

pub async fn c3_what_the_handler_sends_comes_after_the_verdict(link: Link) {
    let (named, mut names) = mpsc::unbounded_channel();
    let server = ().accepting(move |incoming: IncomingConnection| {
        let back: NamedClient = incoming.serve(is("server")).unwrap().client();
        let named = named.clone();
        tokio::spawn(async move { named.send(back.name("first").await).unwrap() });
    });
    let scene = Scene::new(link, (), server).await;
    for _ in 0..50 {
        let connection = scene.client.opening("Named").serve(is("client")).open().await.unwrap();
        assert_eq!(names.recv().await.unwrap().unwrap(), "client: first");
        drop(connection);
    }
}

pub async fn c4_the_acceptor_sees_who_asks(link: Link) {
    let (seen, mut sees) = mpsc::unbounded_channel();
    let server = ().accepting(move |incoming: IncomingConnection| {
        let session = incoming.session();
        seen.send((session.peer(), session.transport(), incoming.settings().requests)).unwrap();
        incoming.reject(RejectReason::Forbidden);
    });
    let scene = Scene::new(link, (), server).await;
    assert!(scene.client.opening("any").open().await.is_err());
    let (peer, transport, requests) = sees.recv().await.unwrap();
    assert_eq!(peer, scene.server.peer());
    assert_eq!(transport, scene.server.transport());
    assert_eq!(requests, 64);
}

pub async fn c5_a_router_serves_by_name(link: Link) {
    let router = Router::new()
        .route(is("by name"))
        .route(DoublesServer::new(Two))
        .route_to("special", |incoming: IncomingConnection| {
            drop(incoming.serve((is("special"), DoublesServer::new(Two))))
        });
    let scene = Scene::new(link, (), ().accepting(router)).await;
    let named: NamedClient = scene.client.open().await.unwrap();
    let doubles: DoublesClient = scene.client.open().await.unwrap();
    assert_eq!(named.name("x").await.unwrap(), "by name: x");
    assert_eq!(doubles.double(21).await.unwrap(), 42);
    assert_eq!(named.connection().client::<DoublesClient>().double(1).await, Err(CallError::UnknownMethod));
    // Several services on one connection.
    let special = scene.client.opening("special").open().await.unwrap();
    assert_eq!(special.client::<NamedClient>().name("x").await.unwrap(), "special: x");
    assert_eq!(special.client::<DoublesClient>().double(4).await.unwrap(), 8);
    let error = scene.client.opening("unheard of").open().await.unwrap_err();
    assert_eq!(rejected(&error), &RejectReason::UnknownService);
}

pub async fn c6_calls_on_two_connections_have_ids_of_their_own(link: Link) {
    let scene = Scene::new(link, (), is("root").accepting(Router::new().route(is("virtual")))).await;
    let root: NamedClient = scene.client.client();
    let one: NamedClient = scene.client.open().await.unwrap();
    let two: NamedClient = scene.client.open().await.unwrap();
    assert_eq!(root.where_am_i().await.unwrap(), (0, 1));
    assert_eq!(one.where_am_i().await.unwrap(), (1, 1));
    assert_eq!(two.where_am_i().await.unwrap(), (3, 1));
    assert_eq!(one.where_am_i().await.unwrap(), (1, 3));
    drop(one);
    let three: NamedClient = scene.client.open().await.unwrap();
    assert_eq!(three.where_am_i().await.unwrap(), (5, 1), "no ID of a connection is used twice");
}

async fn opened(scene: &Scene, opens: &mut mpsc::UnboundedReceiver<Connection>) -> (NamedClient, Connection) {
    (scene.client.open().await.unwrap(), opens.recv().await.unwrap())
}

fn passing_on() -> (impl transom::Acceptor, mpsc::UnboundedReceiver<Connection>) {
    let (opened, opens) = mpsc::unbounded_channel();
    let acceptor = move |incoming: IncomingConnection| {
        opened.send(incoming.serve(is("virtual")).unwrap()).unwrap();
    };
    (acceptor, opens)
}

pub async fn c7_either_side_closes(link: Link) {
    let (acceptor, mut opens) = passing_on();
    let scene = Scene::new(link, (), is("root").accepting(acceptor)).await;
    for opener_closes in [true, false] {
        let (ours, theirs) = opened(&scene, &mut opens).await;
        assert_eq!(ours.name("x").await.unwrap(), "virtual: x");
        let (closing, other) = match opener_closes {
            true => (ours.connection().clone(), theirs.clone()),
            false => (theirs.clone(), ours.connection().clone()),
        };
        closing.close();
        assert_eq!(closing.closed().await, CloseReason::Local);
        assert_eq!(other.closed().await, CloseReason::Goodbye);
        assert!(!other.is_open());
        let error = ours.name("x").await.unwrap_err();
        assert!(matches!(error, CallError::Disconnected { maybe_executed: false, .. }), "{error}");
    }
    assert_eq!(scene.client.client::<NamedClient>().name("x").await.unwrap(), "root: x");
}

pub async fn c7_calls_in_flight_end_with_the_connection(link: Link) {
    let (acceptor, mut opens) = passing_on();
    let scene = Scene::new(link, (), is("root").accepting(acceptor)).await;
    let (ours, theirs) = opened(&scene, &mut opens).await;
    let never = tokio::spawn({
        let ours = ours.clone();
        async move { ours.never().await }
    });
    // Calls are in order: a number that these have not used shows that the other one has come.
    let mut number = 1;
    while ours.where_am_i().await.unwrap().1 == number {
        number += 2;
    }
    theirs.close();
    let error = never.await.unwrap().unwrap_err();
    assert_eq!(error, CallError::Disconnected { reason: CloseReason::Goodbye, maybe_executed: true });
    assert_eq!(scene.client.client::<NamedClient>().name("x").await.unwrap(), "root: x");
}

pub async fn c7_the_root_cannot_be_closed(link: Link) {
    let scene = Scene::new(link, (), is("root")).await;
    scene.client.root().close();
    assert!(scene.client.root().is_open());
    assert_eq!(scene.client.client::<NamedClient>().name("x").await.unwrap(), "root: x");
}

pub async fn c8_dropping_the_last_client_closes_what_this_side_opened(link: Link) {
    let (acceptor, mut opens) = passing_on();
    let scene = Scene::new(link, (), is("root").accepting(acceptor)).await;
    let (ours, theirs) = opened(&scene, &mut opens).await;
    let another = ours.clone();
    drop(ours);
    assert_eq!(another.name("x").await.unwrap(), "virtual: x");
    assert!(theirs.is_open());
    drop(another);
    assert_eq!(theirs.closed().await, CloseReason::Goodbye);
    // What the peer has opened stays open, whoever holds it here.
    let (ours, theirs) = opened(&scene, &mut opens).await;
    drop(theirs);
    assert_eq!(ours.name("x").await.unwrap(), "virtual: x");
}

pub async fn c8_the_root_lives_as_long_as_the_session(link: Link) {
    let scene = Scene::new(link, (), is("root")).await;
    drop(scene.client.client::<NamedClient>());
    drop(scene.client.root());
    assert_eq!(scene.client.client::<NamedClient>().name("x").await.unwrap(), "root: x");
    let root = scene.client.root();
    scene.client.close();
    assert_eq!(root.closed().await, CloseReason::Local);
}

pub async fn c9_who_waits_learns_of_the_end(link: Link) {
    let (acceptor, mut opens) = passing_on();
    let scene = Scene::new(link, (), is("root").accepting(acceptor)).await;
    let (ours, theirs) = opened(&scene, &mut opens).await;
    assert!(ours.connection().is_open() && theirs.is_open());
    let (tell, told) = oneshot::channel();
    tokio::spawn(async move { tell.send(theirs.closed().await) });
    scene.client.close();
    assert_eq!(ours.connection().closed().await, CloseReason::Local);
    assert_eq!(told.await.unwrap(), CloseReason::Goodbye);
    assert!(!ours.connection().is_open());
    let error = scene.client.open::<NamedClient>().await.unwrap_err();
    assert_eq!(error, ConnectionError::Disconnected(CloseReason::Local));
}

pub async fn c10_each_connection_has_settings_of_its_own(link: Link) {
    let server = is("root").accepting(|incoming: IncomingConnection| {
        let mut settings = incoming.settings();
        settings.requests = settings.requests.min(2);
        drop(incoming.with_settings(settings).serve(is("virtual")));
    });
    let scene = Scene::new(link, (), server).await;
    let ours: NamedClient = scene.client.open().await.unwrap();
    let mut calls: Vec<_> = (0..2).map(|_| Box::pin(async { ours.never().await })).collect();
    for call in &mut calls {
        assert!(futures_poll(call.as_mut()).await.is_none(), "it is on its way");
    }
    let mut third = Box::pin(async { ours.name("x").await });
    assert!(futures_poll(third.as_mut()).await.is_none(), "it waits for its turn");
    assert_eq!(scene.client.client::<NamedClient>().name("x").await.unwrap(), "root: x");
    calls.pop();
    assert_eq!(third.await.unwrap(), "virtual: x");
    let settings = ConnectionSettings::new(1, 1024, 1);
    let one: Connection = scene.client.opening("Named").with_settings(settings).open().await.unwrap();
    assert_eq!(one.client::<NamedClient>().name("x").await.unwrap(), "virtual: x");
}

/// Polls once.
async fn futures_poll<F: Future + ?Sized>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        std::task::Poll::Ready(ready) => std::task::Poll::Ready(Some(ready)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

pub async fn s7_a_goodbye_rejects_new_connections(link: Link) {
    let scene =
        Scene::new(link, is("client"), is("root").accepting(Router::new().route(is("virtual")))).await;
    // Something is in flight, so that the session goes on.
    let never = tokio::spawn({
        let client: NamedClient = scene.server.client();
        async move { client.never().await }
    });
    let root: NamedClient = scene.server.client();
    while root.where_am_i().await.unwrap().1 < 4 {}
    scene.server.goodbye();
    loop {
        match scene.client.open::<NamedClient>().await.unwrap_err() {
            ConnectionError::Rejected(rejection) => assert_eq!(rejection.reason, RejectReason::Draining),
            ConnectionError::Disconnected(reason) => break assert_eq!(reason, CloseReason::Goodbye),
            error => panic!("{error}"),
        }
    }
    never.abort();
    assert_eq!(scene.client.closed().await, CloseReason::Goodbye);
}

pub async fn s8_nothing_is_left_of_closed_connections(link: Link) {
    // More than may be open at a time, one after another: those that are over do not count.
    let limits = {
        let mut limits = transom::Limits::default();
        limits.connections = 3;
        limits
    };
    let acceptor = Router::new().route(is("virtual"));
    let scene = Scene::with(link, Options::new().limits(limits), (), is("root").accepting(acceptor)).await;
    for round in 0..200 {
        let named: NamedClient = scene.client.open().await.unwrap();
        if round % 2 == 0 {
            assert_eq!(named.name("x").await.unwrap(), "virtual: x");
        }
    }
    let three = [
        scene.client.open::<NamedClient>().await.unwrap(),
        scene.client.open::<NamedClient>().await.unwrap(),
        scene.client.open::<NamedClient>().await.unwrap(),
    ];
    let error = scene.client.open::<NamedClient>().await.unwrap_err();
    assert_eq!(error, ConnectionError::TooMany { limit: 3 });
    drop(three);
    assert_eq!(scene.client.open::<NamedClient>().await.unwrap().name("x").await.unwrap(), "virtual: x");
}
