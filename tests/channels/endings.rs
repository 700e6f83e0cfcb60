//! However a channel ends, both of its ends learn of it, and why.

use transom::{CallError, CloseReason, Options, RecvError, SendError, SendFailure, channel};

use crate::scene::{over_each_link, window};

#[tokio::test]
async fn a_dropped_receiver_stops_its_sender() {
    over_each_link(Options::new(), |client, _, _| async move {
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
    })
    .await;
}

#[tokio::test]
async fn a_sender_that_gives_up_says_so() {
    over_each_link(Options::new(), |client, _, _| async move {
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
    })
    .await;
}

#[tokio::test]
async fn a_session_that_ends_ends_its_channels() {
    over_each_link(window(100), |client, session, peer| async move {
        let (tx, rx) = channel();
        client.keep(rx).await.expect("answers");
        let mut letters = client.spell(&"x".repeat(1000)).await.expect("answers");
        assert_eq!(letters.recv().await, Ok(Some('x')));
        peer.close();
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
        assert_ne!(session.closed().await, CloseReason::Local);
    })
    .await;
}

#[tokio::test]
async fn a_call_that_comes_to_nothing_ends_its_channels() {
    over_each_link(Options::new(), |client, session, _| async move {
        let (tx, mut rx) = channel();
        drop(client.count(1, tx));
        assert_eq!(rx.recv().await, Err(RecvError::Reset), "it was never made");

        session.close();
        session.closed().await;
        let (tx, mut rx) = channel();
        let failed = client.count(1, tx).await.expect_err("nobody is there");
        assert!(matches!(failed, CallError::Disconnected { .. }), "{failed}");
        assert_eq!(rx.recv().await, Err(RecvError::Reset));
        let (tx, rx) = channel();
        assert!(client.ignore(rx).await.is_err());
        assert_eq!(tx.send(1).await, Err(SendError { item: 1, reason: SendFailure::Reset }));
    })
    .await;
}

#[tokio::test]
async fn an_end_that_was_left_before_the_other_was_passed_on_ends_it_there() {
    over_each_link(Options::new(), |client, _, _| async move {
        let (tx, rx) = channel();
        drop(tx);
        assert_eq!(client.sum(rx).await, Ok(0));
        let (tx, rx) = channel();
        tx.reset();
        assert_eq!(client.sum(rx).await, Err(CallError::User(RecvError::Reset.to_string())));
        let (tx, rx) = channel();
        drop(rx);
        assert_eq!(client.pour(tx).await, Ok(SendFailure::Reset.to_string()));
    })
    .await;
}

#[tokio::test]
async fn an_end_is_passed_on_once() {
    over_each_link(Options::new(), |client, _, _| async move {
        let (tx, rx) = channel();
        let both = client.echo(rx, tx).await;
        assert!(matches!(&both, Err(CallError::InvalidPayload { .. })), "both ends of one channel: {both:?}");

        let (tx, rx) = channel();
        client.keep(rx).await.expect("answers");
        let second = client.count(1, tx).await;
        assert!(
            matches!(&second, Err(CallError::InvalidPayload { .. })),
            "the other one is away: {second:?}"
        );

        let numbers = client.collect().await.expect("answers");
        let back = client.count(1, numbers).await;
        assert!(matches!(&back, Err(CallError::InvalidPayload { .. })), "it came from the peer: {back:?}");

        let (tx, rx) = channel();
        drop(tx);
        let relayed = client.relay(rx).await.expect("answers");
        assert!(relayed.contains("passed on") && relayed.ends_with("Ok(3)"), "{relayed}");
        assert_eq!(client.ping().await, Ok(1), "the session is unharmed");
    })
    .await;
}
