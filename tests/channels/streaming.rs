//! Items arrive once and in order, never more of them than the receiver allows, both ways and many channels at once.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use futures_core::Stream as _;
use futures_sink::Sink as _;
use transom::{
    Entry, Metadata, Options, SendFailure, TryRecvError, TrySendError, Value, channel, channel_with_window,
};

use crate::scene::{over_each_link, window};

#[tokio::test]
async fn items_go_to_the_handler_and_back() {
    over_each_link(Options::new(), |client, _, _| async move {
        let (tx, rx) = channel();
        let sending = async {
            for number in 1..=1000 {
                tx.send(number).await.expect("is received");
            }
            tx.close();
        };
        let (sum, ()) = tokio::join!(client.sum(rx), sending);
        assert_eq!(sum, Ok(500_500));

        let (tx, mut rx) = channel();
        let counting = tokio::spawn({
            let client = client.clone();
            async move { client.count(1000, tx).await }
        });
        for number in 0..1000 {
            assert_eq!(rx.recv().await, Ok(Some(number)));
        }
        assert_eq!(rx.recv().await, Ok(None), "dropping the sender closes it");
        assert_eq!(rx.recv().await, Ok(None), "and it stays closed");
        assert_eq!(counting.await.expect("no panic"), Ok(1000));
    })
    .await;
}

#[tokio::test]
async fn a_result_has_channels_of_either_kind() {
    over_each_link(Options::new(), |client, _, _| async move {
        let mut letters = client.spell("glockenspiel").await.expect("answers");
        let mut text = String::new();
        while let Some(letter) = letters.recv().await.expect("goes on after the call") {
            text.push(letter);
        }
        assert_eq!(text, "glockenspiel");

        let tx = client.collect().await.expect("answers");
        tx.send(1).await.expect("is received");
        tx.send_all(2..=100).await.expect("are received");
        drop(tx);
        assert_eq!(client.total().await, Ok(5050));
    })
    .await;
}

#[tokio::test]
async fn runs_of_items_arrive_whole_whatever_the_window() {
    for bytes in [1, 100, 4096, 1 << 20] {
        over_each_link(window(bytes), |client, _, _| async move {
            let (tx, rx) = channel();
            let (out, mut back) = channel();
            let echo = tokio::spawn(async move { client.echo(rx, out).await });
            // Of every length, some larger than the window, and more than a frame holds.
            let items: Vec<Vec<u8>> =
                (0..300).map(|length| vec![length as u8; length * length / 20]).collect();
            let sent = items.clone();
            let sending = tokio::spawn(async move { tx.send_all(sent).await });
            for item in &items {
                assert_eq!(back.recv().await.expect("echoed").as_ref(), Some(item));
            }
            assert_eq!(sending.await.expect("no panic"), Ok(()));
            assert_eq!(back.recv().await, Ok(None));
            assert_eq!(echo.await.expect("no panic"), Ok(()));
        })
        .await;
    }
}

#[tokio::test]
async fn a_sender_waits_for_its_receiver() {
    over_each_link(window(3 * (1 + 32)), |client, _, _| async move {
        let (tx, rx) = channel();
        client.keep(rx).await.expect("answers");
        let mut sent = 0;
        let full = loop {
            match tx.try_send(5) {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
        };
        assert_eq!((sent, full), (3, TrySendError::Full(5)), "as many as the window holds");
        let (mut waiting, mut cx) = (pin!(tx.send(6)), Context::from_waker(Waker::noop()));
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        assert_eq!(tx.try_send(7), Err(TrySendError::Full(7)), "it may not overtake the one that waits");
        assert_eq!(client.ping().await, Ok(1), "nobody else waits");
    })
    .await;
}

#[tokio::test]
async fn a_window_is_the_receivers_own() {
    over_each_link(Options::new(), |client, _, _| async move {
        let (tx, mut rx) = channel_with_window(2 * (1 + 32));
        let counting = tokio::spawn(async move { client.count(100, tx).await });
        for number in 0..100 {
            assert_eq!(rx.recv().await, Ok(Some(number)));
        }
        assert_eq!(rx.recv().await, Ok(None));
        assert_eq!(counting.await.expect("no panic"), Ok(100));
    })
    .await;
}

#[tokio::test]
async fn many_tasks_send_on_one_channel() {
    over_each_link(window(200), |client, _, _| async move {
        let (tx, rx) = channel();
        let sum = tokio::spawn(async move { client.sum(rx).await });
        let tx = std::sync::Arc::new(tx);
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let tx = std::sync::Arc::clone(&tx);
                tokio::spawn(async move {
                    for number in 0..100 {
                        tx.send(number).await.expect("is received");
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
        drop(tx);
        assert_eq!(sum.await.expect("no panic"), Ok(20 * 4950));
    })
    .await;
}

#[tokio::test]
async fn an_end_says_what_its_sender_said() {
    over_each_link(Options::new(), |client, _, _| async move {
        let (tx, mut rx) = channel::<char>();
        drop(tx);
        assert_eq!(rx.recv().await, Ok(None), "nothing was passed on");
        assert!(rx.end_metadata().is_some_and(Metadata::is_empty));

        let (tx, mut rx) = channel();
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
        let mut metadata = Metadata::new();
        metadata.push(Entry::new("checksum", Value::U64(7))).expect("fits");
        let counting = client.count(2, tx);
        assert_eq!(counting.await, Ok(2));
        assert_eq!((rx.recv().await, rx.recv().await), (Ok(Some(0)), Ok(Some(1))));
        assert_eq!(rx.end_metadata(), None, "it is not known to have ended");
        assert_eq!(rx.recv().await, Ok(None));

        let (tx, mut rx) = channel::<u64>();
        tx.close_with(metadata.clone());
        assert_eq!(rx.recv().await, Ok(None));
        assert_eq!(rx.end_metadata(), Some(&metadata));
    })
    .await;
}

#[tokio::test]
async fn streams_and_sinks_do_the_same() {
    over_each_link(window(300), |client, _, _| async move {
        let (mut tx, rx) = channel();
        let (out, mut back) = channel();
        let echo = tokio::spawn(async move { client.echo(rx, out).await });
        let sending = tokio::spawn(async move {
            for length in 0..50 {
                poll_fn(|cx| Pin::new(&mut tx).poll_ready(cx)).await?;
                Pin::new(&mut tx).start_send(vec![1; length])?;
            }
            poll_fn(|cx| Pin::new(&mut tx).poll_close(cx)).await
        });
        let mut seen = 0;
        while let Some(item) = poll_fn(|cx| Pin::new(&mut back).poll_next(cx)).await {
            assert_eq!(item.expect("echoed").len(), seen);
            seen += 1;
        }
        assert_eq!(seen, 50);
        assert_eq!(sending.await.expect("no panic"), Ok::<(), SendFailure>(()));
        assert_eq!(echo.await.expect("no panic"), Ok(()));
    })
    .await;
}

#[tokio::test]
async fn a_send_that_is_dropped_takes_no_credit() {
    over_each_link(window(2 * (1 + 32)), |client, _, _| async move {
        let (tx, rx) = channel();
        let sum = tokio::spawn(async move { client.sum(rx).await });
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..1000 {
            let _dropped: Poll<_> = pin!(tx.send(0)).poll(&mut cx);
        }
        tx.send_all(1..=100).await.expect("are received");
        drop(tx);
        assert_eq!(sum.await.expect("no panic"), Ok(5050));
    })
    .await;
}
