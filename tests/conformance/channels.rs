//! Items on channels: N1 to N6, N9 and N13. They arrive once and in order, and never more of them than the receiver allows.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use futures_core::Stream as _;
use futures_sink::Sink as _;
use transom::{
    Entry, Limits, Metadata, Options, RecvError, SendFailure, TryRecvError, TrySendError, Value, channel,
    channel_with_window,
};

use crate::scene::Link;
use crate::streams::{Even, streams, window};

pub async fn n1_items_go_to_the_handler_and_back(link: Link) {
    let (_scene, client) = streams(link, Options::new()).await;
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
}

pub async fn n1_a_result_has_channels_of_either_kind(link: Link) {
    let (_scene, client) = streams(link, Options::new()).await;
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
}

pub async fn n6_runs_of_items_arrive_whole_whatever_the_window(link: Link) {
    for bytes in [1, 100, 4096, 1 << 20] {
        let (_scene, client) = streams(link, window(bytes)).await;
        let (tx, rx) = channel();
        let (out, mut back) = channel();
        let echo = tokio::spawn(async move { client.echo(rx, out).await });
        // Of every length, some larger than the window, and more than a frame holds.
        let items: Vec<Vec<u8>> = (0..300).map(|length| vec![length as u8; length * length / 20]).collect();
        let sent = items.clone();
        let sending = tokio::spawn(async move { tx.send_all(sent).await });
        for item in &items {
            assert_eq!(back.recv().await.expect("echoed").as_ref(), Some(item));
        }
        assert_eq!(sending.await.expect("no panic"), Ok(()));
        assert_eq!(back.recv().await, Ok(None));
        assert_eq!(echo.await.expect("no panic"), Ok(()));
    }
}

pub async fn n4_a_sender_waits_for_its_receiver(link: Link) {
    let (_scene, client) = streams(link, window(3 * (1 + 32))).await;
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
}

pub async fn n4_a_window_is_the_receivers_own(link: Link) {
    let (_scene, client) = streams(link, Options::new()).await;
    let (tx, mut rx) = channel_with_window(2 * (1 + 32));
    let counting = tokio::spawn(async move { client.count(100, tx).await });
    for number in 0..100 {
        assert_eq!(rx.recv().await, Ok(Some(number)));
    }
    assert_eq!(rx.recv().await, Ok(None));
    assert_eq!(counting.await.expect("no panic"), Ok(100));
}

pub async fn n4_many_tasks_send_on_one_channel(link: Link) {
    let (_scene, client) = streams(link, window(200)).await;
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
}

pub async fn n7_an_end_says_what_its_sender_said(link: Link) {
    let (_scene, client) = streams(link, Options::new()).await;
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
}

pub async fn n13_streams_and_sinks_do_the_same(link: Link) {
    let (_scene, client) = streams(link, window(300)).await;
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
}

pub async fn n9_a_send_that_is_dropped_takes_no_credit(link: Link) {
    let (_scene, client) = streams(link, window(2 * (1 + 32))).await;
    let (tx, rx) = channel();
    let sum = tokio::spawn(async move { client.sum(rx).await });
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..1000 {
        let _dropped: Poll<_> = pin!(tx.send(0)).poll(&mut cx);
    }
    tx.send_all(1..=100).await.expect("are received");
    drop(tx);
    assert_eq!(sum.await.expect("no panic"), Ok(5050));
}

pub async fn n3_items_that_a_handler_sent_come_before_its_answer(link: Link) {
    let (_scene, client) = streams(link, Options::new()).await;
    for count in [1, 10, 100] {
        let (tx, mut rx) = channel();
        assert_eq!(client.count(count, tx).await, Ok(count));
        for number in 0..count {
            assert_eq!(rx.try_recv(), Ok(Some(number)), "it is here already");
        }
        // The end follows when the handler has dropped the sender.
        assert_eq!(rx.recv().await, Ok(None));
    }
}

pub async fn n4_a_channel_that_nobody_reads_holds_up_no_other(link: Link) {
    let (_scene, client) = streams(link, window(500)).await;
    let (full, ignored) = channel();
    client.keep(ignored).await.expect("answers");
    while full.try_send(1).is_ok() {}
    let stuck = tokio::spawn(async move { full.send(2).await });
    let (tx, mut rx) = channel();
    let counting = tokio::spawn({
        let client = client.clone();
        async move { client.count(1000, tx).await }
    });
    for number in 0..1000 {
        assert_eq!(rx.recv().await, Ok(Some(number)));
    }
    assert_eq!(counting.await.expect("no panic"), Ok(1000));
    assert!(!stuck.is_finished());
}

pub async fn n9_an_item_that_does_not_decode_is_skipped(link: Link) {
    let (_scene, client) = streams(link, window(100)).await;
    let (tx, mut rx) = channel();
    let counting = tokio::spawn(async move { client.evens(100, tx).await });
    for number in 0..100 {
        let received = rx.recv().await;
        if number % 2 == 0 {
            assert_eq!(received, Ok(Some(Even { number })));
        } else {
            assert!(matches!(received, Err(RecvError::Undecodable { .. })), "{number}: {received:?}");
        }
    }
    assert_eq!(rx.recv().await, Ok(None));
    counting.await.expect("no panic").expect("answers");
}

pub async fn n9_an_item_that_is_too_large_harms_nothing(link: Link) {
    let mut limits = Limits::default();
    limits.payload = Limits::LEAST_PAYLOAD;
    let (_scene, client) = streams(link, Options::new().limits(limits)).await;
    let (tx, rx) = channel();
    let (out, mut back) = channel();
    let echo = tokio::spawn(async move { client.echo(rx, out).await });
    let failed = tx.send(vec![0; 2000]).await.expect_err("it is larger than a message may be");
    assert_eq!(failed.item.len(), 2000);
    assert!(matches!(failed.reason, SendFailure::TooLarge { limit: 1024, .. }), "{}", failed.reason);
    let failed = tx.send_all([vec![1], vec![0; 2000], vec![2]]).await.expect_err("the second is too large");
    assert_eq!(failed.sent, 1);
    tx.send(vec![3]).await.expect("is received");
    drop(tx);
    assert_eq!((back.recv().await, back.recv().await), (Ok(Some(vec![1])), Ok(Some(vec![3]))));
    assert_eq!(back.recv().await, Ok(None));
    assert_eq!(echo.await.expect("no panic"), Ok(()));
}
