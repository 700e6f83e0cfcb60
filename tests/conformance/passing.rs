//! Channels through proxies: X2 and X4. Each test has its channels passed on call by call, and with a whole connection.
//! The near link is the one that the suite runs on; the far one is always shared memory.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};

use transom::proxy::{Forward, relay};
use transom::{
    CallError, Entry, IncomingConnection, Limits, Metadata, Options, RecvError, Router, Rx, SendFailure,
    Service as _, TrySendError, Tx, channel, channel_with_window,
};

use crate::scene::{Link, Scene};
use crate::streams::{Streamer, StreamsClient, StreamsServer, window};

/// What the streams have not.
#[transom::service]
pub trait Ends {
    /// Ends with metadata, of which one entry is not to be propagated.
    async fn close(&self, out: Tx<u64>);
    /// The keys of the metadata with which it ends.
    async fn closed(&self, numbers: Rx<u64>) -> String;
    /// Sends as many as it can, and counts them.
    async fn pour(&self, out: Tx<u64>);
    /// How many were sent.
    async fn poured(&self) -> u64;
    /// Sends the numbers below `to`, and then fails.
    async fn fail(&self, to: u64, out: Tx<u64>) -> Result<(), u64>;
}

#[derive(Clone, Default)]
struct Ending(Arc<AtomicU64>);

fn farewell() -> Metadata {
    let mut metadata = Metadata::new();
    metadata.push(Entry::new("goes on", 1)).expect("fits");
    metadata.push(Entry::new("stays", 2).no_propagate()).expect("fits");
    metadata
}

fn keys(metadata: &Metadata) -> String {
    let keys: Vec<&str> = metadata.iter().map(Entry::key).collect();
    keys.join(", ")
}

impl Ends for Ending {
    async fn close(&self, out: Tx<u64>) {
        out.send(1).await.expect("is received");
        out.close_with(farewell());
    }

    async fn closed(&self, mut numbers: Rx<u64>) -> String {
        while numbers.recv().await.expect("it is closed").is_some() {}
        keys(numbers.end_metadata().expect("it has ended"))
    }

    async fn pour(&self, out: Tx<u64>) {
        let sent = Arc::clone(&self.0);
        tokio::spawn(async move {
            while out.send(7).await.is_ok() {
                sent.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    async fn poured(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    async fn fail(&self, to: u64, out: Tx<u64>) -> Result<(), u64> {
        out.send_all(0..to).await.map_err(|_| 0_u64)?;
        Err(to)
    }
}

#[derive(Clone, Copy, Debug)]
enum Way {
    /// Call by call.
    Calls,
    /// With the connection.
    Connection,
}

const WAYS: [Way; 2] = [Way::Calls, Way::Connection];

/// Clients whose calls another session passes on to the service.
struct Chain {
    near: Scene,
    far: Scene,
    streams: StreamsClient,
    ends: EndsClient,
}

impl Chain {
    async fn new(link: Link, way: Way) -> Self {
        Self::with(link, way, Options::new(), Options::new()).await
    }

    /// With options of either session.
    async fn with(link: Link, way: Way, near: Options, far: Options) -> Self {
        let streams = || StreamsServer::new(Streamer::default());
        let ends = || EndsServer::new(Ending::default());
        match way {
            Way::Calls => {
                let far = Scene::with(Link::Shm, far, (), (streams(), ends())).await;
                let near = Scene::with(link, near, (), Forward::to(far.client.root())).await;
                let (streams, ends) = (near.client.client(), near.client.client());
                Self { near, far, streams, ends }
            }
            Way::Connection => {
                let router = Router::new().route(streams()).route(ends());
                let far = Scene::with(Link::Shm, far, (), ().accepting(router)).await;
                let behind = far.client.clone();
                let relaying = ().accepting(move |incoming: IncomingConnection| {
                    let behind = behind.clone();
                    tokio::spawn(async move { relay(incoming, &behind).await });
                });
                let near = Scene::with(link, near, (), relaying).await;
                let (streams, ends) = tokio::join!(near.client.open(), near.client.open());
                let (streams, ends) = (streams.expect("is taken"), ends.expect("is taken"));
                Self { near, far, streams, ends }
            }
        }
    }

    /// Has whatever is on its way arrive, as far as it can: many calls go there and back.
    async fn settle(&self) {
        for _ in 0..50 {
            assert_eq!(self.streams.ping().await, Ok(1));
        }
    }
}

pub async fn x2_channels_in_arguments_and_in_results_are_passed_on(link: Link) {
    for way in WAYS {
        let Chain { streams, near: _near, far: _far, .. } = Chain::new(link, way).await;
        let (tx, rx) = channel();
        let sum = tokio::spawn({
            let streams = streams.clone();
            async move { streams.sum(rx).await }
        });
        tx.send_all(1..=1000).await.expect("are received");
        tx.close();
        assert_eq!(sum.await.expect("no panic"), Ok(500_500));

        let (tx, mut rx) = channel();
        let count = tokio::spawn({
            let streams = streams.clone();
            async move { streams.count(3000, tx).await }
        });
        for number in 0..3000 {
            assert_eq!(rx.recv().await, Ok(Some(number)), "all, and in their order");
        }
        assert_eq!((rx.recv().await, count.await.expect("no panic")), (Ok(None), Ok(3000)));

        let mut letters = streams.spell("passed on").await.expect("answers");
        let mut text = String::new();
        while let Some(letter) = letters.recv().await.expect("they come") {
            text.push(letter);
        }
        assert_eq!(text, "passed on");
        let numbers = streams.collect().await.expect("answers");
        numbers.send_all([1, 2, 3]).await.expect("are received");
        numbers.close();
        assert_eq!(streams.total().await, Ok(6));

        let (tx, rx) = channel();
        let (out, mut back) = channel();
        let echo = tokio::spawn(async move { streams.echo(rx, out).await });
        for length in [0, 1, 100, 10_000, 300_000] {
            tx.send(vec![5; length]).await.expect("is received");
            assert_eq!(back.recv().await, Ok(Some(vec![5; length])));
        }
        drop(tx);
        assert_eq!((back.recv().await, echo.await.expect("no panic")), (Ok(None), Ok(())));
    }
}

pub async fn x2_the_end_of_a_channel_is_passed_on_with_what_it_says(link: Link) {
    for way in WAYS {
        let chain = Chain::new(link, way).await;
        let (tx, mut rx) = channel();
        chain.ends.close(tx).await.expect("answers");
        assert_eq!((rx.recv().await, rx.recv().await), (Ok(Some(1)), Ok(None)));
        assert_eq!(keys(rx.end_metadata().expect("it has ended")), "goes on");
        let (tx, rx) = channel();
        tx.close_with(farewell());
        assert_eq!(chain.ends.closed(rx).await.as_deref(), Ok("goes on"));
    }
}

pub async fn x2_a_reset_reaches_the_other_end(link: Link) {
    for way in WAYS {
        let chain = Chain::new(link, way).await;
        let streams = &chain.streams;
        // From here: the receiver, and the sender.
        let (tx, mut rx) = channel();
        let pouring = tokio::spawn({
            let streams = streams.clone();
            async move { streams.pour(tx).await }
        });
        assert_eq!(rx.recv().await, Ok(Some(7)));
        drop(rx);
        assert_eq!(pouring.await.expect("no panic"), Ok(SendFailure::Reset.to_string()));
        let (tx, rx) = channel();
        let summing = tokio::spawn({
            let streams = streams.clone();
            async move { streams.sum(rx).await }
        });
        tx.send(1).await.expect("is received");
        tx.reset();
        let reset = CallError::User(RecvError::Reset.to_string());
        assert_eq!(summing.await.expect("no panic"), Err(reset));
        // From there.
        let (tx, rx) = channel();
        streams.ignore(rx).await.expect("answers");
        assert_eq!(tx.closed().await, SendFailure::Reset);
        let (tx, mut rx) = channel();
        streams.give_up(tx).await.expect("answers");
        assert_eq!(rx.recv().await, Err(RecvError::Reset));
    }
}

/// What a small number costs.
const COST: u32 = 1 + 32;

pub async fn x4_a_receiver_that_waits_stops_its_sender_within_the_windows(link: Link) {
    for way in WAYS {
        let chain = Chain::with(link, way, window(10 * COST), window(7 * COST)).await;
        let (tx, rx) = channel();
        chain.streams.keep(rx).await.expect("answers");
        let mut sent = 0;
        while sent < 17 {
            match tx.try_send(5) {
                Ok(()) => sent += 1,
                Err(TrySendError::Full(_)) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
        chain.settle().await;
        assert_eq!(tx.try_send(5), Err(TrySendError::Full(5)), "there is no room for more on the way");

        // The other way round: nobody reads here.
        let (tx, mut rx) = channel();
        chain.ends.pour(tx).await.expect("answers");
        while chain.ends.poured().await.expect("answers") < 17 {}
        chain.settle().await;
        assert_eq!(chain.ends.poured().await, Ok(17));
        // Whatever is taken makes room for as much, and for no more.
        for _ in 0..100 {
            assert_eq!(rx.recv().await, Ok(Some(7)));
        }
        chain.settle().await;
        let poured = chain.ends.poured().await.expect("answers");
        assert!((101..=117).contains(&poured), "{poured}");
    }
}

pub async fn x4_a_window_of_the_receivers_own_counts_all_the_way(link: Link) {
    for way in WAYS {
        let chain = Chain::new(link, way).await;
        let (tx, mut rx) = channel_with_window(3 * COST);
        chain.ends.pour(tx).await.expect("answers");
        while chain.ends.poured().await.expect("answers") < 6 {}
        chain.settle().await;
        assert_eq!(chain.ends.poured().await, Ok(6), "three are here, and three on the way");
        assert_eq!(rx.recv().await, Ok(Some(7)));
    }
}

pub async fn x4_a_channel_that_nobody_reads_holds_up_no_other(link: Link) {
    for way in WAYS {
        let chain = Chain::with(link, way, window(500), window(500)).await;
        let (full, ignored) = channel();
        chain.streams.keep(ignored).await.expect("answers");
        let stuck = tokio::spawn(async move { while full.send(1).await.is_ok() {} });
        let (tx, unread) = channel();
        chain.ends.pour(tx).await.expect("answers");
        chain.settle().await;
        let (tx, mut rx) = channel();
        let counting = tokio::spawn({
            let streams = chain.streams.clone();
            async move { streams.count(1000, tx).await }
        });
        for number in 0..1000 {
            assert_eq!(rx.recv().await, Ok(Some(number)));
        }
        assert_eq!(counting.await.expect("no panic"), Ok(1000));
        assert!(!stuck.is_finished());
        stuck.abort();
        drop(unread);
    }
}

pub async fn x4_an_item_never_overtakes_its_call(link: Link) {
    for way in WAYS {
        let chain = Chain::new(link, way).await;
        let tasks: Vec<_> = (0..20)
            .map(|task| {
                let streams = chain.streams.clone();
                tokio::spawn(async move {
                    for round in 0..10 {
                        let (tx, rx) = channel();
                        let mut sum = pin!(streams.sum(rx));
                        // The items follow the call at once.
                        let _sent = sum.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                        tx.send(task).await.expect("is received");
                        tx.send_all([round, 1]).await.expect("are received");
                        drop(tx);
                        assert_eq!(sum.await, Ok(task + round + 1));
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
        assert!(chain.far.client.is_open());
    }
}

pub async fn x4_items_come_before_the_answer_that_followed_them(link: Link) {
    for way in WAYS {
        let chain = Chain::new(link, way).await;
        for count in [1, 10, 100, 1000].into_iter().cycle().take(100) {
            let (tx, mut rx) = channel();
            assert_eq!(chain.streams.count(count, tx).await, Ok(count));
            for number in 0..count {
                assert_eq!(rx.try_recv(), Ok(Some(number)), "{way:?}: it is here already");
            }
            let (tx, mut rx) = channel();
            assert_eq!(chain.ends.fail(count, tx).await, Err(CallError::User(count)));
            for number in 0..count {
                assert_eq!(rx.try_recv(), Ok(Some(number)), "{way:?}: it is here already");
            }
        }
    }
}

pub async fn x4_an_answer_does_not_wait_for_who_does_not_read(link: Link) {
    for way in WAYS {
        let chain = Chain::with(link, way, window(3 * COST), window(3 * COST)).await;
        let (tx, mut rx) = channel();
        assert_eq!(chain.streams.count(6, tx).await, Ok(6), "three are here, and three wait on the way");
        for number in 0..6 {
            assert_eq!(rx.recv().await, Ok(Some(number)));
        }
        assert_eq!(rx.recv().await, Ok(None));
    }
}

pub async fn x4_runs_of_items_are_cut_to_what_the_far_side_takes(link: Link) {
    let mut limits = Limits::default();
    limits.payload = Limits::LEAST_PAYLOAD;
    limits.window = 10 * COST;
    for way in WAYS {
        let (wide, narrow) = (Options::new(), Options::new().limits(limits));
        let chain = Chain::with(link, way, wide, narrow).await;
        let (tx, rx) = channel();
        let (out, mut back) = channel();
        let streams = chain.streams.clone();
        let echo = tokio::spawn(async move { streams.echo(rx, out).await });
        // In one run here, and in many there.
        let lengths = |round: usize| (0..1000).map(move |n| (n * 7 + round) % 100);
        for round in 0..3 {
            let sending = async {
                tx.send_all(lengths(round).map(|length| vec![9; length])).await.expect("are received");
            };
            let receiving = async {
                for length in lengths(round) {
                    assert_eq!(back.recv().await, Ok(Some(vec![9; length])));
                }
            };
            tokio::join!(sending, receiving);
        }
        // One that is too large there cannot be passed on, and nothing after it.
        assert!(tx.send(vec![0; 2000]).await.is_ok());
        assert_eq!(tx.closed().await, SendFailure::Reset);
        echo.await.expect("no panic").expect("answers");
        assert_eq!(chain.streams.ping().await, Ok(1), "that channel alone");
    }
}

pub async fn x2_the_death_of_either_side_ends_the_channels_of_the_other(link: Link) {
    for way in WAYS {
        let chain = Chain::new(link, way).await;
        let (tx, rx) = channel();
        chain.streams.keep(rx).await.expect("answers");
        let numbers = chain.streams.collect().await.expect("answers");
        let (out, mut pours) = channel();
        chain.ends.pour(out).await.expect("answers");
        assert_eq!(pours.recv().await, Ok(Some(7)));
        chain.far.server.close();
        let (kept, collected) = (tx.closed().await, numbers.closed().await);
        let ended = loop {
            match pours.recv().await {
                Ok(Some(number)) => assert_eq!(number, 7),
                other => break other,
            }
        };
        match way {
            Way::Calls => {
                assert_eq!((kept, collected), (SendFailure::Reset, SendFailure::Reset));
                assert_eq!(ended, Err(RecvError::Reset));
            }
            // The connection is closed with them, before or after.
            Way::Connection => {
                assert!(kept != SendFailure::PassedOn && collected != SendFailure::PassedOn);
                assert!(ended.is_err(), "it was not closed by its sender: {ended:?}");
            }
        }
        assert!(chain.near.client.is_open());

        let chain = Chain::new(link, way).await;
        let (out, mut pours) = channel();
        let pouring = tokio::spawn({
            let streams = chain.streams.clone();
            async move { streams.pour(out).await }
        });
        assert_eq!(pours.recv().await, Ok(Some(7)));
        chain.near.client.close();
        assert!(pouring.await.expect("no panic").is_err());
        // Nobody sends there any more: all channels of the far session are over, and it can say goodbye.
        chain.far.client.goodbye();
        chain.far.client.closed().await;
    }
}

pub async fn x2_a_cancelled_call_ends_its_channels(link: Link) {
    for way in WAYS {
        let chain = Chain::new(link, way).await;
        let ((tx, rx), (out, mut back)) = (channel(), channel());
        let streams = chain.streams.clone();
        let echo = tokio::spawn(async move { streams.echo(rx, out).await });
        tx.send(vec![1]).await.expect("is received");
        assert_eq!(back.recv().await, Ok(Some(vec![1])));
        echo.abort();
        // The handler is gone there, and with it the ends that it had.
        assert_eq!(tx.closed().await, SendFailure::Reset);
        assert_eq!(back.recv().await, Ok(None));
    }
}

/// Makes a call until there are as few channels as it needs: what is over is over there and here, one after the other.
async fn in_turn<T>(mut call: impl AsyncFnMut() -> Result<T, CallError>) -> T {
    loop {
        match call().await {
            Err(CallError::TooManyChannels { .. }) => tokio::task::yield_now().await,
            answer => return answer.expect("answers"),
        }
    }
}

pub async fn s8_nothing_is_left_of_channels_that_were_passed_on(link: Link) {
    let mut limits = Limits::default();
    limits.channels = 2;
    let options = Options::new().limits(limits);
    for way in WAYS {
        let chain = Chain::with(link, way, options.clone(), options.clone()).await;
        let streams = &chain.streams;
        for round in 0..60 {
            match round % 4 {
                0 => {
                    let counted = in_turn(async || {
                        let (tx, rx) = channel();
                        let counted = streams.count(1, tx).await;
                        counted.map(|count| (count, rx))
                    });
                    let (count, mut rx) = counted.await;
                    assert_eq!((count, rx.recv().await), (1, Ok(Some(0))));
                }
                1 => {
                    let ignored = in_turn(async || {
                        let (tx, rx) = channel();
                        streams.ignore(rx).await.map(|()| tx)
                    });
                    assert_eq!(ignored.await.closed().await, SendFailure::Reset);
                }
                2 => in_turn(async || streams.give_up(channel().0).await).await,
                _ => {
                    let mut letters = in_turn(async || streams.spell("ab").await).await;
                    assert_eq!(letters.recv().await, Ok(Some('a')));
                }
            }
        }
        // And none is in flight.
        chain.near.client.goodbye();
        chain.near.client.closed().await;
        chain.far.client.goodbye();
        chain.far.client.closed().await;
    }
}
