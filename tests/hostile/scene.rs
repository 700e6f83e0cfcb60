//! Where a hostile peer meets this side: a listener with an honest client beside it, connectors that come to the
//! hostile peer, and what becomes of either.

use std::fmt;
use std::future::Future;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use transom::{
    Address, CallOptions, CloseReason, ConnectError, Connector, OpenError, Options, ProtocolError, Rule,
    Server, Service, Session, Side,
};

use crate::channels::{Pipe, PipingServer};
use crate::common::{Echo, EchoBlockingClient, EchoClient, EchoServer, Place};
use crate::handlers::{FragileServer, Glass};
use crate::logs;
use crate::passing::{Taker, TakingServer};
use crate::raw::{Offer, PATIENCE, Peer, Role, SIZE, Socket, kind, wait_for};

/// Which of the two drivers is under attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Async,
    Blocking,
}

/// What carries the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Shm,
    Unix,
    Tcp,
}

/// One of the ways in which a hostile peer can meet this side.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub api: Api,
    pub link: Link,
    /// What the hostile peer is.
    pub role: Role,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hostile {:?} over {:?}, {:?}", self.role, self.link, self.api)
    }
}

impl Case {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::local().chain(Self::over(Link::Tcp))
    }

    /// Those over links on which descriptors can be passed.
    pub fn local() -> impl Iterator<Item = Self> {
        [Link::Shm, Link::Unix].into_iter().flat_map(Self::over)
    }

    /// Those over one link.
    pub fn over(link: Link) -> impl Iterator<Item = Self> {
        let roles = [Role::Initiator, Role::Acceptor];
        roles.into_iter().flat_map(move |role| Self::of(role, link))
    }

    /// Those with the hostile peer in one role.
    pub fn of(role: Role, link: Link) -> impl Iterator<Item = Self> {
        [Api::Async, Api::Blocking].into_iter().map(move |api| Self { api, link, role })
    }
}

/// Where they meet.
pub struct Scene {
    pub case: Case,
    pub options: Options,
    /// Whether our connectors serve something, too; a blocking one that does not has nobody to look after it.
    pub serves: bool,
    /// Where our listener is.
    pub address: String,
    /// A hostile listener, and where it is.
    bad: OwnedFd,
    bad_address: Address,
    /// One worker: whoever keeps it busy keeps everybody from it.
    runtime: Option<Runtime>,
    /// What our listener has accepted.
    sessions: Receiver<Session>,
    honest: Honest,
    /// Our side of the honest client's session.
    _honest_session: Session,
    place: Place,
}

/// What both our listeners and our connectors serve.
fn services() -> impl Service {
    (EchoServer::new(Echo), FragileServer::new(Glass), PipingServer::new(Pipe), TakingServer::new(Taker))
}

/// A client that keeps to the rules.
enum Honest {
    Async(EchoClient),
    Blocking(EchoBlockingClient),
}

impl Scene {
    /// A scene with the default options, but some patience less.
    pub fn new(case: Case) -> Self {
        Self::with(case, Options::new().handshake_timeout(PATIENCE))
    }

    /// A scene with these options on this side.
    pub fn with(case: Case, options: Options) -> Self {
        Self::serving(case, options, |server| server)
    }

    /// A scene whose server is changed first.
    pub fn serving(case: Case, options: Options, change: impl FnOnce(Server) -> Server) -> Self {
        logs::collect();
        let place = Place::new();
        let bad_path = place.beside("bad.sock");
        let by_path = || OwnedFd::from(UnixListener::bind(&bad_path).expect("a listener"));
        let (address, bad, bad_address) = match case.link {
            Link::Shm => (Address::Shm(place.path()), by_path(), Address::Shm(bad_path.clone())),
            Link::Unix => (Address::Unix(place.path()), by_path(), Address::Unix(bad_path.clone())),
            Link::Tcp => {
                let bad = TcpListener::bind("127.0.0.1:0").expect("a listener");
                let bad_address = bad.local_addr().expect("its address").into();
                ("tcp:127.0.0.1:0".parse().expect("an address"), bad.into(), bad_address)
            }
        };
        let (sender, sessions) = channel();
        let server = change(Server::new(&address.to_string(), services()).options(options.clone()));
        let (address, runtime) = match case.api {
            Api::Async => {
                let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
                let runtime = runtime.expect("a runtime");
                let mut listener = {
                    let _entered = runtime.enter();
                    server.bind().expect("a listener")
                };
                let address = listener.address().to_string();
                runtime.spawn(async move {
                    while let Ok(session) = listener.accept().await {
                        if sender.send(session).is_err() {
                            return;
                        }
                    }
                });
                (address, Some(runtime))
            }
            Api::Blocking => {
                let listener = server.bind_blocking().expect("a listener");
                let address = listener.address().to_string();
                thread::spawn(move || {
                    while let Ok(session) = listener.accept() {
                        if sender.send(session).is_err() {
                            return;
                        }
                    }
                });
                (address, None)
            }
        };
        let honest = match &runtime {
            Some(runtime) => {
                let address = address.clone();
                let connecting = async move { transom::connect::<EchoClient>(&address).await };
                Honest::Async(on(runtime, connecting).expect("an honest client"))
            }
            None => Honest::Blocking(transom::blocking::connect(&address).expect("an honest client")),
        };
        let honest_session = sessions.recv_timeout(PATIENCE).expect("the honest client's session");
        Self {
            case,
            options,
            serves: true,
            address,
            bad,
            bad_address,
            runtime,
            sessions,
            honest,
            _honest_session: honest_session,
            place,
        }
    }

    /// Where our listener's socket is.
    pub fn path(&self) -> PathBuf {
        self.place.path()
    }

    /// The runtime, of an asynchronous scene.
    pub fn runtime(&self) -> Option<&Runtime> {
        self.runtime.as_ref()
    }

    /// The honest client calls; it is none of its business what others do.
    pub fn goes_on(&self) {
        match (&self.honest, &self.runtime) {
            (Honest::Async(echo), Some(runtime)) => {
                let echo = echo.clone();
                let called = on(runtime, async move { echo.echo(b"honest").await });
                assert_eq!(called.expect("an answer"), b"honest");
            }
            (Honest::Blocking(echo), _) => {
                let called = echo.with(CallOptions::new().deadline(PATIENCE)).echo(b"honest");
                assert_eq!(called.expect("an answer"), b"honest");
            }
            (Honest::Async(_), None) => unreachable!("it has a runtime"),
        }
    }

    /// The next session of our listener's.
    pub fn accepted(&self) -> Session {
        self.sessions.recv_timeout(PATIENCE).expect("a session was accepted")
    }

    /// The two meet: the hostile peer's socket, and what will become of the session on this side.
    pub fn meet(&self) -> (Socket, Opened<'_>) {
        match self.case.role {
            Role::Initiator => {
                let address = self.address.parse().expect("an address");
                (Socket::connect(&address), Opened::Accepted(self))
            }
            Role::Acceptor => {
                let connector = Connector::to(self.bad_address.clone()).options(self.options.clone());
                let connector = if self.serves { connector.serve(services()) } else { connector };
                let (sender, opened) = channel();
                // Whoever does not wait for it any more has seen enough.
                match &self.runtime {
                    Some(runtime) => {
                        runtime.spawn(async move { drop(sender.send(connector.session().await)) });
                    }
                    None => {
                        thread::spawn(move || drop(sender.send(connector.session_blocking())));
                    }
                }
                wait_for(&[self.bad.as_fd()]);
                let connected = rustix::net::accept(&self.bad).expect("our connector");
                (Socket::new(connected), Opened::Connected(opened))
            }
        }
    }

    /// The two meet, and the hostile peer's hand-over is by the rules.
    pub fn hand_over(&self) -> (Peer, Opened<'_>) {
        self.hand_over_with(SIZE)
    }

    /// The same with a ring of this size on the hostile side.
    pub fn hand_over_with(&self, ring: u64) -> (Peer, Opened<'_>) {
        let (socket, opened) = self.meet();
        let offer = (self.case.link == Link::Shm).then(|| Offer::new(ring));
        let peer = match self.case.role {
            Role::Initiator => Peer::ask(socket, offer),
            Role::Acceptor => Peer::welcome(socket, offer),
        };
        (peer, opened)
    }

    /// The two meet, and all is by the rules so far: the session is open on both sides.
    pub fn duel(&self) -> Duel {
        self.duel_with(SIZE)
    }

    /// The same with a ring of this size on the hostile side.
    pub fn duel_with(&self, ring: u64) -> Duel {
        let (mut theirs, opened) = self.hand_over_with(ring);
        theirs.shake_hands();
        Duel { ours: opened.session(), theirs }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
        if !thread::panicking() {
            assert_eq!(logs::left(&self.address), [""; 0], "nobody else was turned away");
        }
    }
}

/// What becomes of a session on this side.
pub enum Opened<'s> {
    /// Our listener accepts it, or turns the peer away.
    Accepted(&'s Scene),
    /// Our connector has it, or an error.
    Connected(Receiver<Result<Session, ConnectError>>),
}

impl Opened<'_> {
    /// The session.
    pub fn session(self) -> Session {
        match self {
            Self::Accepted(scene) => scene.accepted(),
            Self::Connected(opened) => {
                opened.recv_timeout(PATIENCE).expect("the connector ends").expect("a session")
            }
        }
    }

    /// There is no session, for this reason and no other.
    pub fn fails_as(self, expected: impl Into<OpenError>) {
        self.fails_as_one_of([expected.into()]);
    }

    /// There is no session, for one of these reasons.
    pub fn fails_as_one_of<const N: usize>(self, expected: [OpenError; N]) {
        match self {
            Self::Accepted(scene) => {
                let told = logs::next(&scene.address);
                assert!(expected.iter().any(|expected| expected.to_string() == told), "{told}");
            }
            Self::Connected(opened) => match opened.recv_timeout(PATIENCE).expect("the connector ends") {
                Err(ConnectError::Open { source, .. }) => {
                    let told = format!("{source:?}");
                    assert!(expected.iter().any(|expected| format!("{expected:?}") == told), "{told}");
                }
                other => panic!("{other:?}"),
            },
        }
    }

    /// There is no session, because a rule was broken.
    pub fn breaks(self, rule: Rule) {
        self.fails_as(OpenError::Ended(broken(rule)));
    }
}

/// A session that is open on both sides.
pub struct Duel {
    pub ours: Session,
    pub theirs: Peer,
}

impl Duel {
    /// This side ends the session for this reason.
    pub fn ends_as(&self, reason: CloseReason) {
        assert_eq!(closed(&self.ours), reason);
    }

    /// The hostile peer broke a rule: this side ends the session, says so, and hangs up.
    pub fn breaks(self, rule: Rule) {
        self.ends_as(broken(rule));
        self.tells(rule);
    }

    /// The hostile peer is told which rule it broke, and then left.
    fn tells(mut self, rule: Rule) {
        loop {
            let frame = self.theirs.receive().expect("last words");
            if frame.kind == kind::PROTOCOL_ERROR {
                assert_eq!(frame.payload, rule.code().to_le_bytes());
                break;
            }
        }
        drop(self.ours);
        self.theirs.socket.is_closed_by_the_other();
    }
}

/// What it means that the peer broke `rule`.
pub fn broken(rule: Rule) -> CloseReason {
    CloseReason::Protocol(ProtocolError { rule, by: Side::Peer })
}

/// Waits for the end of a session.
pub fn closed(session: &Session) -> CloseReason {
    within(session.closed())
}

/// Runs a future on a runtime's worker.
pub fn on<F: Future<Output: Send + 'static> + Send + 'static>(runtime: &Runtime, future: F) -> F::Output {
    let (sender, result) = channel();
    runtime.spawn(async move { drop(sender.send(future.await)) });
    result.recv_timeout(PATIENCE).expect("it does not hang")
}

/// Waits for a future on this thread.
pub fn within<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let (mut future, until) = (pin!(future), Instant::now() + PATIENCE);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let left = until.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "it hangs");
        thread::park_timeout(left);
    }
}

/// Looks until something is so.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "not in {PATIENCE:?}: {what}");
        thread::yield_now();
    }
}

/// Numbers that look random and are the same each time.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        // The generator splitmix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// One of `all`.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let at = self.below(all.len() as u64);
        &all[usize::try_from(at).expect("an index")]
    }
}
