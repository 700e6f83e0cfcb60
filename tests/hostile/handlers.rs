//! Handlers that panic, and arguments that do not decode: the call's caller is told, and the session goes on.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::panic::panic_any;
use std::sync::Once;
use std::task::Poll;
use std::time::Duration;

use facet::Facet;
use transom::{CallError, CallOptions, Session};

use crate::common::EchoClient;
use crate::raw::{Frame, PATIENCE, bind, call, kind};
use crate::scene::{Api, Case, Duel, Numbers, Scene, on};

/// A value that nests.
#[derive(Facet, Debug, Clone, PartialEq)]
pub struct Tree {
    name: String,
    children: Vec<Self>,
}

/// A value of several cases.
#[derive(Facet, Debug, Clone, PartialEq)]
#[repr(u8)]
pub enum Choice {
    None,
    One(u32),
    Named { text: String, numbers: Vec<i64> },
}

/// Panics in every way there is, and takes arguments of every kind.
#[transom::service]
pub trait Fragile {
    /// At once.
    fn panics_at_once(&self);
    /// At its first poll.
    async fn panics_when_polled(&self);
    /// When it was pending for a while.
    async fn panics_later(&self);
    /// As a task of its own.
    #[transom(spawn)]
    async fn panics_elsewhere(&self);
    /// With something that panics when it is dropped.
    async fn panics_twice(&self);
    /// When it is dropped, and never before.
    async fn panics_when_dropped(&self);
    /// Plain values.
    fn plain(&self, numbers: Vec<u32>, name: &str, flag: bool, maybe: Option<i64>, pair: (u8, f64)) -> u64;
    /// Values that nest.
    fn tree(&self, tree: Tree) -> u64;
    /// Values of several cases, by name.
    fn choices(&self, choices: BTreeMap<String, Choice>) -> u64;
}

/// A [`Fragile`].
pub struct Glass;

/// What a test's own panics say.
const ASKED_FOR: &str = "as the test asks";

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("{ASKED_FOR}");
    }
}

/// Lets others have a turn.
async fn pending_once() {
    let mut polled = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Fragile for Glass {
    fn panics_at_once(&self) {
        panic!("{ASKED_FOR}");
    }

    async fn panics_when_polled(&self) {
        panic!("{ASKED_FOR}");
    }

    async fn panics_later(&self) {
        pending_once().await;
        panic!("{ASKED_FOR}");
    }

    async fn panics_elsewhere(&self) {
        panic!("{ASKED_FOR}");
    }

    async fn panics_twice(&self) {
        panic_any(Bomb);
    }

    async fn panics_when_dropped(&self) {
        let _bomb = Bomb;
        std::future::pending().await
    }

    fn plain(&self, numbers: Vec<u32>, _: &str, _: bool, _: Option<i64>, _: (u8, f64)) -> u64 {
        numbers.len() as u64
    }

    fn tree(&self, tree: Tree) -> u64 {
        tree.children.len() as u64
    }

    fn choices(&self, choices: BTreeMap<String, Choice>) -> u64 {
        choices.len() as u64
    }
}

/// Panics that a test asks for are not worth a report each.
fn quiet() {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let asked_for = panic.payload_as_str() == Some(ASKED_FOR) || panic.payload().is::<Bomb>();
            if !asked_for {
                loud(panic);
            }
        }));
    });
}

/// An honest client of its own connects and has this called on its session, in the way of the scene's driver.
fn each_client(run: impl Fn(&Scene, &Session)) {
    quiet();
    for case in Case::all().filter(|case| case.role == crate::raw::Role::Initiator) {
        println!("{case}");
        let scene = Scene::new(case);
        let session = match scene.runtime() {
            Some(runtime) => {
                let connector = transom::Connector::new(&scene.address);
                on(runtime, async move { connector.session().await }).expect("a session")
            }
            None => transom::Connector::new(&scene.address).session_blocking().expect("a session"),
        };
        run(&scene, &session);
        scene.goes_on();
    }
}

/// Calls a method without arguments in the way of the scene's driver.
macro_rules! calls {
    ($scene:expr, $session:expr, $method:ident, $patience:expr) => {{
        match ($scene.case.api, $scene.runtime()) {
            (Api::Async, Some(runtime)) => {
                let client = $session.client::<FragileClient>();
                on(runtime, async move { client.$method().deadline($patience).await })
            }
            _ => {
                let options = CallOptions::new().deadline($patience);
                $session.client::<FragileBlockingClient>().with(options).$method()
            }
        }
    }};
}

/// The session is as good as ever.
fn still_answers(scene: &Scene, session: &Session) {
    let pair = (1, 0.5);
    let answer = match scene.runtime() {
        Some(runtime) => {
            let client = session.client::<FragileClient>();
            on(runtime, async move { client.plain(vec![1, 2], "name", true, Some(-1), pair).await })
        }
        None => session.client::<FragileBlockingClient>().plain(vec![1, 2], "name", true, Some(-1), pair),
    };
    assert_eq!(answer, Ok(2));
}

#[test]
fn a_handler_that_panics_fails_its_call_and_no_other() {
    each_client(|scene, session| {
        // More often than there may be requests in flight.
        for _ in 0..100 {
            assert_eq!(calls!(scene, session, panics_at_once, PATIENCE), Err(CallError::HandlerPanicked));
            assert_eq!(calls!(scene, session, panics_when_polled, PATIENCE), Err(CallError::HandlerPanicked));
            assert_eq!(calls!(scene, session, panics_later, PATIENCE), Err(CallError::HandlerPanicked));
            assert_eq!(calls!(scene, session, panics_elsewhere, PATIENCE), Err(CallError::HandlerPanicked));
        }
        still_answers(scene, session);
    });
}

#[test]
fn a_panic_with_a_panic_in_it_fails_its_call_and_no_other() {
    each_client(|scene, session| {
        for _ in 0..3 {
            assert_eq!(calls!(scene, session, panics_twice, PATIENCE), Err(CallError::HandlerPanicked));
            still_answers(scene, session);
        }
    });
}

#[test]
fn a_handler_that_panics_when_it_is_dropped_harms_nobody() {
    each_client(|scene, session| {
        // Out of time, which drops the handler.
        for _ in 0..3 {
            let soon = Duration::from_millis(20);
            match calls!(scene, session, panics_when_dropped, soon) {
                // Whichever side's clock was first.
                Err(CallError::DeadlineExceeded | CallError::HandlerPanicked) => {}
                other => panic!("{other:?}"),
            }
            still_answers(scene, session);
        }
    });
}

#[test]
fn handlers_that_panic_when_their_session_ends_harm_nobody() {
    quiet();
    for case in Case::all() {
        let scene = Scene::new(case);
        let mut duel = scene.duel();
        let first = case.role.first_id();
        assert!(duel.theirs.send(&bind::<FragileClient>("panics-when-dropped")));
        assert!(duel.theirs.send(&bind::<EchoClient>("echo")));
        for at in 0..3 {
            assert!(duel.theirs.send(&call::<FragileClient>("panics-when-dropped", first + 2 * at, [])));
        }
        assert!(duel.theirs.send(&call::<EchoClient>("echo", first + 6, *b"\x01x")));
        assert_eq!(duel.theirs.receive().expect("an answer").id, first + 6);
        let Duel { ours, theirs } = duel;
        drop(theirs);
        assert_eq!(crate::scene::closed(&ours), transom::CloseReason::PeerDied);
        scene.goes_on();
    }
}

/// Calls `method` with these bytes as its arguments; its answer's kind and payload.
fn answered(duel: &mut Duel, method: &str, id: u64, arguments: &[u8]) -> (u8, Vec<u8>) {
    assert!(duel.theirs.send(&call::<FragileClient>(method, id, arguments)));
    let Frame { kind, id: of, payload, .. } = duel.theirs.receive().expect("an answer");
    assert_eq!(of, id);
    (kind, payload)
}

#[test]
fn arguments_that_do_not_decode_fail_their_call_and_say_why() {
    let deep: Vec<u8> = [0, 1].repeat(3000);
    let wide = [&[0][..], &[0xff; 9], &[1]].concat();
    let texts: [(&str, &[u8], &str); 17] = [
        ("plain", b"", "the bytes end inside a value"),
        ("plain", b"\x00", "the bytes end inside a value"),
        ("plain", b"\x03\x01\x02", "3 elements announced and 2 bytes left"),
        (
            "plain",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            "18446744073709551615 elements announced and 0 bytes left",
        ),
        (
            "plain",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            "a number is overlong or too large for its type",
        ),
        ("plain", b"\x01\xff\xff\xff\xff\x7f\x00", "a number is overlong or too large for its type"),
        ("plain", b"\x01\x80\x00\x00\x00\x00", "a number is overlong or too large for its type"),
        ("plain", b"\x00\x05four", "the bytes end inside a value"),
        ("plain", b"\x00\x02\xff\xfe\x00\x00\x00", "a string is not UTF-8"),
        ("plain", b"\x00\x00\x02", "tag 2 where 0 or 1 must be"),
        ("plain", b"\x00\x00\x01\x07", "tag 7 where 0 or 1 must be"),
        ("plain", b"\x00\x00\x01\x00\x01\x00\x00", "the bytes end inside a value"),
        ("plain", b"\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00x", "1 bytes too many"),
        ("tree", &deep, ""),
        ("tree", &wide, ""),
        ("tree", b"\x01\xff\x00", ""),
        ("choices", b"\x01\x01a\x09", ""),
    ];
    for case in Case::all() {
        let scene = Scene::new(case);
        let mut duel = scene.duel();
        for method in ["plain", "tree", "choices"] {
            assert!(duel.theirs.send(&bind::<FragileClient>(method)));
        }
        let mut id = case.role.first_id();
        for (method, arguments, text) in texts {
            println!("{case}: {method}({})", arguments[..arguments.len().min(20)].escape_ascii());
            let (kind, payload) = answered(&mut duel, method, id, arguments);
            assert_eq!((kind, payload[0]), (kind::FAILURE, 3));
            let said = std::str::from_utf8(&payload[1..]).expect("a text");
            if text.is_empty() {
                // As the reflecting codec puts it.
                assert!(!said.is_empty());
            } else {
                assert_eq!(said, text);
            }
            id += 2;
        }
        let good = answered(&mut duel, "choices", id, b"\x02\x01a\x00\x01b\x01\x05");
        assert_eq!(good, (kind::RESPONSE, vec![2]));
        scene.goes_on();
    }
}

#[test]
fn arguments_may_be_any_bytes() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let mut duel = scene.duel();
        let methods = ["plain", "tree", "choices"];
        for method in methods {
            assert!(duel.theirs.send(&bind::<FragileClient>(method)));
        }
        let mut numbers = Numbers(7);
        for at in 0..500 {
            let length = usize::try_from(numbers.below(40)).expect("few");
            // Small numbers make sense more often.
            let bound = *numbers.pick(&[3, 16, 256]);
            let arguments: Vec<u8> = (0..length).map(|_| numbers.below(bound) as u8).collect();
            let method = numbers.pick(&methods);
            let (kind, payload) = answered(&mut duel, method, case.role.first_id() + 2 * at, &arguments);
            assert!(
                kind == kind::RESPONSE || (kind, payload[0]) == (kind::FAILURE, 3),
                "{method}: {payload:?}"
            );
        }
        scene.goes_on();
    }
}
