//! Calls without their types: R12, and connections taken raw: C3.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use transom::proxy::Forward;
use transom::{
    CallError, Client, Context, Entry, IncomingConnection, Limits, Metadata, Options, RecvError, Rx,
    SendFailure, Service as _, Tx, Value, channel, raw,
};

use crate::scene::{Blocking, Link, Scene};

/// What is called with and without its types.
#[transom::service]
pub trait Types {
    async fn join(&self, cx: &Context, left: &str, right: &str) -> String;
    async fn halve(&self, number: u64) -> Result<u64, Odd>;
    async fn sum(&self, numbers: Rx<u64>, out: Tx<String>) -> u64;
    async fn count(&self, to: u64) -> Rx<u64>;
    async fn panics(&self);
    /// No answer; says when it begins and when it is dropped.
    async fn never(&self);
}

/// It has no half.
#[derive(Debug, PartialEq, facet::Facet)]
pub struct Odd {
    number: u64,
}

#[derive(Clone, Default)]
struct Typed {
    begun: Arc<Notify>,
    dropped: Arc<Notify>,
}

impl Types for Typed {
    async fn join(&self, cx: &Context, left: &str, right: &str) -> String {
        for entry in cx.metadata() {
            cx.attach(entry.clone()).unwrap();
        }
        format!("{left}{right}{}", if cx.deadline().is_some() { " in time" } else { "" })
    }
    async fn halve(&self, number: u64) -> Result<u64, Odd> {
        if number.is_multiple_of(2) { Ok(number / 2) } else { Err(Odd { number }) }
    }
    async fn sum(&self, mut numbers: Rx<u64>, out: Tx<String>) -> u64 {
        let mut sum = 0;
        while let Ok(Some(number)) = numbers.recv().await {
            out.send(number.to_string()).await.unwrap();
            sum += number;
        }
        sum
    }
    async fn count(&self, to: u64) -> Rx<u64> {
        let (tx, rx) = channel();
        tokio::spawn(async move { tx.send_all(0..to).await });
        rx
    }
    async fn panics(&self) {
        panic!("as the test asks");
    }
    async fn never(&self) {
        struct Says(Arc<Notify>);
        impl Drop for Says {
            fn drop(&mut self) {
                self.0.notify_one();
            }
        }
        let _says = Says(Arc::clone(&self.dropped));
        self.begun.notify_one();
        std::future::pending().await
    }
}

/// A method of [`Types`], by its name.
fn method(name: &str) -> raw::Method {
    let operations = TypesClient::DESCRIPTOR.methods;
    raw::Method::from(operations.iter().find(|operation| operation.method.name == name).unwrap())
}

async fn typed(link: Link) -> (Scene, Typed) {
    let typed = Typed::default();
    (Scene::new(link, (), TypesServer::new(typed.clone())).await, typed)
}

fn entry(key: &str) -> Metadata {
    let mut metadata = Metadata::new();
    metadata.push(Entry::new(key, 1)).unwrap();
    metadata
}

pub async fn r12_a_raw_call_is_made_with_bytes(link: Link) {
    let (scene, _) = typed(link).await;
    let (root, join) = (scene.client.root(), method("join"));
    assert_eq!((join.service(), join.name()), ("types", "join"));
    assert_eq!(raw::Method::new("types", "join", join.types()).id(), join.id());
    let response = root.raw_call(&join, b"\x02ab\x01c").await.unwrap();
    assert_eq!(response.payload(), b"\x03abc");
    assert!(response.metadata().is_empty());
    let call =
        root.raw_call(&join, b"\x00\x00").with_metadata(entry("back")).deadline(Duration::from_secs(20));
    let response = call.await.unwrap();
    assert_eq!((response.payload(), response.ends().len()), (&b"\x08 in time"[..], 0));
    assert_eq!(response.metadata().get("back"), Some(&Value::U64(1)));
    // Beside calls with types.
    let client: TypesClient = root.client();
    assert_eq!(client.join("x", "y").await.unwrap(), "xy");
    let long = vec![b'x'; 100_000];
    let payload = [&[0xa0, 0x8d, 0x06][..], &long, &[0]].concat();
    let response = root.raw_call(&join, payload.clone()).await.unwrap();
    assert_eq!(response.payload(), &payload[..payload.len() - 1]);
}

pub async fn r12_raw_calls_fail_as_others_do(link: Link) {
    let (scene, typed) = typed(link).await;
    let root = scene.client.root();
    let halve = method("halve");
    assert_eq!(root.raw_call(&halve, [4]).await.unwrap().payload(), [2]);
    assert_eq!(root.raw_call(&halve, [5]).await.unwrap_err(), CallError::User(vec![5]));
    let undecodable = root.raw_call(&halve, [1, 2]).await.unwrap_err();
    assert!(matches!(undecodable, CallError::InvalidPayload { .. }), "{undecodable}");
    let unknown = raw::Method::new("types", "unheard-of", 7);
    assert_eq!(root.raw_call(&unknown, []).await.unwrap_err(), CallError::UnknownMethod);
    assert_eq!(root.raw_call(&method("panics"), []).await.unwrap_err(), CallError::HandlerPanicked);
    let late = root.raw_call(&method("never"), []).deadline(Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(late, CallError::DeadlineExceeded);
    typed.begun.notified().await;
    typed.dropped.notified().await;
    // Whoever drops it cancels it.
    tokio::select! {
        answer = root.raw_call(&method("never"), []) => panic!("{answer:?}"),
        () = typed.begun.notified() => {}
    }
    typed.dropped.notified().await;
    // The types are compared as for any other call.
    let other = raw::Method::new("types", "count", 7);
    let differs = root.raw_call(&other, [1]).await.unwrap_err();
    assert!(
        matches!(&differs, CallError::InvalidPayload { detail } if detail.contains("types.count")),
        "{differs}"
    );
    let differs = root.raw_call(&method("count"), [1]).await.unwrap_err();
    assert!(
        matches!(&differs, CallError::InvalidPayload { detail } if detail.contains("types.count")),
        "{differs}"
    );
    scene.server.close();
    scene.client.closed().await;
    let over = root.raw_call(&halve, [4]).await.unwrap_err();
    assert!(over.can_retry(), "{over}");
}

pub async fn r12_raw_calls_have_channels(link: Link) {
    let (scene, _) = typed(link).await;
    let root = scene.client.root();
    let (numbers, theirs) = channel::<raw::Item>();
    let (out, mut texts) = channel::<raw::Item>();
    let sum = method("sum");
    let call = root.raw_call(&sum, [0, 1]).pass(theirs).pass(out);
    let using = async {
        for number in [5, 127] {
            numbers.send(raw::Item(vec![number])).await.unwrap();
        }
        // Two bytes: 300.
        numbers.send(raw::Item(vec![0xac, 0x02])).await.unwrap();
        drop(numbers);
        let mut all = Vec::new();
        while let Some(raw::Item(text)) = texts.recv().await.unwrap() {
            all.push(text);
        }
        all
    };
    let (response, all) = tokio::join!(call, using);
    assert_eq!(response.unwrap().payload(), [0xb0, 0x03], "432");
    assert_eq!(all, [b"\x015".to_vec(), b"\x03127".to_vec(), b"\x03300".to_vec()]);

    let mut response = root.raw_call(&method("count"), [3]).await.unwrap();
    assert_eq!((response.payload(), response.ends().len()), (&[0][..], 1));
    assert!(response.ends_mut().take_tx(0).is_none(), "it is one to receive from");
    let mut rx = response.ends_mut().take_rx(0).unwrap();
    assert!(response.ends_mut().take(0).is_none() && response.ends_mut().take(1).is_none());
    for number in 0..3 {
        assert_eq!(rx.recv().await.unwrap(), Some(raw::Item(vec![number])));
    }
    assert_eq!(rx.recv().await, Ok(None));
    let again = root.raw_call(&method("count"), [0]).pass(rx).await.unwrap_err();
    assert!(matches!(again, CallError::InvalidPayload { .. }), "what has come is not passed on: {again}");

    // Ends that nobody takes are given up, and so are those of a call that is not made.
    drop(root.raw_call(&method("count"), [200, 1]).await.unwrap());
    let (tx, rx) = channel::<raw::Item>();
    drop(root.raw_call(&sum, [0, 1]).pass(rx));
    assert_eq!(tx.closed().await, SendFailure::Reset);
    // What the payload refers to must have been passed along.
    let missing = root.raw_call(&sum, [0, 1]).await.unwrap_err();
    assert!(matches!(missing, CallError::InvalidPayload { .. }), "{missing}");
}

pub async fn r12_raw_calls_go_through_proxies(link: Link) {
    let (far, _) = typed(Link::Shm).await;
    let near = Scene::new(link, (), Forward::to(far.client.root())).await;
    let root = near.client.root();
    assert_eq!(root.raw_call(&method("halve"), [4]).await.unwrap().payload(), [2]);
    assert_eq!(root.raw_call(&method("halve"), [5]).await.unwrap_err(), CallError::User(vec![5]));
    let mut response = root.raw_call(&method("count"), [1]).await.unwrap();
    let mut rx = response.ends_mut().take_rx(0).unwrap();
    assert_eq!((rx.recv().await, rx.recv().await), (Ok(Some(raw::Item(vec![0]))), Ok(None)));
}

/// What is there to be called without a runtime.
#[transom::service]
pub trait Sums {
    fn sum_all(&self, numbers: Rx<u64>) -> u64;
}

struct Summing;

impl Sums for Summing {
    fn sum_all(&self, mut numbers: Rx<u64>) -> u64 {
        std::iter::from_fn(|| numbers.blocking_recv().unwrap()).sum()
    }
}

pub async fn r12_threads_make_raw_calls(link: Link) {
    let test = move || {
        let scene = Blocking::new(link, Options::new(), SumsServer::new(Summing));
        let root = scene.client.root();
        let sum = raw::Method::from(&SumsClient::DESCRIPTOR.methods[0]);
        let (tx, rx) = channel::<raw::Item>();
        let sending =
            std::thread::spawn(move || tx.blocking_send_all((1..=10).map(|number| raw::Item(vec![number]))));
        let response =
            root.raw_call(&sum, [0]).pass(rx).deadline(Duration::from_secs(20)).blocking_response();
        assert_eq!(response.unwrap().payload(), [55]);
        sending.join().unwrap().unwrap();
        let late = root.raw_call(&sum, [0]).deadline(Duration::ZERO).blocking_response();
        assert_eq!(late.unwrap_err(), CallError::DeadlineExceeded);
    };
    tokio::task::spawn_blocking(test).await.unwrap();
}

/// Does what [`Typed`] does, without knowing the types.
async fn by_hand(mut request: raw::Request) -> Result<raw::Answer, CallError<Vec<u8>>> {
    let method = request.method().clone();
    assert_eq!((request.context().service(), request.context().method()), (method.service(), method.name()));
    match (method.service(), method.name()) {
        ("types", "join") => {
            let [length, rest @ ..] = request.payload() else { panic!("{request:?}") };
            let (left, right) = rest.split_at((*length).into());
            for entry in request.context().metadata() {
                request.context().attach(entry.clone()).unwrap();
            }
            Ok(raw::Answer::new([&[length + right[0]], left, &right[1..]].concat()))
        }
        ("types", "halve") => match request.payload() {
            [number] if number % 2 == 0 => Ok(raw::Answer::new([number / 2])),
            [number] => Err(CallError::User(vec![*number])),
            _ => Err(CallError::InvalidPayload { detail: "one byte".to_owned() }),
        },
        ("types", "sum") => {
            let ends = request.ends_mut();
            assert_eq!(ends.len(), 2);
            let (Some(mut numbers), Some(out)) = (ends.take_rx(0), ends.take_tx(1)) else {
                panic!("{ends:?}")
            };
            let mut sum = 0;
            while let Some(raw::Item(number)) = numbers.recv().await.unwrap() {
                let text = number[0].to_string();
                out.send(raw::Item([&[text.len() as u8], text.as_bytes()].concat())).await.unwrap();
                sum += number[0];
            }
            Ok(raw::Answer::new([sum]))
        }
        ("types", "count") => {
            let to = request.payload()[0];
            let (tx, rx) = channel();
            tokio::spawn(async move { tx.send_all((0..to).map(|number| raw::Item(vec![number]))).await });
            Ok(raw::Answer::new([0]).pass(rx))
        }
        ("types", "panics") => panic!("as the test asks"),
        ("types", "never") => {
            let cancellation = request.context().cancellation().clone();
            // It is not over because of that.
            drop(request);
            tokio::task::yield_now().await;
            assert!(!cancellation.is_cancelled());
            std::future::pending().await
        }
        _ => Err(CallError::UnknownMethod),
    }
}

async fn is_as_with_types(client: &TypesClient) {
    let response = client.join("ab", "c").with_metadata(entry("back")).response().await.unwrap();
    assert_eq!((response.value.as_str(), response.metadata), ("abc", entry("back")));
    assert_eq!(
        (client.halve(4).await, client.halve(5).await),
        (Ok(2), Err(CallError::User(Odd { number: 5 })))
    );
    let failed = client.halve(1000).await.unwrap_err();
    assert!(matches!(&failed, CallError::InvalidPayload { detail } if detail == "one byte"), "{failed}");
    let ((tx, rx), (out, mut texts)) = (channel(), channel());
    let sending = async move { tx.send_all([3, 4]).await };
    let (sum, sent) = tokio::join!(client.sum(rx, out), sending);
    assert_eq!((sum, sent), (Ok(7), Ok(())));
    let texts = [texts.recv().await, texts.recv().await, texts.recv().await];
    assert_eq!(texts, [Ok(Some("3".to_owned())), Ok(Some("4".to_owned())), Ok(None)]);
    let mut numbers = client.count(2).await.unwrap();
    let numbers = [numbers.recv().await, numbers.recv().await, numbers.recv().await];
    assert_eq!(numbers, [Ok(Some(0)), Ok(Some(1)), Ok(None)]);
    assert_eq!(client.panics().await, Err(CallError::HandlerPanicked));
    assert_eq!(client.never().deadline(Duration::from_millis(20)).await, Err(CallError::DeadlineExceeded));
}

pub async fn r12_a_raw_server_answers_whatever_is_called(link: Link) {
    let scene = Scene::new(link, raw::Server::new(by_hand), raw::Server::new(by_hand)).await;
    is_as_with_types(&scene.client.client()).await;
    is_as_with_types(&scene.server.client()).await;
    let unknown = scene.client.client::<SumsClient>().sum_all(channel().1).await.unwrap_err();
    assert_eq!(unknown, CallError::UnknownMethod);
}

pub async fn r12_a_raw_server_stands_behind_others(link: Link) {
    let scene = Scene::new(link, (), (SumsServer::new(Summing), raw::Server::new(by_hand))).await;
    is_as_with_types(&scene.client.client()).await;
    let (tx, rx) = channel();
    drop(tx);
    assert_eq!(scene.client.client::<SumsClient>().sum_all(rx).await, Ok(0));
}

pub async fn r12_what_a_raw_handler_cannot_send_is_an_error(link: Link) {
    let mut limits = Limits::default();
    (limits.payload, limits.channels) = (2000, 1);
    let server = raw::Server::new(|mut request: raw::Request| async move {
        match request.payload() {
            [0] => Ok(raw::Answer::new(vec![0; 5000])),
            [1] => Err(CallError::User(vec![0; 5000])),
            [2] => {
                let (tx, rx) = channel();
                // Both ends of one channel.
                Ok(raw::Answer::new([0]).pass(rx).pass(tx))
            }
            [3] => Ok(raw::Answer::new([0, 1]).pass(channel().0).pass(channel().1)),
            // What came with the call.
            _ => Ok(raw::Answer::new([0]).pass(request.ends_mut().take(0).unwrap())),
        }
    });
    let scene = Scene::with(link, Options::new().limits(limits), (), server).await;
    let root = scene.client.root();
    let any = raw::Method::new("any", "thing", 0);
    for payload in [0, 1] {
        let failed = root.raw_call(&any, [payload]).await.unwrap_err();
        assert!(matches!(failed, CallError::TooLarge { limit: 2000, .. }), "{failed}");
    }
    for payload in [2, 3] {
        let failed = root.raw_call(&any, [payload]).await.unwrap_err();
        assert!(matches!(failed, CallError::InvalidPayload { .. }), "{failed}");
    }
    let (tx, mut rx) = channel::<raw::Item>();
    let failed = root.raw_call(&any, [4]).pass(tx).await.unwrap_err();
    assert!(matches!(failed, CallError::InvalidPayload { .. }), "{failed}");
    assert!(matches!(rx.recv().await, Ok(None) | Err(RecvError::Reset)));
    let late = root.raw_call(&any, vec![0; 5000]).await.unwrap_err();
    assert!(matches!(late, CallError::TooLarge { .. }), "{late}");
}

pub async fn c3_a_connection_is_taken_raw(link: Link) {
    let server = ().accepting(|incoming: IncomingConnection| {
        drop(incoming.serve(raw::Server::new(by_hand)));
    });
    let scene = Scene::new(link, (), server).await;
    let client: TypesClient = scene.client.open().await.unwrap();
    assert!(!client.connection().is_root());
    is_as_with_types(&client).await;
    // And raw from end to end.
    let connection = scene.client.opening("whatever it is").open().await.unwrap();
    let response = connection.raw_call(&method("halve"), [8]).await.unwrap();
    assert_eq!(response.payload(), [4]);
    let unheard = raw::Method::new("whatever", "it-is", 0);
    assert_eq!(connection.raw_call(&unheard, []).await.unwrap_err(), CallError::UnknownMethod);
}

pub async fn c3_an_opener_serves_raw(link: Link) {
    let (opened, mut opens) = tokio::sync::mpsc::unbounded_channel();
    let server =
        ().accepting(move |incoming: IncomingConnection| opened.send(incoming.serve(()).unwrap()).unwrap());
    let scene = Scene::new(link, (), server).await;
    let _open = scene.client.opening("back").serve(raw::Server::new(by_hand)).open().await.unwrap();
    is_as_with_types(&opens.recv().await.unwrap().client()).await;
}
