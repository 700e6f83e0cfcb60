//! Work that a handler has started elsewhere learns when nobody waits for it any more.

use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use transom::{Cancellation, Connector, Context, Server};

#[transom::service]
trait Works {
    /// Starts work elsewhere, and returns at once or never.
    async fn work(&self, cx: &Context, ends: bool);
}

struct Worker(UnboundedSender<(Cancellation, Context)>);

impl Works for Worker {
    async fn work(&self, cx: &Context, ends: bool) {
        assert_eq!(cx.peer().pid, Some(std::process::id()));
        self.0.send((cx.cancellation().clone(), cx.clone())).expect("the test listens");
        if !ends {
            std::future::pending().await
        }
    }
}

#[tokio::test]
async fn work_elsewhere_is_cancelled_with_its_handler_and_not_before() {
    let (started, mut work) = unbounded_channel();
    let mut listener = Server::new("mem:cancellation", WorksServer::new(Worker(started))).bind().unwrap();
    let connecting = Connector::new("mem:cancellation").connect::<WorksClient>();
    let (client, _session) = tokio::join!(connecting, listener.accept());
    let client = client.unwrap();
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.work(false).await }
    });
    let (cancellation, clone) = work.recv().await.unwrap();
    assert!(!cancellation.is_cancelled());
    assert!(!clone.cancellation().is_cancelled());
    call.abort();
    let patience = Duration::from_secs(20);
    tokio::time::timeout(patience, cancellation.cancelled()).await.expect("its caller is gone");
    assert!(cancellation.is_cancelled() && clone.cancellation().is_cancelled(), "a clone says the same");

    assert_eq!(client.work(true).await, Ok(()));
    let (cancellation, clone) = work.recv().await.unwrap();
    drop(clone);
    tokio::time::timeout(patience, cancellation.cancelled()).await.expect("its handler has returned");
}
