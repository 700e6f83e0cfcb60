//! Two sides of a session, each on a driver of its own.

use std::future::Future;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use transom::{Address, Connector, Options, Server, Service, Session};

use crate::common::Place;

/// What looks after a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// A task of a runtime with one thread.
    CurrentThread,
    /// A task of a runtime with two.
    MultiThread,
    /// A thread of its own.
    Blocking,
}

/// Where a side runs, for as long as it is kept.
pub struct Ground {
    runtime: Option<Running>,
}

struct Running {
    handle: Handle,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Ground {
    pub fn new(driver: Driver) -> Self {
        let runtime = match driver {
            Driver::CurrentThread => Builder::new_current_thread().enable_all().build(),
            Driver::MultiThread => Builder::new_multi_thread().worker_threads(2).enable_all().build(),
            Driver::Blocking => return Self { runtime: None },
        };
        let runtime = runtime.expect("a runtime");
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            // Whoever drops the sender stops it, too.
            let _stopped = runtime.block_on(stopped);
            runtime.shutdown_background();
        });
        Self { runtime: Some(Running { handle, stop, thread }) }
    }

    /// The runtime, if there is one.
    pub fn handle(&self) -> Option<&Handle> {
        self.runtime.as_ref().map(|running| &running.handle)
    }

    /// Ends the runtime with everything that still runs on it.
    pub fn end(&mut self) {
        if let Some(Running { handle, stop, thread }) = self.runtime.take() {
            drop(handle);
            drop(stop);
            thread.join().expect("the runtime's thread");
        }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.end();
    }
}

/// What carries a session.
pub const TRANSPORTS: [&str; 4] = ["shm", "unix", "tcp", "mem"];

/// Where a listener may be.
pub fn address(transport: &str, place: &Place) -> String {
    match transport {
        "tcp" => "tcp:127.0.0.1:0".to_owned(),
        _ => format!("{transport}:{}", place.path().display()),
    }
}

/// Opens a session; the server's side comes first.
pub fn open(
    transport: &str,
    grounds: [&Ground; 2],
    services: [impl Service; 2],
    options: &Options,
) -> [Session; 2] {
    let place = Place::new();
    let address = address(transport, &place);
    let [server, client] = grounds;
    let [served, calling] = services;
    let serving = Server::new(&address, served).options(options.clone());
    let connect = |address: &Address| {
        let connector = Connector::to(address.clone()).options(options.clone()).serve(calling);
        match client.handle() {
            Some(handle) => on(handle, connector.session()).expect("a session"),
            None => connector.session_blocking().expect("a session"),
        }
    };
    match server.handle() {
        Some(handle) => {
            let mut listener = on(handle, async { serving.bind() }).expect("a listener");
            let address = listener.address().clone();
            let accepting = handle.spawn(async move { listener.accept().await });
            let client = connect(&address);
            [on(handle, accepting).expect("no panic").expect("a session"), client]
        }
        None => {
            let listener = serving.bind_blocking().expect("a listener");
            let address = listener.address().clone();
            let accepting = thread::spawn(move || listener.accept());
            let client = connect(&address);
            [accepting.join().expect("no panic").expect("a session"), client]
        }
    }
}

/// Runs a future with a runtime that is driven by its own threads.
pub fn on<T>(handle: &Handle, future: impl Future<Output = T>) -> T {
    handle.block_on(future)
}
