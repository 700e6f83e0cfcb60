//! How channels end: N7, N8, N11 and N12. Both ends learn of it, and why.

use transom::{
    CallError, Client as _, CloseReason, Limits, Options, RecvError, SendError, SendFailure, channel,
};

use crate::scene::Link;
use crate::streams::{StreamsClient, streams, window};

pub async fn n8_a_dropped_receiver_stops_its_sender(link: Link) {
    let (_scene, client) = streams(link, Options::new()).await;
    let (tx, rx) = channel();
    client.ignore(rx).await.expect("answers");
    assert_eq!(tx.closed().await, SendFailure::Reset);
    assert_eq!(tx.send(3).await, Err(SendError { item: 3, reason: SendFailure::Reset }));
    let failed = tx.send_all([1, 2, 3]).await.expect_err("nobody takes them");
    assert_eq!((failed.sent, failed.reason), (0, SendFailure::Reset));

    let (tx, mut rx) = channel();
    let pouring = tokio::spawn(async move { client.pour(tx).await });
    assert_eq!(rx.recv().await, Ok(Some(7)));
    drop(rx);
    assert_eq!(pouring.await.expect("no panic"), Ok(SendFailure::Reset.to_string()));
}

pub async fn n8_a_sender_that_gives_up_says_so(link: Link) {
    let (_scene, client) = streams(link, Options::new()).await;
    let (tx, mut rx) = channel();
    client.give_up(tx).await.expect("answers");
    assert_eq!(rx.recv().await, Err(RecvError::Reset));
    assert_eq!(rx.recv().await, Err(RecvError::Reset), "and stays so");
    assert_eq!(rx.end_metadata(), None);

    let (tx, rx) = channel();
    let summing = tokio::spawn({
        let client = client.clone();
        async move { client.sum(rx).await }
    });
    tx.send(1).await.expect("is received");
    tx.reset();
    let sum = summing.await.expect("no panic");
    assert_eq!(sum, Err(CallError::User(RecvError::Reset.to_string())));
}

pub async fn n11_a_session_that_ends_ends_its_channels(link: Link) {
    let (scene, client) = streams(link, window(100)).await;
    let (tx, rx) = channel();
    client.keep(rx).await.expect("answers");
    let mut letters = client.spell(&"x".repeat(1000)).await.expect("answers");
    assert_eq!(letters.recv().await, Ok(Some('x')));
    scene.server.close();
    let closed = tx.closed().await;
    assert!(matches!(closed, SendFailure::Disconnected(_)), "{closed:?}");
    let failed = tx.send(1).await.expect_err("nobody is there").reason;
    assert_eq!(failed, closed);
    let ended = loop {
        match letters.recv().await {
            Ok(Some(letter)) => assert_eq!(letter, 'x', "what was sent before may still be taken"),
            other => break other,
        }
    };
    assert!(matches!(ended, Err(RecvError::Disconnected(_))), "{ended:?}");
    assert_ne!(scene.client.closed().await, CloseReason::Local);
}

pub async fn n8_a_call_that_comes_to_nothing_ends_its_channels(link: Link) {
    let (scene, client) = streams(link, Options::new()).await;
    let (tx, mut rx) = channel();
    drop(client.count(1, tx));
    assert_eq!(rx.recv().await, Err(RecvError::Reset), "it was never made");

    scene.client.close();
    scene.client.closed().await;
    let (tx, mut rx) = channel();
    let failed = client.count(1, tx).await.expect_err("nobody is there");
    assert!(matches!(failed, CallError::Disconnected { .. }), "{failed}");
    assert_eq!(rx.recv().await, Err(RecvError::Reset));
    let (tx, rx) = channel();
    assert!(client.ignore(rx).await.is_err());
    assert_eq!(tx.send(1).await, Err(SendError { item: 1, reason: SendFailure::Reset }));
}

pub async fn n7_an_end_that_was_left_before_the_other_was_passed_on_ends_it_there(link: Link) {
    let (_scene, client) = streams(link, Options::new()).await;
    let (tx, rx) = channel();
    drop(tx);
    assert_eq!(client.sum(rx).await, Ok(0));
    let (tx, rx) = channel();
    tx.reset();
    assert_eq!(client.sum(rx).await, Err(CallError::User(RecvError::Reset.to_string())));
    let (tx, rx) = channel();
    drop(rx);
    assert_eq!(client.pour(tx).await, Ok(SendFailure::Reset.to_string()));
}

pub async fn n12_an_end_is_passed_on_once(link: Link) {
    let (_scene, client) = streams(link, Options::new()).await;
    let (tx, rx) = channel();
    let both = client.echo(rx, tx).await;
    assert!(matches!(&both, Err(CallError::InvalidPayload { .. })), "both ends of one channel: {both:?}");

    let (tx, rx) = channel();
    client.keep(rx).await.expect("answers");
    let second = client.count(1, tx).await;
    assert!(matches!(&second, Err(CallError::InvalidPayload { .. })), "the other one is away: {second:?}");

    let numbers = client.collect().await.expect("answers");
    let back = client.count(1, numbers).await;
    assert!(matches!(&back, Err(CallError::InvalidPayload { .. })), "it came from the peer: {back:?}");

    let (tx, rx) = channel();
    drop(tx);
    let relayed = client.relay(rx).await.expect("answers");
    assert!(relayed.contains("passed on") && relayed.ends_with("Ok(3)"), "{relayed}");
    assert_eq!(client.ping().await, Ok(1), "the session is unharmed");
}

pub async fn n11_a_channel_ends_with_its_connection(link: Link) {
    let (scene, _) = streams(link, Options::new()).await;
    let client: StreamsClient = scene.client.open().await.expect("is taken");
    let (tx, rx) = channel();
    client.keep(rx).await.expect("answers");
    tx.send(1).await.expect("is received");
    client.connection().close();
    assert_eq!(tx.closed().await, SendFailure::Disconnected(CloseReason::Local));
    let root: StreamsClient = scene.client.client();
    assert_eq!(root.ping().await, Ok(1), "the session goes on");
}

pub async fn n11_a_channel_keeps_its_connection_open(link: Link) {
    let (scene, _) = streams(link, Options::new()).await;
    let client: StreamsClient = scene.client.open().await.expect("is taken");
    let connection = client.connection().id();
    assert_ne!(connection, 0);
    let mut letters = client.spell("open").await.expect("answers");
    drop(client);
    let mut text = String::new();
    while let Some(letter) = letters.recv().await.expect("the connection is open") {
        text.push(letter);
    }
    assert_eq!(text, "open");
}

pub async fn n12_an_end_goes_to_another_session(link: Link) {
    let (_scene, client) = streams(link, Options::new()).await;
    let (_other, third) = streams(link, Options::new()).await;
    // What arrives from one peer is passed on to another by who is between them.
    let (tx, rx) = channel();
    let (out, mut back) = channel();
    let first = tokio::spawn(async move { client.echo(rx, out).await });
    let (tx_there, rx_there) = channel();
    let (out_there, mut back_there) = channel();
    let second = tokio::spawn(async move { third.echo(rx_there, out_there).await });
    let between = tokio::spawn(async move {
        while let Some(item) = back.recv().await.expect("echoed") {
            tx_there.send(item).await.expect("is received");
        }
    });
    for number in 0..50 {
        tx.send(vec![number]).await.expect("is received");
        assert_eq!(back_there.recv().await, Ok(Some(vec![number])));
    }
    drop(tx);
    assert_eq!(back_there.recv().await, Ok(None));
    between.await.expect("no panic");
    assert_eq!((first.await.expect("no panic"), second.await.expect("no panic")), (Ok(()), Ok(())));
}

pub async fn s8_nothing_is_left_of_channels_that_are_over(link: Link) {
    let mut limits = Limits::default();
    limits.channels = 2;
    let (_scene, client) = streams(link, Options::new().limits(limits)).await;
    for round in 0..100 {
        let (tx, rx) = channel();
        match round % 3 {
            0 => assert_eq!(client.count(1, tx).await, Ok(1), "the receiver goes first, {rx:?}"),
            1 => drop((client.ignore(rx).await.expect("answers"), tx)),
            _ => client.give_up(tx).await.expect("answers"),
        }
    }
    let ((tx, rx), (out, back), (more, mut kept)) = (channel(), channel(), channel());
    let echoing = tokio::spawn({
        let client = client.clone();
        async move { client.echo(rx, out).await }
    });
    // The first two are open as soon as the echo answers.
    let (tx, mut back) = (tx, back);
    tx.send(vec![1]).await.expect("is received");
    assert_eq!(back.recv().await, Ok(Some(vec![1])));
    assert_eq!(client.count(1, more).await, Err(CallError::TooManyChannels { limit: 2 }));
    assert_eq!(kept.recv().await, Err(RecvError::Reset), "the call was not made");
    drop(tx);
    assert_eq!(back.recv().await, Ok(None));
    assert_eq!(echoing.await.expect("no panic"), Ok(()));
    let (more, mut kept) = channel();
    assert_eq!(client.count(1, more).await, Ok(1));
    assert_eq!(kept.recv().await, Ok(Some(0)));
}
