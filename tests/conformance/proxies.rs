//! Proxies: X1 to X5. The near link is the one that the suite runs on; the far one is always shared memory.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use transom::proxy::{Forward, relay};
use transom::{
    CallError, Client as _, CloseReason, ConnectionError, Context, Entry, IncomingConnection, Metadata,
    RejectReason, Router, Service as _,
};

use crate::connections::{DoublesClient, NamedClient, is};
use crate::scene::{Link, Scene};

/// What a proxy has to pass on besides results.
#[transom::service]
pub trait Odd {
    async fn divide(&self, by: u64) -> Result<u64, ByZero>;
    async fn panics(&self);
    /// The keys of the metadata, and whether there is a deadline.
    async fn seen(&self, cx: &Context) -> (String, bool);
    /// No answer; says when it is dropped.
    async fn never(&self);
}

#[derive(Debug, PartialEq, facet::Facet)]
pub struct ByZero;

pub struct Strange {
    dropped: Arc<Notify>,
    started: Arc<Notify>,
}

impl Odd for Strange {
    async fn divide(&self, by: u64) -> Result<u64, ByZero> {
        100u64.checked_div(by).ok_or(ByZero)
    }
    async fn panics(&self) {
        panic!("as the test asks");
    }
    async fn seen(&self, cx: &Context) -> (String, bool) {
        let keys: Vec<&str> = cx.metadata().iter().map(Entry::key).collect();
        (keys.join(" "), cx.deadline().is_some())
    }
    async fn never(&self) {
        struct Says(Arc<Notify>);
        impl Drop for Says {
            fn drop(&mut self) {
                self.0.notify_one();
            }
        }
        let _says = Says(Arc::clone(&self.dropped));
        self.started.notify_one();
        std::future::pending().await
    }
}

/// A session whose server passes calls on to that of another one.
struct Chain {
    near: Scene,
    far: Scene,
    started: Arc<Notify>,
    dropped: Arc<Notify>,
}

impl Chain {
    async fn new(link: Link) -> Self {
        let (dropped, started) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let strange = Strange { dropped: Arc::clone(&dropped), started: Arc::clone(&started) };
        let far = Scene::new(Link::Shm, (), (OddServer::new(strange), is("far"))).await;
        let near = Scene::new(link, (), Forward::to(far.client.root())).await;
        Self { near, far, started, dropped }
    }

    fn odd(&self) -> OddClient {
        self.near.client.client()
    }
}

pub async fn x1_a_connection_is_relayed_both_ways(link: Link) {
    let (opened, mut opens) = mpsc::unbounded_channel();
    let far = ().accepting(move |incoming: IncomingConnection| {
        assert_eq!(
            (incoming.service(), incoming.metadata().len()),
            ("Named", 1),
            "only what may be passed on"
        );
        let mut metadata = Metadata::new();
        metadata.push(Entry::new("far", 1)).unwrap();
        opened.send(incoming.with_metadata(metadata).serve(is("far")).unwrap()).unwrap();
    });
    let far = Scene::new(Link::Shm, (), far).await;
    let behind = far.client.clone();
    let near = ().accepting(move |incoming: IncomingConnection| {
        let behind = behind.clone();
        tokio::spawn(async move { relay(incoming, &behind).await });
    });
    let near = Scene::new(link, (), near).await;
    let mut metadata = Metadata::new();
    metadata.push(Entry::new("goes on", 1)).unwrap();
    metadata.push(Entry::new("stays", 1).no_propagate()).unwrap();
    let connection =
        near.client.opening("Named").with_metadata(metadata).serve(is("near")).open().await.unwrap();
    assert!(connection.metadata().get("far").is_some());
    let (ours, back) = (connection.client::<NamedClient>(), opens.recv().await.unwrap());
    assert_eq!(ours.name("x").await.unwrap(), "far: x");
    assert_eq!(back.client::<NamedClient>().name("y").await.unwrap(), "near: y");
    assert_eq!(ours.name_of_caller().await.unwrap(), "near: you");
}

pub async fn x1_a_relayed_connection_ends_with_either_side(link: Link) {
    let (opened, mut opens) = mpsc::unbounded_channel();
    let far = ().accepting(move |incoming: IncomingConnection| {
        opened.send(incoming.serve(is("far")).unwrap()).unwrap();
    });
    let far = Scene::new(Link::Shm, (), far).await;
    let behind = far.client.clone();
    let near = ().accepting(move |incoming: IncomingConnection| {
        let behind = behind.clone();
        tokio::spawn(async move { relay(incoming, &behind).await });
    });
    let near = Scene::new(link, (), near).await;
    let ours: NamedClient = near.client.open().await.unwrap();
    let theirs = opens.recv().await.unwrap();
    drop(ours);
    assert_eq!(theirs.closed().await, CloseReason::Goodbye);
    let ours: NamedClient = near.client.open().await.unwrap();
    opens.recv().await.unwrap().close();
    assert_eq!(ours.connection().closed().await, CloseReason::Goodbye);
    let ours: NamedClient = near.client.open().await.unwrap();
    far.server.close();
    assert_eq!(ours.connection().closed().await, CloseReason::Goodbye);
    assert!(near.client.is_open());
}

pub async fn x1_a_rejection_is_passed_on(link: Link) {
    let far = Scene::new(Link::Shm, (), ().accepting(Router::new())).await;
    let behind = far.client.clone();
    let near = ().accepting(move |incoming: IncomingConnection| {
        let behind = behind.clone();
        tokio::spawn(async move { relay(incoming, &behind).await });
    });
    let near = Scene::new(link, (), near).await;
    let reason = |error| match error {
        ConnectionError::Rejected(rejection) => rejection.reason,
        other => panic!("not rejected: {other}"),
    };
    let error = near.client.open::<NamedClient>().await.unwrap_err();
    assert_eq!(reason(error), RejectReason::UnknownService);
    far.client.close();
    let error = near.client.open::<NamedClient>().await.unwrap_err();
    assert_eq!(reason(error), RejectReason::NotReady);
}

pub async fn x2_calls_are_forwarded_with_their_errors(link: Link) {
    let chain = Chain::new(link).await;
    let odd = chain.odd();
    assert_eq!(odd.divide(5).await, Ok(20));
    assert_eq!(odd.divide(0).await, Err(CallError::User(ByZero)));
    assert_eq!(odd.panics().await, Err(CallError::HandlerPanicked));
    let named: NamedClient = chain.near.client.client();
    for length in [0, 10, 100_000] {
        let text = "x".repeat(length);
        assert_eq!(named.name(&text).await.unwrap(), format!("far: {text}"));
    }
    let error = chain.near.client.client::<DoublesClient>().double(1).await;
    assert_eq!(error, Err(CallError::UnknownMethod));
}

pub async fn x2_metadata_is_forwarded_but_for_what_is_not_to_be(link: Link) {
    let chain = Chain::new(link).await;
    let mut metadata = Metadata::new();
    metadata.push(Entry::new("one", 1)).unwrap();
    metadata.push(Entry::new("secret", 2).no_propagate()).unwrap();
    metadata.push(Entry::new("three", 3).sensitive()).unwrap();
    let seen = chain.odd().seen().with_metadata(metadata).deadline(Duration::from_secs(20)).await.unwrap();
    assert_eq!(seen, ("one three".to_owned(), true));
}

pub async fn x2_a_cancellation_and_a_deadline_go_along(link: Link) {
    let chain = Chain::new(link).await;
    let odd = chain.odd();
    let call = tokio::spawn({
        let odd = odd.clone();
        async move { odd.never().await }
    });
    chain.started.notified().await;
    call.abort();
    chain.dropped.notified().await;
    let error = odd.never().deadline(Duration::from_millis(20)).await;
    assert_eq!(error, Err(CallError::DeadlineExceeded));
    assert_eq!(odd.divide(5).await, Ok(20));
}

pub async fn x2_the_death_of_the_upstream_is_told(link: Link) {
    let chain = Chain::new(link).await;
    let odd = chain.odd();
    let call = tokio::spawn({
        let odd = odd.clone();
        async move { odd.never().await }
    });
    chain.started.notified().await;
    chain.far.server.close();
    let lost = CallError::Upstream { reason: CloseReason::Goodbye, maybe_executed: true };
    assert_eq!(call.await.unwrap(), Err(lost));
    assert_eq!(chain.far.client.closed().await, CloseReason::Goodbye);
    let lost = CallError::Upstream { reason: CloseReason::Goodbye, maybe_executed: false };
    assert_eq!(odd.divide(5).await, Err(lost));
    assert!(chain.near.client.is_open());
}

pub async fn x3_before_it_is_set_calls_are_refused(link: Link) {
    let (forward, upstream) = Forward::late();
    let near = Scene::new(link, (), forward).await;
    let named: NamedClient = near.client.client();
    let error = named.name("x").await.unwrap_err();
    assert_eq!(error, CallError::Refused);
    assert!(error.can_retry());
    let far = Scene::new(Link::Shm, (), is("far")).await;
    upstream.set(far.client.root()).unwrap();
    assert!(upstream.set(far.client.root()).is_err());
    assert_eq!(named.name("x").await.unwrap(), "far: x");
}

mod other {
    /// The same names as the suite's own, and other types.
    #[transom::service]
    pub trait Named {
        async fn name(&self, text: u64) -> String;
    }
}

pub async fn x5_types_are_compared_end_to_end(link: Link) {
    let far = Scene::new(Link::Shm, (), is("far")).await;
    let near = Scene::new(link, (), (Forward::to(far.client.root()),)).await;
    let other: other::NamedClient = near.client.client();
    let error = other.name(1).await.unwrap_err();
    assert!(
        matches!(&error, CallError::InvalidPayload { detail } if detail.contains("named.name")),
        "{error}"
    );
    // Whoever shares the far connection hears of it, too.
    let second = Scene::new(link, (), Forward::to(far.client.root())).await;
    let error = second.client.client::<NamedClient>().name("x").await.unwrap_err();
    assert!(
        matches!(&error, CallError::InvalidPayload { detail } if detail.contains("named.name")),
        "{error}"
    );
}
