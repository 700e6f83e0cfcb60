//! Two sides of a session, on whatever link.

use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use transom::{Connector, Options, Server, Service, Session};

/// What carries a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Shm,
    Unix,
    Tcp,
    Mem,
}

impl Link {
    fn name(self) -> &'static str {
        match self {
            Self::Shm => "shm",
            Self::Unix => "unix",
            Self::Tcp => "tcp",
            Self::Mem => "mem",
        }
    }
}

/// Long enough for anything that is to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a test, on a runtime of its own.
pub fn run(test: impl Future<Output = ()>) {
    crate::tracing::install();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.expect("it takes no time at all") });
}

/// A session, seen from both sides.
pub struct Scene {
    /// The side that has connected.
    pub client: Session,
    /// The side that has accepted.
    pub server: Session,
    _place: Place,
}

impl Scene {
    /// A session on `link`, on which each side serves something.
    pub async fn new(link: Link, client: impl Service, server: impl Service) -> Self {
        Self::with(link, Options::new(), client, server).await
    }

    /// A session with these options on both sides.
    pub async fn with(link: Link, options: Options, client: impl Service, server: impl Service) -> Self {
        let place = Place::new();
        let address = place.address(link);
        let mut listener =
            Server::new(&address, server).options(options.clone()).bind().expect("a place to listen");
        let connector = Connector::to(listener.address().clone()).options(options).serve(client);
        let (client, server) = tokio::join!(connector.session(), listener.accept());
        let (client, server) = (client.expect("a session"), server.expect("a session"));
        assert_eq!(client.transport().to_string(), link.name());
        Self { client, server, _place: place }
    }
}

/// A session without a runtime.
pub struct Blocking {
    /// The side that has connected.
    pub client: Session,
    pub server: Session,
    _place: Place,
}

impl Blocking {
    /// A session on `link` with these options, on which one side serves something.
    pub fn new(link: Link, options: Options, server: impl Service) -> Self {
        let place = Place::new();
        let address = place.address(link);
        let server = Server::new(&address, server).options(options.clone());
        let listener = server.bind_blocking().expect("a place to listen");
        let connector = Connector::to(listener.address().clone()).options(options);
        let accepting = std::thread::spawn(move || listener.accept().expect("a session"));
        let client = connector.session_blocking().expect("a session");
        let server = accepting.join().expect("no panic");
        assert_eq!(client.transport().to_string(), link.name());
        Self { client, server, _place: place }
    }
}

/// A directory of a test's own, removed with it.
pub struct Place(PathBuf);

impl Place {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("transom-c-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a new directory");
        Self(path)
    }

    /// Where to listen; where that is then, the listener says.
    pub fn address(&self, link: Link) -> String {
        match link {
            Link::Tcp => "tcp:127.0.0.1:0".to_owned(),
            _ => format!("{}:{}", link.name(), self.0.join("a.sock").display()),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}
