//! Channels without a runtime: N13. Threads send and receive.

use std::sync::Arc;
use std::thread;

use transom::{Options, Rx, SendError, SendFailure, TryRecvError, Tx, channel, channel_with_window};

use crate::scene::{Blocking, Link};
use crate::streams::window;

#[transom::service]
pub trait Pipes {
    fn sum(&self, numbers: Rx<u64>) -> u64;
    fn count(&self, to: u64, out: Tx<u64>) -> u64;
    fn ignore(&self, numbers: Rx<u64>);
    fn spell(&self, text: &str) -> Rx<u8>;
}

struct Pipe;

impl Pipes for Pipe {
    fn sum(&self, mut numbers: Rx<u64>) -> u64 {
        let mut sum = 0;
        while let Ok(Some(number)) = numbers.blocking_recv() {
            sum += number;
        }
        sum
    }

    fn count(&self, to: u64, out: Tx<u64>) -> u64 {
        out.blocking_send_all(0..to).map_or_else(|failed| failed.sent, |()| to)
    }

    fn ignore(&self, numbers: Rx<u64>) {
        drop(numbers);
    }

    fn spell(&self, text: &str) -> Rx<u8> {
        let (tx, rx) = channel();
        let letters = text.as_bytes().to_vec();
        thread::spawn(move || tx.blocking_send_all(letters));
        rx
    }
}

/// Runs a test on a thread, with a client whose session has no runtime, nor has its peer's.
async fn without_a_runtime(
    link: Link,
    options: Options,
    test: impl FnOnce(PipesBlockingClient) + Send + 'static,
) {
    let (done, is_done) = tokio::sync::oneshot::channel();
    thread::spawn(move || {
        let scene = Blocking::new(link, options, PipesServer::new(Pipe));
        test(scene.client.client());
        done.send(()).expect("is waited for");
    });
    is_done.await.expect("no panic");
}

pub async fn n13_threads_send_and_receive(link: Link) {
    without_a_runtime(link, Options::new(), |client| {
        thread::scope(|scope| {
            let (tx, rx) = channel();
            let sum = scope.spawn(|| client.sum(rx));
            for number in 1..=100 {
                tx.blocking_send(number).expect("is received");
            }
            tx.blocking_send_all(101..=1000).expect("are received");
            drop(tx);
            assert_eq!(sum.join().expect("no panic"), Ok(500_500));

            let (tx, mut rx) = channel();
            let count = scope.spawn(|| client.count(1000, tx));
            for number in 0..1000 {
                assert_eq!(rx.blocking_recv(), Ok(Some(number)));
            }
            assert_eq!(rx.blocking_recv(), Ok(None));
            assert_eq!(count.join().expect("no panic"), Ok(1000));
        });
    })
    .await;
}

pub async fn n13_threads_wait_for_credit(link: Link) {
    without_a_runtime(link, window(3 * (1 + 32)), |client| {
        let (tx, mut rx) = channel_with_window(40);
        thread::scope(|scope| {
            let count = scope.spawn(|| client.count(300, tx));
            for number in 0..300 {
                assert_eq!(rx.blocking_recv(), Ok(Some(number)));
            }
            assert_eq!(rx.blocking_recv(), Ok(None));
            assert_eq!(count.join().expect("no panic"), Ok(300));

            let (tx, rx) = channel();
            let sum = scope.spawn(|| client.sum(rx));
            let tx = Arc::new(tx);
            let senders = [1, 2, 3].map(|number| {
                let tx = Arc::clone(&tx);
                scope.spawn(move || (0..100).try_for_each(|_| tx.blocking_send(number)))
            });
            for sender in senders {
                sender.join().expect("no panic").expect("is received");
            }
            drop(tx);
            assert_eq!(sum.join().expect("no panic"), Ok(600));
        });
    })
    .await;
}

pub async fn n13_threads_learn_how_a_channel_ends(link: Link) {
    without_a_runtime(link, Options::new(), |client| {
        let mut letters = client.spell("end").expect("answers");
        let text: Vec<u8> = std::iter::from_fn(|| letters.blocking_recv().expect("no error")).collect();
        assert_eq!(text, b"end");
        assert_eq!(letters.try_recv(), Ok(None));

        let (tx, rx) = channel();
        client.ignore(rx).expect("answers");
        let failed = (0..).find_map(|number| tx.blocking_send(number).err()).expect("nobody takes them");
        assert_eq!(failed.reason, SendFailure::Reset);
        assert!(tx.is_closed());

        let (tx, mut rx) = channel::<u64>();
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
        drop(rx);
        assert_eq!(tx.blocking_send(1), Err(SendError { item: 1, reason: SendFailure::Reset }));
    })
    .await;
}
