//! Calls over every link, through every driver: the same behaviour everywhere.

use std::future::poll_fn;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
#[cfg(feature = "tokio")]
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use transom_shm_layout::half::HalfConfig;

use super::engine::Engine;
use super::{Calls, Dispatch, Handler, Request, Slots, blocking};
#[cfg(feature = "tokio")]
use crate::link::{Frame, Header, Kind, LinkError, Note, Receive, Sleep};
use crate::link::{Link, Peer, ShmParts, Transport, mem_pair, shm_link, stream_link};
use crate::memory;
use crate::session::{
    Answer, CallRequest, CloseReason, Failure, Limits, Lookup, Metadata, Method, Outcome, Role, Session,
    Settings,
};
use crate::sys;

pub(super) static ECHO: Method =
    Method { id: 1, service: "test", name: "echo", types: || 1, idempotent: false };
static PANIC: Method = Method { id: 2, service: "test", name: "panic", types: || 1, idempotent: false };
static NEVER: Method = Method { id: 3, service: "test", name: "never", types: || 1, idempotent: false };
static LATER: Method = Method { id: 4, service: "test", name: "later", types: || 1, idempotent: false };

/// Answers with the argument, at once or after one wake-up; panics; never answers.
pub(super) struct Echo;

fn method(id: u64) -> Option<&'static Method> {
    [&ECHO, &PANIC, &NEVER, &LATER].into_iter().find(|method| method.id == id)
}

impl Dispatch for Echo {
    fn lookup(&self, id: u64) -> Lookup {
        method(id).into()
    }

    fn dispatch(&self, request: Request, slots: &mut Slots) -> Option<Handler> {
        let id = request.method;
        Some(slots.place(async move {
            if id == PANIC.id {
                panic!("on request");
            }
            if id == NEVER.id {
                std::future::pending::<()>().await;
            }
            if id == LATER.id {
                let mut polled = false;
                poll_fn(|cx: &mut Context<'_>| {
                    if std::mem::replace(&mut polled, true) {
                        return Poll::Ready(());
                    }
                    cx.waker().wake_by_ref();
                    Poll::Pending
                })
                .await;
            }
            let bytes = request.arguments().to_vec();
            request.reply.respond(Outcome::plain(&bytes.as_slice()));
        }))
    }
}

pub(super) fn shm_pair() -> io::Result<(Link, Link)> {
    let (one, other) = UnixStream::pair()?;
    let config = HalfConfig::default();
    let create = || memory::create(config).map_err(io::Error::other);
    let halves = [create()?, create()?];
    let size = halves[0].region.plan().size() as u64;
    let attach = |at: usize| memory::attach(&halves[at].descriptor, size, size).map_err(io::Error::other);
    let peers = [attach(1)?, attach(0)?];
    let bells = [sys::pipe::create()?, sys::pipe::create()?];
    let [half_one, half_other] = halves;
    let [peer_one, peer_other] = peers;
    let [(bell_one, ring_one), (bell_other, ring_other)] = bells;
    let one = ShmParts {
        own: half_one.region,
        peer: peer_one,
        bell: bell_one,
        peer_bell: ring_other,
        lifeline: one.into(),
        inherited: false,
    };
    let other = ShmParts {
        own: half_other.region,
        peer: peer_other,
        bell: bell_other,
        peer_bell: ring_one,
        lifeline: other.into(),
        inherited: false,
    };
    Ok((shm_link(one), shm_link(other)))
}

fn links() -> Vec<(&'static str, (Link, Link))> {
    let (one, other) = UnixStream::pair().unwrap();
    vec![
        ("mem", mem_pair()),
        ("unix", (stream_link(one, false).unwrap(), stream_link(other, false).unwrap())),
        ("shm", shm_pair().unwrap()),
    ]
}

pub(super) fn session(role: Role) -> Session {
    session_with(Limits::default(), role)
}

fn session_with(limits: Limits, role: Role) -> Session {
    Session::new(
        role,
        Settings {
            limits,
            metadata: Metadata::new(),
            transport: Transport::Mem,
            peer: Peer::this(),
            open_until: Some(Instant::now() + Duration::from_secs(20)),
            methods: Box::new(|id| method(id).into()),
            has_policy: false,
            keepalive: None,
            idle: None,
            descriptors: 64,
        },
    )
}

pub(super) fn request<'a>(method: &'static Method, body: &'a &'a [u8]) -> CallRequest<'a> {
    CallRequest::plain(method.into(), body)
}

fn bytes(answer: Answer) -> Vec<u8> {
    match answer {
        Answer::Response(response) => response.result().to_vec(),
        other => panic!("{other:?}"),
    }
}

fn blocking_call(engine: &Engine, method: &'static Method, body: &[u8]) -> Answer {
    engine.call_blocking(&request(method, &body))
}

/// A caller without a thread of its own and a server with one.
fn blocking_pair((one, other): (Link, Link)) -> (Arc<Engine>, Arc<Engine>) {
    let server = blocking::start_serving(session(Role::Acceptor), other, Arc::new(Echo)).unwrap();
    let client = blocking::start(session(Role::Initiator), one, Arc::new(Echo)).unwrap();
    blocking::wait_open(&client).unwrap();
    (client, server)
}

#[test]
fn blocking_calls_are_answered_over_every_link() {
    for (name, pair) in links() {
        let (client, _server) = blocking_pair(pair);
        for length in [0, 1, 16, 1000, 20_000, 300_000] {
            let body = vec![7; length];
            assert_eq!(bytes(blocking_call(&client, &ECHO, &body)), body, "{name}");
        }
        for turn in 0..2_000_u32 {
            assert_eq!(
                bytes(blocking_call(&client, &ECHO, &turn.to_le_bytes())),
                turn.to_le_bytes(),
                "{name}"
            );
        }
        assert_eq!(bytes(blocking_call(&client, &LATER, b"later")), b"later", "{name}");
        assert!(matches!(blocking_call(&client, &PANIC, b""), Answer::Failure(Failure::HandlerPanicked)));
        assert_eq!(bytes(blocking_call(&client, &ECHO, b"after")), b"after", "a panic harms no other call");
        client.close();
    }
}

#[test]
fn several_threads_call_at_once_over_every_link() {
    for (name, pair) in links() {
        let (client, _server) = blocking_pair(pair);
        std::thread::scope(|scope| {
            for thread in 0..8_u64 {
                let client = &client;
                scope.spawn(move || {
                    for turn in 0..300_u64 {
                        let body = (thread << 32 | turn).to_le_bytes();
                        assert_eq!(bytes(blocking_call(client, &ECHO, &body)), body, "{name}");
                    }
                });
            }
        });
        client.close();
    }
}

#[test]
fn a_deadline_ends_a_blocking_call_over_every_link() {
    for (name, pair) in links() {
        let (client, _server) = blocking_pair(pair);
        let body: &[u8] = b"";
        let deadline = Some(Instant::now() + Duration::from_millis(20));
        let answer = client.call_blocking(&CallRequest { deadline, ..request(&NEVER, &body) });
        assert!(matches!(answer, Answer::Failure(Failure::DeadlineExceeded)), "{name}: {answer:?}");
        assert_eq!(bytes(blocking_call(&client, &ECHO, b"after")), b"after");
        client.close();
    }
}

#[test]
fn the_end_of_the_peer_ends_a_blocking_call_over_every_link() {
    for (name, pair) in links() {
        let (client, server) = blocking_pair(pair);
        let closer = std::thread::spawn(move || {
            while server.peek(|session| session.is_serving_none()) {
                std::thread::yield_now();
            }
            server.close();
        });
        match blocking_call(&client, &NEVER, b"") {
            Answer::Disconnected {
                reason: CloseReason::Goodbye | CloseReason::PeerDied,
                maybe_executed: true,
            } => {}
            other => panic!("{name}: {other:?}"),
        }
        closer.join().unwrap();
    }
}

#[cfg(feature = "tokio")]
mod with_tokio {
    use super::*;
    use crate::driver::tokio as driver;

    async fn call(engine: &Engine, method: &'static Method, body: &[u8]) -> Answer {
        let mut ticket = None;
        let started = poll_fn(|cx| engine.poll_start(&request(method, &body), &mut ticket, cx)).await;
        match started {
            Ok(started) => poll_fn(|cx| engine.poll_answer(started.call, cx)).await,
            Err(answer) => answer,
        }
    }

    fn pair((one, other): (Link, Link)) -> (Arc<Engine>, Arc<Engine>) {
        let server = driver::start(session(Role::Acceptor), other, Arc::new(Echo)).unwrap();
        (driver::start(session(Role::Initiator), one, Arc::new(Echo)).unwrap(), server)
    }

    async fn exercise(name: &str, client: Arc<Engine>, server: Arc<Engine>) {
        for length in [0, 1, 16, 1000, 20_000, 300_000] {
            let body = vec![7; length];
            assert_eq!(bytes(call(&client, &ECHO, &body).await), body, "{name}");
            assert_eq!(bytes(call(&server, &ECHO, &body).await), body, "{name}: back");
        }
        for turn in 0..2_000_u32 {
            assert_eq!(bytes(call(&client, &ECHO, &turn.to_le_bytes()).await), turn.to_le_bytes(), "{name}");
        }
        assert_eq!(bytes(call(&client, &LATER, b"later").await), b"later", "{name}");
        assert!(matches!(call(&client, &PANIC, b"").await, Answer::Failure(Failure::HandlerPanicked)));
        let many: Vec<_> = (0..200_u32)
            .map(|turn| {
                let client = Arc::clone(&client);
                ::tokio::spawn(async move { (turn, call(&client, &ECHO, &turn.to_le_bytes()).await) })
            })
            .collect();
        for task in many {
            let (turn, answer) = task.await.unwrap();
            assert_eq!(bytes(answer), turn.to_le_bytes(), "{name}");
        }
        client.goodbye(None);
        let closed = poll_fn(|cx| client.poll_closed(cx)).await;
        assert_eq!(closed, CloseReason::Local, "{name}");
        let closed = poll_fn(|cx| server.poll_closed(cx)).await;
        assert_eq!(closed, CloseReason::Goodbye, "{name}");
    }

    #[test]
    fn calls_go_both_ways_over_every_link() {
        for threads in [1, 2] {
            let runtime = match threads {
                1 => ::tokio::runtime::Builder::new_current_thread().enable_all().build(),
                threads => {
                    ::tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()
                }
            };
            runtime.unwrap().block_on(async {
                for (name, links) in links() {
                    let (client, server) = pair(links);
                    exercise(name, client, server).await;
                }
            });
        }
    }

    #[test]
    fn threads_call_over_a_session_that_a_task_looks_after() {
        for (name, (one, other)) in links() {
            let runtime =
                ::tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            let runtime = runtime.unwrap();
            let _server = blocking::start_serving(session(Role::Acceptor), other, Arc::new(Echo)).unwrap();
            let client = async { driver::start(session(Role::Initiator), one, Arc::new(Echo)).unwrap() };
            let client = runtime.block_on(client);
            runtime.block_on(driver::wait_open(&client)).unwrap();
            let (sender, done) = std::sync::mpsc::channel();
            for thread in 0..4_u64 {
                let (client, sender) = (Arc::clone(&client), sender.clone());
                std::thread::spawn(move || {
                    for turn in 0..2000_u64 {
                        let body = (thread << 32 | turn).to_le_bytes();
                        assert_eq!(bytes(blocking_call(&client, &ECHO, &body)), body, "{name}");
                    }
                    sender.send(()).unwrap();
                });
            }
            (0..4).for_each(|_| done.recv_timeout(Duration::from_secs(20)).expect(name));
            client.close();
        }
    }

    #[test]
    fn a_thread_calls_over_a_session_whose_runtime_is_not_run() {
        for (name, (one, other)) in links() {
            let _server = blocking::start_serving(session(Role::Acceptor), other, Arc::new(Echo)).unwrap();
            let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let client = async { driver::start(session(Role::Initiator), one, Arc::new(Echo)).unwrap() };
            let client = runtime.block_on(client);
            runtime.block_on(driver::wait_open(&client)).unwrap();
            let (sender, done) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                (0..100_u8)
                    .for_each(|turn| assert_eq!(bytes(blocking_call(&client, &LATER, &[turn])), [turn]));
                sender.send(()).unwrap();
            });
            done.recv_timeout(Duration::from_secs(20)).expect(name);
        }
    }

    async fn closed(engine: &Engine) -> CloseReason {
        let closed = poll_fn(|cx| engine.poll_closed(cx));
        ::tokio::time::timeout(Duration::from_secs(20), closed).await.expect("it ends")
    }

    #[tokio::test]
    async fn a_peer_that_is_gone_ends_the_session_over_every_link() {
        for (name, (one, other)) in links() {
            let engine = driver::start(session(Role::Initiator), one, Arc::new(Echo)).unwrap();
            ::tokio::task::yield_now().await;
            drop(other);
            assert_eq!(closed(&engine).await, CloseReason::PeerDied, "{name}");
        }
    }

    #[test]
    fn a_runtime_that_ends_ends_its_sessions() {
        for (name, (one, other)) in links() {
            let runtimes = [(); 2].map(|()| ::tokio::runtime::Runtime::new().unwrap());
            let client = runtimes[0]
                .block_on(async { driver::start(session(Role::Initiator), one, Arc::new(Echo)).unwrap() });
            let server = runtimes[1]
                .block_on(async { driver::start(session(Role::Acceptor), other, Arc::new(Echo)).unwrap() });
            runtimes[0].block_on(driver::wait_open(&client)).unwrap();
            let [first, second] = runtimes;
            drop(second);
            assert_eq!(server.close_reason(), Some(CloseReason::Shutdown), "{name}");
            assert_eq!(first.block_on(closed(&client)), CloseReason::Goodbye, "{name}");
        }
    }

    /// Has its next request sent before it answers.
    struct Insatiable {
        client: std::sync::OnceLock<Arc<Engine>>,
        served: AtomicU32,
    }

    const MANY: u32 = 1000;

    impl Dispatch for Insatiable {
        fn lookup(&self, id: u64) -> Lookup {
            method(id).into()
        }

        fn dispatch(&self, request: Request, _slots: &mut Slots) -> Option<Handler> {
            if self.served.fetch_add(1, Ordering::Relaxed) < MANY {
                self.ask();
            }
            request.reply.respond(Outcome::plain(&b"".as_slice()));
            None
        }
    }

    impl Insatiable {
        fn ask(&self) {
            let client = self.client.get().expect("it is there");
            let cx = &mut Context::from_waker(std::task::Waker::noop());
            assert!(client.poll_start(&request(&ECHO, &b"".as_slice()), &mut None, cx).is_ready());
        }
    }

    #[tokio::test]
    async fn a_flood_of_requests_leaves_other_tasks_their_turn() {
        let limits = Limits { requests: 2 * MANY, ..Limits::default() };
        let (one, other) = mem_pair();
        let insatiable =
            Arc::new(Insatiable { client: std::sync::OnceLock::new(), served: AtomicU32::new(0) });
        let server = session_with(limits, Role::Acceptor);
        let _server = driver::start(server, other, insatiable.clone()).unwrap();
        let client = driver::start(session_with(limits, Role::Initiator), one, Arc::new(Echo)).unwrap();
        driver::wait_open(&client).await.unwrap();
        insatiable.client.set(client).ok().unwrap();
        insatiable.ask();
        while insatiable.served.load(Ordering::Relaxed) == 0 {
            ::tokio::task::yield_now().await;
        }
        assert!(insatiable.served.load(Ordering::Relaxed) < MANY, "no turn until all were served");
    }

    /// A link on which somebody writes on, once told to, however much is read.
    struct WrittenOn {
        receive: Box<dyn Receive>,
        begun: Arc<AtomicBool>,
        taken: Arc<AtomicU32>,
    }

    impl Receive for WrittenOn {
        fn next(&mut self, frame: &mut Frame) -> Result<bool, LinkError> {
            if !self.begun.load(Ordering::Relaxed) || self.taken.fetch_add(1, Ordering::Relaxed) == MANY {
                return self.receive.next(frame);
            }
            // Cancels a request that is finished, which is ignored.
            frame.header = Header { id: 1, ..Header::new(Kind::Cancel) };
            frame.payload.renew();
            Ok(true)
        }

        fn most_unread(&self) -> u64 {
            10
        }

        fn release(&mut self) {
            self.receive.release();
        }

        fn awake(&mut self) {
            self.receive.awake();
        }

        fn announce(&mut self, sleep: Sleep<'_>) -> Result<Option<Note>, LinkError> {
            self.receive.announce(sleep)
        }
    }

    #[tokio::test]
    async fn who_writes_on_in_the_name_of_a_dead_peer_does_not_keep_its_session() {
        let (begun, taken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (one, mut other) = mem_pair();
        let (receive, told) = (other.receive, Arc::clone(&begun));
        other.receive = Box::new(WrittenOn { receive, begun: told, taken: Arc::clone(&taken) });
        let (client, server) = pair((one, other));
        assert_eq!(bytes(call(&client, &ECHO, b"").await), b"");
        begun.store(true, Ordering::Relaxed);
        server.peer_died();
        assert_eq!(closed(&server).await, CloseReason::PeerDied);
        assert_eq!(taken.load(Ordering::Relaxed), 10);
    }
}
