//! Deadlines of a handler's own calls, and the time in which nothing happens: R8, K1 and S6.

use std::future::Future as _;
use std::sync::Mutex;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use transom::proxy::Forward;
use transom::{
    CallError, CallOptions, Client as _, CloseReason, Context, IncomingConnection, Keepalive, Options,
    Service as _,
};

use crate::scene::{Blocking, Link, Scene};

/// Says how much time its caller gives it.
#[transom::service]
pub trait Times {
    /// The milliseconds that are left.
    async fn left(&self, cx: &Context) -> Option<u64>;
    /// No answer.
    async fn never(&self);
}

pub struct Clock;

impl Times for Clock {
    async fn left(&self, cx: &Context) -> Option<u64> {
        cx.time_left().map(|left| left.as_millis() as u64)
    }
    async fn never(&self) {
        std::future::pending().await
    }
}

/// Asks its caller, or somebody else, how much time it gives.
#[transom::service]
pub trait Asks {
    /// What the caller's own [`Times`] says to a call without a deadline, with one of a second, and with one of a day.
    async fn back(&self, cx: &Context) -> Vec<Option<u64>>;
    /// What somebody else says to a call within this one, with a deadline of a second, and to one that is not within it.
    async fn on(&self, cx: &Context) -> Vec<Option<u64>>;
    /// The same with threads.
    async fn on_blocking(&self, cx: &Context) -> Vec<Option<u64>>;
    /// Begins to call the caller back for ever, goes on with that elsewhere, and does not answer itself.
    async fn forever(&self, cx: &Context);
    /// Keeps a client of the caller's.
    async fn keep(&self, cx: &Context);
}

struct Asking {
    elsewhere: Option<TimesClient>,
    ended: mpsc::UnboundedSender<CallError>,
    kept: Mutex<Option<oneshot::Sender<TimesClient>>>,
}

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Asks for Asking {
    async fn back(&self, cx: &Context) -> Vec<Option<u64>> {
        let (caller, same): (TimesClient, TimesClient) = (cx.client(), cx.connection().client());
        let all = [caller.left(), same.left(), caller.left().deadline(SECOND), same.left().deadline(DAY)];
        let mut left = Vec::new();
        for call in all {
            left.push(call.await.unwrap());
        }
        let free: TimesClient = cx.session().client();
        left.push(free.left().await.unwrap());
        left
    }
    async fn on(&self, cx: &Context) -> Vec<Option<u64>> {
        let Some(there) = &self.elsewhere else { return Vec::new() };
        let all = [there.left().within(cx), there.left().within(cx).deadline(SECOND), there.left()];
        let mut left = Vec::new();
        for call in all {
            left.push(call.await.unwrap());
        }
        left
    }
    async fn on_blocking(&self, cx: &Context) -> Vec<Option<u64>> {
        let Some(there) = &self.elsewhere else { return Vec::new() };
        let there: TimesBlockingClient = there.connection().client();
        let cx = cx.clone();
        let asking = move || {
            let within = CallOptions::new().within(&cx);
            let options = [within.clone(), within.deadline(SECOND), CallOptions::new()];
            options.map(|options| there.with(options).left().unwrap()).to_vec()
        };
        tokio::task::spawn_blocking(asking).await.unwrap()
    }
    async fn forever(&self, cx: &Context) {
        let (caller, ended): (TimesClient, _) = (cx.client(), self.ended.clone());
        let mut calling = Box::pin(async move { ended.send(caller.never().await.unwrap_err()) });
        let begun = std::future::poll_fn(|cx| Poll::Ready(calling.as_mut().poll(cx).is_pending()));
        assert!(begun.await);
        tokio::spawn(calling);
        std::future::pending().await
    }
    async fn keep(&self, cx: &Context) {
        let kept = self.kept.lock().unwrap().take().unwrap();
        kept.send(cx.client()).unwrap();
    }
}

/// What is about when deadlines are tried out.
struct Trial {
    near: Scene,
    _far: Scene,
    asks: AsksClient,
    ended: mpsc::UnboundedReceiver<CallError>,
    kept: oneshot::Receiver<TimesClient>,
}

/// A caller with a clock, and somebody to ask, who can ask a clock on a session of its own.
async fn trial(link: Link) -> Trial {
    let far = Scene::new(link, (), TimesServer::new(Clock)).await;
    let (ended, ends) = mpsc::unbounded_channel();
    let (keep, kept) = oneshot::channel();
    let asking = Asking { elsewhere: Some(far.client.client()), ended, kept: Mutex::new(Some(keep)) };
    let near = Scene::new(link, TimesServer::new(Clock), AsksServer::new(asking)).await;
    let asks = near.client.client();
    Trial { near, _far: far, asks, ended: ends, kept }
}

/// Whether there are so many seconds left, or less.
fn at_most(left: Option<u64>, seconds: u64) -> bool {
    left.is_some_and(|left| left <= 1000 * seconds)
}

pub async fn r8_calls_of_a_handler_have_the_time_that_is_left(link: Link) {
    let trial = trial(link).await;
    let asks = &trial.asks;
    let left = asks.back().deadline(Duration::from_secs(25)).await.unwrap();
    let [plain, same, hasty, patient, free] = left[..] else { panic!("{left:?}") };
    assert!(at_most(plain, 25) && at_most(same, 25), "{left:?}");
    assert!(at_most(hasty, 1), "what is shorter holds: {left:?}");
    assert!(at_most(patient, 25), "{left:?}");
    assert_eq!(free, None, "what is called over the session is not bound");
    let left = asks.back().await.unwrap();
    assert!(left[0].is_none() && left[1].is_none() && at_most(left[2], 1), "{left:?}");
    assert!(!at_most(left[3], 25), "{left:?}");
}

pub async fn r8_calls_within_a_call_have_the_time_that_is_left(link: Link) {
    let trial = trial(link).await;
    let asks = &trial.asks;
    for left in [
        asks.on().deadline(Duration::from_secs(25)).await.unwrap(),
        asks.on_blocking().deadline(Duration::from_secs(25)).await.unwrap(),
    ] {
        let [within, hasty, outside] = left[..] else { panic!("{left:?}") };
        assert!(at_most(within, 25) && at_most(hasty, 1), "{left:?}");
        assert_eq!(outside, None);
    }
    for left in [asks.on().await.unwrap(), asks.on_blocking().await.unwrap()] {
        assert!(left[0].is_none() && at_most(left[1], 1), "{left:?}");
    }
}

pub async fn r8_a_call_back_on_a_virtual_connection_has_the_time_that_is_left(link: Link) {
    let (ended, _ends) = mpsc::unbounded_channel();
    let server = ().accepting(move |incoming: IncomingConnection| {
        let asking = Asking { elsewhere: None, ended: ended.clone(), kept: Mutex::new(None) };
        drop(incoming.serve(AsksServer::new(asking)));
    });
    let scene = Scene::new(link, TimesServer::new(Clock), server).await;
    let connection = scene.client.opening("Asks").serve(TimesServer::new(Clock)).open().await.unwrap();
    let asks: AsksClient = connection.client();
    let left = asks.back().deadline(Duration::from_secs(25)).await.unwrap();
    assert!(at_most(left[0], 25) && at_most(left[1], 25), "{left:?}");
}

pub async fn r8_what_a_handler_has_begun_ends_with_its_time(link: Link) {
    let mut trial = trial(link).await;
    let error = trial.asks.forever().deadline(SECOND).await;
    assert_eq!(error, Err(CallError::DeadlineExceeded));
    assert_eq!(
        trial.ended.recv().await,
        Some(CallError::DeadlineExceeded),
        "though another task has made the call"
    );
}

pub async fn r8_a_client_that_is_kept_is_not_bound_by_the_past(link: Link) {
    let trial = trial(link).await;
    trial.asks.keep().deadline(Duration::from_secs(20)).await.unwrap();
    let kept = trial.kept.await.unwrap();
    // The handler has answered, and ends before what is called next is handled in its place.
    let mut left = kept.left().await.unwrap();
    while left.is_some() {
        left = kept.left().await.unwrap();
    }
    assert_eq!(kept.left().await, Ok(None));
    assert!(trial.near.client.is_open());
}

pub async fn r8_deadlines_go_through_proxies(link: Link) {
    let far = trial(Link::Shm).await;
    let near = Scene::new(link, (), Forward::to(far.near.client.root())).await;
    let asks: AsksClient = near.client.client();
    let left = asks.on().deadline(Duration::from_secs(25)).await.unwrap();
    assert!(at_most(left[0], 25), "{left:?}");
}

pub async fn r8_an_idle_session_ends(link: Link) {
    // Each side asks whether the other is alive meanwhile: that counts as nothing.
    let alive = Keepalive { silence: Duration::from_millis(10), timeout: Duration::from_secs(20) };
    let options = Options::new().idle_timeout(SECOND).keepalive(alive);
    let scene = Scene::with(link, options.clone(), (), TimesServer::new(Clock)).await;
    let client: TimesClient = scene.client.client();
    assert_eq!(client.left().await, Ok(None));
    let reasons = [scene.client.closed().await, scene.server.closed().await];
    assert!(reasons.contains(&CloseReason::Idle), "{reasons:?}");
    for reason in reasons {
        assert!(matches!(reason, CloseReason::Idle | CloseReason::Goodbye), "{reason}");
    }
    // Without a runtime, too.
    let ended = move || {
        let scene = Blocking::new(link, options, TimesServer::new(Clock));
        let client: TimesBlockingClient = scene.client.client();
        assert_eq!(client.left(), Ok(None));
        while scene.client.is_open() {
            std::thread::yield_now();
        }
        assert!(client.left().is_err_and(|error| error.can_retry()));
    };
    tokio::task::spawn_blocking(ended).await.unwrap();
}

pub async fn k1_a_peer_that_answers_is_alive(link: Link) {
    let keepalive = Keepalive { silence: Duration::from_millis(5), timeout: Duration::from_secs(20) };
    let scene = Scene::with(link, Options::new().keepalive(keepalive), (), TimesServer::new(Clock)).await;
    let client: TimesClient = scene.client.client();
    // Longer than many silences.
    let quiet = tokio::time::timeout(Duration::from_millis(200), scene.client.closed()).await;
    assert!(quiet.is_err(), "it has ended: {quiet:?}");
    assert_eq!(client.left().await, Ok(None));
    assert!(scene.server.is_open());
}
