//! Generated servers and clients over a real session on a link within this process.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use facet::Facet;

use super::{CallError, CallOptions, Client, Context, Service, Session, dispatcher};
use crate::driver::{blocking, tokio as tokio_driver};
use crate::link::{Link, Peer, Transport, mem_pair};
use crate::session::{CloseReason, Entry, Limits, Metadata, Role, Session as Machine, Settings, Value};

#[derive(Facet, Debug, Clone, PartialEq)]
struct Point {
    x: i32,
    name: String,
}

#[derive(Facet, Debug, PartialEq)]
#[repr(u8)]
enum DivideError {
    ByZero,
    Overflow { a: i64 },
}

/// Adds and divides.
#[transom::service]
trait Calc {
    /// Adds.
    async fn add(&self, a: u64, b: u64) -> u64;
    async fn divide(&self, cx: &Context, a: i64, b: i64) -> Result<i64, DivideError>;
    fn echo(&self, bytes: &[u8]) -> Vec<u8>;
    async fn mirror(&self, point: Point, times: u8, label: &str) -> Vec<Point>;
    async fn nothing(&self);
    async fn never(&self) -> u64;
    #[transom(spawn)]
    async fn panics(&self);
    async fn call_back(&self, cx: &Context, text: &str) -> String;
    async fn metadata(&self, cx: &Context) -> Vec<String>;
    async fn optional(&self, text: Option<&str>) -> Option<u32>;
}

#[transom::service]
trait Shout {
    fn shout(&self, text: &str) -> String;
}

/// Another `Calc`, as an older or newer peer might have it.
mod other {
    #[transom::service]
    pub(super) trait Calc {
        async fn add(&self, a: u64, b: i64) -> u64;
        async fn subtract(&self, a: u64, b: u64) -> u64;
    }
}

#[derive(Default)]
struct Mine {
    dropped: Arc<AtomicU32>,
}

/// Counts when it is dropped.
struct Counted(Arc<AtomicU32>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Calc for Mine {
    async fn add(&self, a: u64, b: u64) -> u64 {
        a + b
    }

    async fn divide(&self, cx: &Context, a: i64, b: i64) -> Result<i64, DivideError> {
        assert_eq!((cx.service(), cx.method()), ("calc", "divide"));
        match b {
            0 => Err(DivideError::ByZero),
            b => a.checked_div(b).ok_or(DivideError::Overflow { a }),
        }
    }

    fn echo(&self, bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }

    async fn mirror(&self, point: Point, times: u8, label: &str) -> Vec<Point> {
        let point = Point { name: format!("{}{label}", point.name), ..point };
        vec![point; times.into()]
    }

    async fn nothing(&self) {}

    async fn never(&self) -> u64 {
        let _counted = Counted(Arc::clone(&self.dropped));
        std::future::pending().await
    }

    async fn panics(&self) {
        panic!("as the test asks");
    }

    async fn call_back(&self, cx: &Context, text: &str) -> String {
        let shout: ShoutClient = cx.client();
        shout.shout(text).await.unwrap_or_else(|error| error.to_string())
    }

    async fn metadata(&self, cx: &Context) -> Vec<String> {
        cx.metadata().iter().map(|entry| format!("{entry:?}")).collect()
    }

    async fn optional(&self, text: Option<&str>) -> Option<u32> {
        text?.parse().ok()
    }
}

struct Loud;

impl Shout for Loud {
    fn shout(&self, text: &str) -> String {
        text.to_uppercase()
    }
}

fn machine(role: Role, limits: Limits, dispatch: &Arc<dyn crate::driver::Dispatch>) -> Machine {
    let dispatch = Arc::clone(dispatch);
    let settings = Settings {
        limits,
        metadata: Metadata::default(),
        transport: Transport::Mem,
        peer: Peer::this(),
        open_until: None,
        methods: Box::new(move |id| dispatch.lookup(id)),
        has_policy: false,
        keepalive: None,
        idle: None,
        descriptors: 64,
    };
    Machine::new(role, settings)
}

fn on_tokio(role: Role, link: Link, limits: Limits, service: impl Service) -> Session {
    let dispatch = dispatcher(service);
    Session::new(tokio_driver::start(machine(role, limits, &dispatch), link, dispatch).expect("starts"))
}

/// The caller's session, which serves `Shout`, and the other, which serves `Calc`.
fn pair() -> (Session, Session, Arc<AtomicU32>) {
    let mine = Mine::default();
    let dropped = Arc::clone(&mine.dropped);
    let (here, there) = mem_pair();
    let server = on_tokio(Role::Acceptor, there, Limits::default(), ((), CalcServer::new(mine)));
    let caller = on_tokio(Role::Initiator, here, Limits::default(), ShoutServer::new(Loud));
    (caller, server, dropped)
}

#[tokio::test]
async fn every_kind_of_method_answers() {
    let (session, _server, _) = pair();
    let calc: CalcClient = session.client();
    assert_eq!(calc.add(2, 3).await, Ok(5));
    assert_eq!(calc.divide(7, 2).await, Ok(3));
    assert_eq!(calc.divide(7, 0).await, Err(CallError::User(DivideError::ByZero)));
    let overflow = CallError::User(DivideError::Overflow { a: i64::MIN });
    assert_eq!(calc.divide(i64::MIN, -1).await, Err(overflow));
    assert_eq!(calc.echo(b"bytes").await.as_deref(), Ok(&b"bytes"[..]));
    let point = Point { x: -1, name: "p".into() };
    let mirrored = calc.mirror(point, 2, "!").await;
    assert_eq!(mirrored, Ok(vec![Point { x: -1, name: "p!".into() }; 2]));
    assert_eq!(calc.nothing().await, Ok(()));
    assert_eq!(calc.optional(Some("12")).await, Ok(Some(12)));
    assert_eq!(calc.optional(None).await, Ok(None));
    assert_eq!(calc.call_back("loud").await.as_deref(), Ok("LOUD"), "a handler calls its caller back");
}

#[tokio::test]
async fn calls_are_answered_in_any_order_and_many_at_once() {
    let (session, _server, _) = pair();
    let calc: CalcClient = session.client();
    let mut stuck = calc.never();
    let waker = std::task::Waker::noop();
    let mut cx = std::task::Context::from_waker(waker);
    let pinned = std::pin::Pin::new(&mut stuck);
    assert!(Future::poll(pinned, &mut cx).is_pending());
    let tasks: Vec<_> = (0..200)
        .map(|number| {
            let calc = calc.clone();
            tokio::spawn(async move { calc.add(number, 1).await })
        })
        .collect();
    for (number, task) in (0..).zip(tasks) {
        assert_eq!(task.await.expect("no panic"), Ok(number + 1));
    }
}

#[tokio::test]
async fn a_dropped_call_is_cancelled_and_its_handler_dropped() {
    let (session, _server, dropped) = pair();
    let calc: CalcClient = session.client();
    let call = calc.never();
    assert!(tokio::time::timeout(Duration::from_millis(20), call).await.is_err(), "it never answers");
    let until = Instant::now() + Duration::from_secs(5);
    while dropped.load(Ordering::Relaxed) == 0 {
        assert!(Instant::now() < until, "the handler was not dropped");
        assert_eq!(calc.add(1, 1).await, Ok(2), "the session is unharmed");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_deadline_ends_a_call() {
    let (session, _server, dropped) = pair();
    let calc: CalcClient = session.client();
    let answer = calc.never().deadline(Duration::from_millis(20)).await;
    assert_eq!(answer, Err(CallError::DeadlineExceeded));
    assert_eq!(calc.add(1, 1).deadline(Duration::from_secs(60)).await, Ok(2));
    assert_eq!(calc.add(1, 1).deadline(Duration::MAX).await, Ok(2), "as good as none");
    assert_eq!(dropped.load(Ordering::Relaxed), 1, "the handler ends with its call");
}

#[tokio::test]
async fn a_panic_in_a_handler_is_answered_and_harms_nothing() {
    let (session, _server, _) = pair();
    let calc: CalcClient = session.client();
    assert_eq!(calc.panics().await, Err(CallError::HandlerPanicked));
    assert_eq!(calc.add(1, 1).await, Ok(2));
}

#[tokio::test]
async fn metadata_goes_along() {
    let (session, _server, _) = pair();
    let calc: CalcClient = session.client();
    let mut metadata = Metadata::new();
    metadata.push(Entry::new("trace", Value::U64(7))).expect("fits");
    let seen = calc.metadata().with_metadata(metadata.clone()).await.expect("answers");
    assert_eq!(seen, metadata.iter().map(|entry| format!("{entry:?}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_service_the_peer_lacks_and_types_that_differ_say_so() {
    let (session, _server, _) = pair();
    assert_eq!(session.client::<ShoutClient>().shout("x").await, Err(CallError::UnknownMethod));
    assert_eq!(session.client::<CalcClient>().add(1, 2).await, Ok(3));
    // A peer knows a method by one description in a session.
    let (session, _server, _) = pair();
    let other: other::CalcClient = session.client();
    assert_eq!(other.subtract(2, 1).await, Err(CallError::UnknownMethod));
    let differs = other.add(1, 2).await;
    assert!(matches!(differs, Err(CallError::InvalidPayload { .. })), "{differs:?}");
    assert_eq!(session.client::<CalcClient>().nothing().await, Ok(()), "the session is unharmed");
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_sent_or_answered() {
    let (here, there) = mem_pair();
    let limits = Limits { payload: Limits::LEAST_PAYLOAD, ..Limits::default() };
    let _server = on_tokio(Role::Acceptor, there, limits, CalcServer::new(Mine::default()));
    let session = on_tokio(Role::Initiator, here, Limits::default(), ());
    let calc: CalcClient = session.client();
    let large = calc.echo(&[0; 2000]).await;
    assert!(matches!(large, Err(CallError::TooLarge { size: 2002.., limit: 1024 })), "{large:?}");
    let answer = calc.mirror(Point { x: 1, name: "n".repeat(100) }, 100, "").await;
    assert!(matches!(answer, Err(CallError::TooLarge { limit: 1024, .. })), "{answer:?}");
    assert_eq!(calc.add(1, 1).await, Ok(2));
}

#[tokio::test]
async fn a_closed_session_says_why() {
    let (session, server, _) = pair();
    let calc: CalcClient = session.client();
    assert_eq!(calc.add(1, 1).await, Ok(2));
    assert!(calc.session().is_open() && session.negotiated().is_some());
    server.close();
    assert!(session.closed().await != CloseReason::Local);
    assert_eq!(server.closed().await, CloseReason::Local);
    let after = calc.add(1, 1).await.expect_err("closed");
    assert!(after.can_retry() && matches!(after, CallError::Disconnected { .. }), "{after}");
}

#[test]
fn blocking_clients_need_no_runtime() {
    let (here, there) = mem_pair();
    let dispatch = dispatcher((ShoutServer::new(Loud), CalcServer::new(Mine::default())));
    let server = machine(Role::Acceptor, Limits::default(), &dispatch);
    let server = Session::new(blocking::start_serving(server, there, dispatch).expect("starts"));
    let none = dispatcher(());
    let caller = machine(Role::Initiator, Limits::default(), &none);
    let engine = blocking::start(caller, here, none).expect("starts");
    let session = Session::new(engine);
    let (calc, shout): (CalcBlockingClient, ShoutBlockingClient) = (session.client(), session.client());
    assert_eq!(calc.add(2, 3), Ok(5));
    assert_eq!(calc.divide(1, 0), Err(CallError::User(DivideError::ByZero)));
    assert_eq!(shout.shout("both"), Ok("BOTH".to_owned()));
    let hasty = calc.with(CallOptions::new().deadline(Duration::from_millis(20)));
    assert_eq!(hasty.never(), Err(CallError::DeadlineExceeded));
    assert_eq!(calc.panics(), Err(CallError::HandlerPanicked));
    std::thread::scope(|scope| {
        for number in 0..4 {
            let calc = &calc;
            scope.spawn(move || {
                for _ in 0..100 {
                    assert_eq!(calc.add(number, 1), Ok(number + 1));
                }
            });
        }
    });
    session.close();
    assert!(matches!(calc.add(1, 1), Err(CallError::Disconnected { reason: CloseReason::Local, .. })));
    drop(server);
}

#[test]
fn a_descriptor_tells_what_a_service_is() {
    let calc = CalcClient::DESCRIPTOR;
    assert_eq!((calc.name, calc.docs), ("Calc", "Adds and divides."));
    let names: Vec<_> = calc.methods.iter().map(|operation| operation.method.name).collect();
    assert_eq!(names[..4], ["add", "divide", "echo", "mirror"]);
    assert_eq!(names[7], "call-back");
    assert_eq!(calc.methods[0].docs, "Adds.");
    assert_eq!(calc.methods[0].signature(), "(a: u64, b: u64) -> u64");
    assert_eq!(
        calc.methods[1].signature(),
        "(a: i64, b: i64) -> i64 | DivideError(ByZero, Overflow{a: i64})"
    );
    assert!(calc.methods[6].spawned && !calc.methods[0].spawned);
    let hash = blake3::hash(b"calc.add");
    let first: [u8; 8] = hash.as_bytes()[..8].try_into().expect("eight bytes");
    assert_eq!(calc.methods[0].method.id, u64::from_le_bytes(first));
    let other = other::CalcClient::DESCRIPTOR;
    assert_eq!(other.methods[0].method.id, calc.methods[0].method.id);
    assert_ne!((other.methods[0].method.types)(), (calc.methods[0].method.types)());
    let served = ((), (CalcServer::new(Mine::default()), ShoutServer::new(Loud))).descriptors();
    assert_eq!(served.iter().map(|service| service.name).collect::<Vec<_>>(), ["Calc", "Shout"]);
}

#[test]
fn errors_keep_what_they_say_when_the_users_part_changes() {
    let error: CallError<u8> = CallError::User(3);
    assert_eq!(error.map_user(|number| number + 1), CallError::User(4));
    let error: CallError<Infallible> = CallError::TooLarge { size: 2, limit: 1 };
    assert_eq!(error.map_user(|never| match never {}), CallError::<u8>::TooLarge { size: 2, limit: 1 });
    assert!(CallError::<u8>::Refused.can_retry() && !CallError::<u8>::Cancelled.can_retry());
}
