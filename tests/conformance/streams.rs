//! A service whose methods take and give channels, on both sides of a session.

use std::sync::Mutex;

use facet::Facet;
use transom::{Context, Limits, Options, RecvError, Router, Rx, Service as _, Tx, channel};

use crate::scene::{Link, Scene};

/// An even number. What is odd is encoded nevertheless.
#[derive(Facet, Debug, PartialEq)]
#[facet(invariants = Even::is_even)]
pub struct Even {
    pub number: u32,
}

impl Even {
    fn is_even(&self) -> bool {
        self.number.is_multiple_of(2)
    }
}

#[transom::service]
pub trait Streams {
    /// What is received, added up.
    async fn sum(&self, numbers: Rx<u64>) -> Result<u64, String>;
    /// The numbers below `to`, sent before it returns.
    async fn count(&self, to: u64, out: Tx<u64>) -> u64;
    /// The letters of the text, one by one, sent after it has returned.
    async fn spell(&self, text: &str) -> Rx<char>;
    /// Where to send numbers that [`total`](Self::total) waits for.
    async fn collect(&self) -> Tx<u64>;
    /// The sum of what was sent to what [`collect`](Self::collect) gave.
    async fn total(&self) -> u64;
    /// Sends back what it receives.
    async fn echo(&self, input: Rx<Vec<u8>>, output: Tx<Vec<u8>>);
    /// Drops the end at once.
    async fn ignore(&self, numbers: Rx<u64>);
    /// Resets the end at once.
    async fn give_up(&self, out: Tx<u64>);
    /// Sends until its receiver takes no more; how it learned that, in words.
    async fn pour(&self, out: Tx<u64>) -> String;
    /// Keeps an end until the session is over, without looking at it.
    async fn keep(&self, numbers: Rx<u64>);
    /// Passes the end on to the caller's own service.
    async fn relay(&self, cx: &Context, numbers: Rx<u64>) -> String;
    /// The numbers below `to`, as if all of them were even.
    async fn evens(&self, to: u32, out: Tx<Even>);
    /// Takes no channel, and knows none.
    async fn ping(&self) -> u64;
}

#[derive(Default)]
pub struct Streamer {
    total: tokio::sync::Mutex<Option<tokio::task::JoinHandle<u64>>>,
    kept: Mutex<Vec<Rx<u64>>>,
}

async fn sum(mut numbers: Rx<u64>) -> Result<u64, RecvError> {
    let mut sum = 0;
    while let Some(number) = numbers.recv().await? {
        sum += number;
    }
    Ok(sum)
}

impl Streams for Streamer {
    async fn sum(&self, numbers: Rx<u64>) -> Result<u64, String> {
        sum(numbers).await.map_err(|error| error.to_string())
    }

    async fn count(&self, to: u64, out: Tx<u64>) -> u64 {
        let mut sent = 0;
        for number in 0..to {
            sent += u64::from(out.send(number).await.is_ok());
        }
        sent
    }

    async fn spell(&self, text: &str) -> Rx<char> {
        let (tx, rx) = channel();
        let letters: Vec<char> = text.chars().collect();
        tokio::spawn(async move { tx.send_all(letters).await });
        rx
    }

    async fn collect(&self) -> Tx<u64> {
        let (tx, rx) = channel();
        let task = tokio::spawn(async move { sum(rx).await.expect("the caller closes it") });
        *self.total.lock().await = Some(task);
        tx
    }

    async fn total(&self) -> u64 {
        self.total.lock().await.take().expect("collecting").await.expect("no panic")
    }

    async fn echo(&self, mut input: Rx<Vec<u8>>, output: Tx<Vec<u8>>) {
        while let Ok(Some(bytes)) = input.recv().await {
            if output.send(bytes).await.is_err() {
                return;
            }
        }
    }

    async fn ignore(&self, numbers: Rx<u64>) {
        drop(numbers);
    }

    async fn give_up(&self, out: Tx<u64>) {
        out.reset();
    }

    async fn pour(&self, out: Tx<u64>) -> String {
        let failed = loop {
            if let Err(error) = out.send(7).await {
                break error.reason;
            }
        };
        assert_eq!(out.closed().await, failed);
        assert!(out.is_closed());
        failed.to_string()
    }

    async fn keep(&self, numbers: Rx<u64>) {
        self.kept.lock().expect("no panic").push(numbers);
    }

    async fn relay(&self, cx: &Context, numbers: Rx<u64>) -> String {
        let (client, (tx, rx)) = (cx.client::<StreamsClient>(), channel());
        let refused = client.sum(numbers).await.expect_err("it came from the caller");
        let sent = tokio::join!(client.sum(rx), async { tx.send_all([1, 2]).await.map(|()| drop(tx)) });
        format!("{refused}; {:?}", sent.0)
    }

    async fn evens(&self, to: u32, out: Tx<Even>) {
        out.send_all((0..to).map(|number| Even { number })).await.expect("are received");
    }

    async fn ping(&self) -> u64 {
        1
    }
}

/// Options with this window.
pub fn window(bytes: u32) -> Options {
    let mut limits = Limits::default();
    limits.window = bytes;
    Options::new().limits(limits)
}

/// A session on which both sides serve streams, and a client of one.
pub async fn streams(link: Link, options: Options) -> (Scene, StreamsClient) {
    let streams = || StreamsServer::new(Streamer::default());
    let server = streams().accepting(Router::new().route(streams()));
    let scene = Scene::with(link, options, streams(), server).await;
    let client = scene.client.client();
    (scene, client)
}
