//! Clients that outlive their sessions.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::Place;
use tokio::sync::Notify;
use transom::{CallError, Client as _, CloseReason, Connector, Rx, Server, Session, channel};

/// What may be done twice, and what may not.
#[transom::service]
trait Counts {
    /// How often anything has been asked for.
    #[transom(idempotent)]
    async fn read(&self) -> u32;
    /// Waits until the session ends, the first time.
    #[transom(idempotent)]
    async fn read_late(&self) -> u32;
    /// Not to be done twice; waits as well.
    async fn add_late(&self) -> u32;
    /// The sum of what comes.
    #[transom(idempotent)]
    async fn sum(&self, numbers: Rx<u32>) -> u32;
}

#[derive(Clone, Default)]
struct Counter {
    asked: Arc<AtomicU32>,
    waits: Arc<Notify>,
}

impl Counter {
    async fn late(&self) -> u32 {
        let before = self.asked.fetch_add(1, Ordering::Relaxed);
        if before == 0 {
            self.waits.notify_one();
            std::future::pending().await
        }
        before
    }
}

impl Counts for Counter {
    async fn read(&self) -> u32 {
        self.asked.fetch_add(1, Ordering::Relaxed)
    }
    async fn read_late(&self) -> u32 {
        self.late().await
    }
    async fn add_late(&self) -> u32 {
        self.late().await
    }
    async fn sum(&self, mut numbers: Rx<u32>) -> u32 {
        let mut sum = 0;
        while let Ok(Some(number)) = numbers.recv().await {
            sum += number;
        }
        sum
    }
}

const PATIENCE: Duration = Duration::from_secs(20);

fn addresses(place: &Place) -> [String; 3] {
    let path = place.path().display().to_string();
    [format!("shm:{path}"), format!("unix:{path}"), "tcp:127.0.0.1:0".to_owned()]
}

/// A listener, and a client that reconnects.
async fn served(address: &str, counter: &Counter) -> (transom::Listener, CountsClient, Session) {
    let mut listener = Server::new(address, CountsServer::new(counter.clone())).bind().unwrap();
    let connector = Connector::to(listener.address().clone()).reconnect_within(PATIENCE);
    let (client, session) = tokio::join!(connector.connect::<CountsClient>(), listener.accept());
    (listener, client.unwrap(), session.unwrap())
}

#[tokio::test]
async fn u6_the_next_call_connects_anew_once_for_all() {
    let place = Place::new();
    for address in addresses(&place) {
        let counter = Counter::default();
        let (mut listener, client, session) = served(&address, &counter).await;
        assert_eq!(client.read().await, Ok(0));
        session.close();
        assert_eq!(client.connection().closed().await, CloseReason::Goodbye);
        let calls: Vec<_> = (0..20)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { client.read().await })
            })
            .collect();
        let second = listener.accept().await.unwrap();
        for call in calls {
            call.await.unwrap().unwrap();
        }
        // Nobody else has connected.
        let third = tokio::time::timeout(Duration::from_millis(20), listener.accept()).await;
        assert!(third.is_err(), "{address}: one for all");
        assert_eq!(client.read().await, Ok(21));
        drop(client);
        assert_eq!(second.closed().await, CloseReason::Goodbye, "{address}: it goes with the last client");
    }
}

#[tokio::test]
async fn u6_what_may_have_run_is_repeated_only_where_it_is_idempotent() {
    let place = Place::new();
    for address in addresses(&place) {
        let counter = Counter::default();
        let (mut listener, client, session) = served(&address, &counter).await;
        let call = tokio::spawn({
            let client = client.clone();
            async move { client.add_late().await }
        });
        counter.waits.notified().await;
        session.close();
        let lost = CallError::Disconnected { reason: CloseReason::Goodbye, maybe_executed: true };
        assert_eq!(call.await.unwrap(), Err(lost), "{address}");
        assert_eq!(counter.asked.swap(0, Ordering::Relaxed), 1);
        let (read, session) = tokio::join!(client.read(), listener.accept());
        assert_eq!(read, Ok(0));
        counter.asked.store(0, Ordering::Relaxed);
        let call = tokio::spawn({
            let client = client.clone();
            async move { client.read_late().await }
        });
        counter.waits.notified().await;
        session.unwrap().close();
        let _third = listener.accept().await.unwrap();
        assert_eq!(call.await.unwrap(), Ok(1), "{address}: once more");
    }
}

#[tokio::test]
async fn u6_channels_go_over_the_session_of_their_call() {
    let place = Place::new();
    for address in addresses(&place) {
        let counter = Counter::default();
        let (mut listener, client, session) = served(&address, &counter).await;
        session.close();
        client.connection().closed().await;
        let (tx, rx) = channel();
        let call = tokio::spawn({
            let client = client.clone();
            async move { client.sum(rx).await }
        });
        let session = listener.accept().await.unwrap();
        tx.send_all([1, 2, 3]).await.unwrap();
        tx.close();
        assert_eq!(call.await.unwrap(), Ok(6), "{address}");
        // One whose ends have gone is not made again, idempotent or not.
        let (tx, rx) = channel();
        let call = tokio::spawn({
            let client = client.clone();
            async move { client.sum(rx).await }
        });
        tx.send(1).await.unwrap();
        session.close();
        assert!(matches!(call.await.unwrap(), Err(CallError::Disconnected { .. })), "{address}");
    }
}

#[tokio::test]
async fn u6_nobody_there_and_a_deadline_end_the_wait() {
    let place = Place::new();
    for address in addresses(&place) {
        let counter = Counter::default();
        let (listener, client, session) = served(&address, &counter).await;
        drop(listener);
        session.close();
        client.connection().closed().await;
        let error = client.read().deadline(Duration::from_millis(30)).await.unwrap_err();
        assert!(matches!(error, CallError::Disconnected { maybe_executed: false, .. }), "{address}: {error}");
    }
}

#[test]
fn u6_threads_reconnect_too() {
    let place = Place::new();
    for address in addresses(&place) {
        let counter = Counter::default();
        let listener = Server::new(&address, CountsServer::new(counter.clone())).bind_blocking().unwrap();
        let connector = Connector::to(listener.address().clone()).reconnect_within(PATIENCE);
        std::thread::scope(|scope| {
            let server = scope.spawn(|| listener.accept().unwrap());
            let client: CountsBlockingClient = connector.connect_blocking().unwrap();
            let session = server.join().unwrap();
            assert_eq!(client.read(), Ok(0));
            session.close();
            let server = scope.spawn(|| listener.accept().unwrap());
            let callers: Vec<_> = (0..8)
                .map(|_| {
                    let client = client.clone();
                    scope.spawn(move || client.read())
                })
                .collect();
            callers.into_iter().for_each(|caller| assert!(caller.join().unwrap().is_ok(), "{address}"));
            let second = server.join().unwrap();
            assert_eq!(client.read(), Ok(9), "{address}");
            drop(client);
            drop(second);
        });
    }
}
