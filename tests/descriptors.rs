//! What passing descriptors leaves open, counted for the whole process; and a process that can have no more of them.

mod common;

use std::fs;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use common::Place;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use transom::proxy::Forward;
use transom::{CallError, Connector, Fd, RecvError, Rx, Server, Service, Session, TrySendError, channel};

#[transom::service]
trait Files {
    async fn take(&self, files: Vec<Arc<Fd>>) -> u64;
    async fn give(&self, count: u8) -> Vec<Fd>;
    async fn never(&self, file: Fd);
    /// Takes some of them, and says how many did not decode.
    async fn some(&self, files: Rx<Arc<Fd>>, most: u8) -> u8;
}

/// What nobody serves.
#[transom::service]
trait Missing {
    async fn take(&self, file: Fd);
}

struct Open;

impl Files for Open {
    async fn take(&self, files: Vec<Arc<Fd>>) -> u64 {
        files.len() as u64
    }
    async fn give(&self, count: u8) -> Vec<Fd> {
        (0..count).map(|_| file()).collect()
    }
    async fn never(&self, _: Fd) {
        std::future::pending().await
    }
    async fn some(&self, mut files: Rx<Arc<Fd>>, most: u8) -> u8 {
        let mut undecodable = 0;
        for _ in 0..most {
            match files.recv().await {
                Ok(file) => drop(file.expect("not the end")),
                Err(RecvError::Undecodable { .. }) => undecodable += 1,
                Err(error) => panic!("{error}"),
            }
        }
        undecodable
    }
}

/// Something to pass on.
fn file() -> Fd {
    Fd::new(fs::File::open("/dev/null").expect("it is there"))
}

fn files(count: usize) -> Vec<Arc<Fd>> {
    (0..count).map(|_| Arc::new(file())).collect()
}

/// How many descriptors this process has open.
fn open() -> usize {
    fs::read_dir("/proc/self/fd").expect("/proc").count()
}

#[track_caller]
fn comes_back_to(before: usize) {
    let until = Instant::now() + Duration::from_secs(20);
    while open() != before {
        assert!(Instant::now() < until, "{} are open instead of {before}", open());
        thread::yield_now();
    }
}

/// Both sides of a session.
async fn session(address: &str, service: impl Service) -> (Session, Session) {
    let mut listener = Server::new(address, service).bind().expect("a listener");
    let connector = Connector::to(listener.address().clone());
    let (caller, server) = tokio::join!(connector.session(), listener.accept());
    (caller.expect("a session"), server.expect("a session"))
}

/// Passes descriptors in every way, and most of them to nobody.
async fn pass(caller: &Session) {
    let client: FilesClient = caller.client();
    assert_eq!(client.take(files(64)).await, Ok(64));
    assert_eq!(client.give(64).await.expect("answers").len(), 64);
    drop(client.take(files(3)));
    assert!(matches!(client.take(files(65)).await, Err(CallError::Descriptors(_))));
    assert!(matches!(client.give(65).await, Err(CallError::Descriptors(_))));
    let missing: MissingClient = caller.client();
    assert_eq!(missing.take(file()).await, Err(CallError::UnknownMethod));
    let hasty = client.never(file()).deadline(Duration::from_millis(1));
    assert_eq!(hasty.await, Err(CallError::DeadlineExceeded));
    let (tx, rx) = channel();
    let some = tokio::spawn(async move { client.some(rx, 5).await });
    let rest = loop {
        match tx.send(Arc::new(file())).await {
            Ok(()) => {}
            Err(error) => break error,
        }
    };
    drop(rest);
    assert_eq!(some.await.expect("no panic"), Ok(0));
}

/// What is left when nobody can have any more: a message whose descriptors find no place is lost, and nothing else is.
async fn run_out(caller: &Session) {
    let client: FilesClient = caller.client();
    let (tx, rx) = channel();
    let mut some = std::pin::pin!(client.some(rx, 3));
    assert!(tokio::time::timeout(Duration::ZERO, &mut some).await.is_err(), "it is on its way");
    tx.send(Arc::new(file())).await.expect("is sent");
    assert_eq!(client.take(vec![]).await, Ok(0), "whoever answers has taken the item in");
    // Kept here, too, so that sending them makes no room for them.
    let (call, item) = (files(2), Arc::new(file()));
    let free = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(100), ..free }).expect("it may be lowered");
    let all = || std::iter::from_fn(|| fs::File::open("/dev/null").ok().map(OwnedFd::from));
    let taken: Vec<OwnedFd> = all().collect();
    let (lost, sent) = (client.take(call.clone()).await, tx.send(Arc::clone(&item)).await);
    let plain = client.take(vec![]).await;
    drop(taken);
    setrlimit(Resource::Nofile, free).expect("it may be raised again");
    assert!(
        matches!(&lost, Err(CallError::InvalidPayload { detail }) if detail.contains("taken in")),
        "{lost:?}"
    );
    sent.expect("is sent");
    assert_eq!(plain, Ok(0));
    tx.send(item).await.expect("goes on");
    assert_eq!(some.await, Ok(1), "one of three");
    assert_eq!(client.take(files(2)).await, Ok(2));
    assert!(matches!(tx.try_send(Arc::new(file())), Err(TrySendError::Failed(_))));
}

// One test: what a process has is one for all.
#[test]
fn l7_nothing_is_left_open_and_nothing_but_a_message_is_lost() {
    let place = Place::new();
    let path = place.path().display().to_string();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let before_all = open();
    for link in ["shm", "unix", "mem"] {
        println!("{link}");
        let address = format!("{link}:{path}");
        runtime.block_on(async {
            let (caller, server) = session(&address, FilesServer::new(Open)).await;
            let before = open();
            for _ in 0..3 {
                pass(&caller).await;
                comes_back_to(before);
            }
            // Within a process the descriptors are duplicated when they are sent, and that fails then.
            if link != "mem" {
                run_out(&caller).await;
                comes_back_to(before);
            }
            let front = session(&format!("{address}.front"), Forward::to(caller.root())).await;
            let before = open();
            pass(&front.0).await;
            comes_back_to(before);
            for session in [&front.0, &front.1, &caller, &server] {
                session.close();
                session.closed().await;
            }
        });
        comes_back_to(before_all);
    }
}
