//! Small calls allocate nothing, on either side, once everything is set up that they need.
//!
//! # Safety
//! An allocator is unsafe to implement: this one hands every request to the system's, as it came.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use common::Place;
use transom::{Connector, Server};

/// The system's allocator, and how often it was asked.
struct Counting;

static ALLOCATED: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is the system allocator's, unchanged.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[transom::service]
trait Adds {
    async fn add(&self, a: u64, b: u64) -> u64;
}

struct Adder;

impl Adds for Adder {
    async fn add(&self, a: u64, b: u64) -> u64 {
        a + b
    }
}

/// Calls of a round.
const CALLS: u64 = 5_000;
/// Rounds until one must have allocated nothing: what is set up once is so when it is first needed, as by the first sleep.
const ROUNDS: u64 = 8;

/// What has been allocated in this process so far.
fn allocated() -> u64 {
    ALLOCATED.load(Ordering::Relaxed)
}

/// What each round of calls has allocated.
struct Rounds {
    before: u64,
    each: Vec<u64>,
}

impl Rounds {
    fn new() -> Self {
        Self { before: 0, each: Vec::with_capacity(ROUNDS as usize) }
    }

    /// Whether another round is to be made.
    fn next(&mut self) -> bool {
        let more = self.each.last() != Some(&0) && self.each.len() < ROUNDS as usize;
        self.before = allocated();
        more
    }

    fn done(&mut self) {
        self.each.push(allocated() - self.before);
    }

    #[track_caller]
    fn check(&self, what: &str) {
        assert_eq!(
            self.each.last(),
            Some(&0),
            "{what}: allocated in rounds of {CALLS} calls: {:?}",
            self.each
        );
    }
}

/// Both in one test: what is counted is all that the process allocates.
#[test]
fn small_calls_allocate_nothing() {
    let place = Place::new();
    for scheme in ["shm", "unix"] {
        let address = format!("{scheme}:{}", place.path().display());
        let listener = Server::new(&address, AddsServer::new(Adder)).bind_blocking().unwrap();
        thread::scope(|threads| {
            let server = threads.spawn(|| listener.accept());
            let adds: AddsBlockingClient =
                Connector::to(address.parse().unwrap()).connect_blocking().unwrap();
            let _served = server.join().unwrap().unwrap();
            let mut rounds = Rounds::new();
            while rounds.next() {
                (0..CALLS).for_each(|n| assert_eq!(adds.add(n, 1).unwrap(), n + 1));
                rounds.done();
            }
            rounds.check(&format!("{scheme}, blocking"));
        });

        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let address = format!("{address}-async");
        thread::scope(|threads| {
            let serving = runtime();
            let mut listener =
                serving.block_on(async { Server::new(&address, AddsServer::new(Adder)).bind() }).unwrap();
            let (done, is_done) = tokio::sync::oneshot::channel::<()>();
            threads.spawn(move || {
                serving.block_on(async {
                    let _session = listener.accept().await.unwrap();
                    is_done.await
                })
            });
            // All within one `block_on`: a runtime sets up something for each.
            let rounds = runtime().block_on(async {
                let connector = Connector::to(address.parse().unwrap());
                let adds: AddsClient = connector.connect().await.unwrap();
                let mut rounds = Rounds::new();
                while rounds.next() {
                    for n in 0..CALLS {
                        assert_eq!(adds.add(n, 1).await.unwrap(), n + 1);
                    }
                    rounds.done();
                }
                rounds
            });
            drop(done);
            rounds.check(&format!("{scheme}, async"));
        });
    }
}
