//! What a session has done so far: S5.

use std::future::pending;
use std::time::Duration;

use transom::{CallError, CallStats, Options, Router, Rx, Service as _, Session, SessionStats, Tx, channel};

use crate::scene::{Blocking, Link, Scene};

#[transom::service]
pub trait Counted {
    async fn echo(&self, bytes: Vec<u8>) -> Vec<u8>;
    async fn fail(&self) -> Result<u8, String>;
    async fn never(&self);
    async fn sum(&self, numbers: Rx<u64>) -> u64;
    async fn count(&self, to: u64, out: Tx<u64>);
}

#[derive(Clone)]
struct Counts;

impl Counted for Counts {
    async fn echo(&self, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }

    async fn fail(&self) -> Result<u8, String> {
        Err("as the test asks".to_owned())
    }

    async fn never(&self) {
        pending().await
    }

    async fn sum(&self, mut numbers: Rx<u64>) -> u64 {
        let mut sum = 0;
        while let Ok(Some(number)) = numbers.recv().await {
            sum += number;
        }
        sum
    }

    async fn count(&self, to: u64, out: Tx<u64>) {
        out.send_all(0..to).await.expect("are received");
    }
}

fn server() -> CountedServer<Counts> {
    CountedServer::new(Counts)
}

/// Looks until what a session has counted is so.
async fn eventually(session: &Session, is_so: impl Fn(&SessionStats) -> bool) -> SessionStats {
    loop {
        let stats = session.stats();
        if is_so(&stats) {
            return stats;
        }
        tokio::task::yield_now().await;
    }
}

fn calls(stats: CallStats) -> [u64; 5] {
    [stats.started, stats.answered, stats.failed, stats.cancelled, stats.in_flight]
}

pub async fn s5_calls_are_counted_by_how_they_end(link: Link) {
    let scene = Scene::new(link, (), server()).await;
    let client: CountedClient = scene.client.client();
    assert_eq!(calls(scene.client.stats().calls), [0; 5]);
    for _ in 0..7 {
        client.echo(vec![1]).await.unwrap();
    }
    for _ in 0..3 {
        assert!(matches!(client.fail().await, Err(CallError::User(_))));
    }
    assert_eq!(calls(scene.client.stats().calls), [10, 7, 3, 0, 0]);

    // Dropped, and out of time. Those who serve them learn of it, and answer.
    let waits = tokio::spawn({
        let client = client.clone();
        async move { client.never().await }
    });
    eventually(&scene.server, |stats| stats.served.in_flight == 1).await;
    assert_eq!(calls(scene.client.stats().calls), [11, 7, 3, 0, 1]);
    waits.abort();
    assert!(waits.await.unwrap_err().is_cancelled());
    let late = client.never().deadline(Duration::from_millis(20)).await;
    assert_eq!(late, Err(CallError::DeadlineExceeded));
    let stats = eventually(&scene.client, |stats| stats.calls.in_flight == 0).await;
    assert_eq!(stats.calls.started, 12);
    assert_eq!((stats.calls.answered, stats.calls.failed), (7, 5));
    // Its callee knows, too, when a call is out of time, and may have answered before it was told.
    let cancelled = stats.calls.cancelled;
    assert!((1..=2).contains(&cancelled), "{cancelled}");
    let served = eventually(&scene.server, |served| served.served.cancelled == cancelled).await;
    assert_eq!(served.served, stats.calls, "the other side has counted the same");
    assert_eq!(calls(served.calls), [0; 5]);

    // What never was on its way does not count.
    scene.client.close();
    assert!(client.echo(vec![1]).await.is_err());
    assert_eq!(scene.client.stats().calls, stats.calls, "after the end it is as it was");
}

pub async fn s5_calls_of_either_side_are_counted(link: Link) {
    let scene = Scene::new(link, server(), server()).await;
    let (there, back): (CountedClient, CountedClient) = (scene.client.client(), scene.server.client());
    for _ in 0..5 {
        there.echo(vec![]).await.unwrap();
    }
    for _ in 0..2 {
        back.echo(vec![]).await.unwrap();
    }
    for (session, made, served) in [(&scene.client, 5, 2), (&scene.server, 2, 5)] {
        let stats = session.stats();
        assert_eq!(calls(stats.calls), [made, made, 0, 0, 0]);
        assert_eq!(calls(stats.served), [served, served, 0, 0, 0]);
        assert_eq!(stats.transport, session.transport());
    }
}

pub async fn s5_what_has_gone_one_way_has_come_the_other(link: Link) {
    let scene = Scene::new(link, (), server()).await;
    let client: CountedClient = scene.client.client();
    client.echo(vec![]).await.unwrap();
    let before = scene.client.stats();
    // Larger than a frame, on every link.
    let size = 3_000_000;
    client.echo(vec![1; size]).await.unwrap();
    let (here, there) = (scene.client.stats(), scene.server.stats());
    assert_eq!(here.sent, there.received);
    assert_eq!(here.received, there.sent);
    for (now, then) in [(here.sent, before.sent), (here.received, before.received)] {
        let (frames, bytes) = (now.frames - then.frames, now.bytes - then.bytes);
        let payload = bytes - 32 * frames;
        assert!((size as u64..size as u64 + 100).contains(&payload), "{payload} in {frames} frames");
        assert!(frames > 1, "{frames} frames");
        assert_eq!(now.items, 0);
    }
    assert_eq!(calls(here.calls), [2, 2, 0, 0, 0], "in however many frames");
}

pub async fn s5_items_are_counted(link: Link) {
    let scene = Scene::new(link, (), server()).await;
    let client: CountedClient = scene.client.client();
    let (tx, rx) = channel();
    let sending = async move {
        tx.send(1).await.unwrap();
        tx.send_all(2..=1000).await.unwrap();
    };
    let (sum, ()) = tokio::join!(client.sum(rx), sending);
    assert_eq!(sum, Ok(500_500));
    assert_eq!((scene.client.stats().sent.items, scene.server.stats().received.items), (1000, 1000));
    let (tx, mut rx) = channel();
    let receiving = async {
        let mut count = 0;
        while rx.recv().await.unwrap().is_some() {
            count += 1;
        }
        count
    };
    let (counted, count) = tokio::join!(client.count(300, tx), receiving);
    assert_eq!((counted, count), (Ok(()), 300));
    let (here, there) = (scene.client.stats(), scene.server.stats());
    assert_eq!((here.sent.items, here.received.items), (1000, 300));
    assert_eq!((there.sent.items, there.received.items), (300, 1000));
}

pub async fn s5_what_is_open_is_counted_while_it_is(link: Link) {
    let scene = Scene::new(link, (), server().accepting(Router::new().route(server()))).await;
    let open = |stats: &SessionStats| (stats.connections, stats.channels, stats.calls.in_flight);
    assert_eq!(open(&scene.client.stats()), (0, 0, 0));
    let root: CountedClient = scene.client.client();
    let (first, second): (CountedClient, CountedClient) =
        (scene.client.open().await.unwrap(), scene.client.open().await.unwrap());
    let (tx, rx) = channel::<u64>();
    let sum = tokio::spawn({
        let first = first.clone();
        async move { first.sum(rx).await }
    });
    tx.send(1).await.unwrap();
    assert_eq!(open(&scene.client.stats()), (2, 1, 1));
    eventually(&scene.server, |stats| {
        (stats.connections, stats.channels, stats.served.in_flight) == (2, 1, 1)
    })
    .await;
    tx.close();
    assert_eq!(sum.await.unwrap(), Ok(1));
    root.echo(vec![]).await.unwrap();
    assert_eq!(open(&scene.client.stats()), (2, 0, 0));
    drop((first, second));
    eventually(&scene.client, |stats| open(stats) == (0, 0, 0)).await;
    eventually(&scene.server, |stats| stats.connections == 0).await;
    // What is lost with the session is not under way any more.
    let never = tokio::spawn(async move { root.never().await });
    eventually(&scene.server, |stats| stats.served.in_flight == 1).await;
    scene.client.close();
    never.await.unwrap().unwrap_err();
    scene.server.closed().await;
    for session in [&scene.client, &scene.server] {
        let stats = session.stats();
        assert_eq!((stats.connections, stats.channels), (0, 0));
        assert_eq!((stats.calls.in_flight, stats.served.in_flight), (0, 0));
    }
}

pub async fn s5_who_sleeps_and_is_woken_is_counted(link: Link) {
    let scene = Scene::new(link, (), server()).await;
    let client: CountedClient = scene.client.client();
    let rings_itself = matches!(link, Link::Shm | Link::Mem);
    assert_eq!(scene.client.stats().rings.is_some(), rings_itself);
    // Once the server has nothing to do it sleeps, and whoever calls next wakes it, or the kernel does.
    while scene.client.stats().rings.is_some_and(|rings| rings < 3) || scene.server.stats().sleeps < 3 {
        let slept = scene.server.stats().sleeps;
        client.echo(vec![]).await.unwrap();
        eventually(&scene.server, |stats| stats.sleeps > slept).await;
    }
    // What has been counted stays.
    let slept = scene.server.stats().sleeps;
    scene.client.close();
    scene.server.closed().await;
    let [here, there] = [scene.client.stats(), scene.server.stats()];
    assert!(there.sleeps >= slept && here.rings.is_none_or(|rings| rings >= 3), "{here:?}, {there:?}");
}

pub async fn s5_threads_count_too(link: Link) {
    let (done, is_done) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let scene = Blocking::new(link, Options::new(), server());
        let client: CountedBlockingClient = scene.client.client();
        for _ in 0..20 {
            client.echo(vec![7; 10]).unwrap();
        }
        let (here, there) = (scene.client.stats(), scene.server.stats());
        assert_eq!(calls(here.calls), [20, 20, 0, 0, 0]);
        assert_eq!(here.calls, there.served);
        assert_eq!((here.sent, here.received), (there.received, there.sent));
        while scene.server.stats().sleeps < 3 {
            client.echo(vec![]).unwrap();
        }
        done.send(()).expect("is waited for");
    });
    is_done.await.expect("no panic");
}
