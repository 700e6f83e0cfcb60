//! Small calls do not allocate, on either side, once they have been made a few times.
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

/// Before anything is counted.
const FIRST: u64 = 2_000;
const COUNTED: u64 = 5_000;
/// Now and then a buffer moves from one thread's pool to another's, and a new one takes its place; no call needs one.
const STRAYS: u64 = COUNTED / 100;

fn steady(mut call: impl FnMut(u64)) -> u64 {
    (0..FIRST).for_each(&mut call);
    let before = ALLOCATED.load(Ordering::Relaxed);
    (0..COUNTED).for_each(&mut call);
    ALLOCATED.load(Ordering::Relaxed) - before
}

/// Both in one test: what is counted is all that the process allocates.
#[test]
fn small_calls_do_not_allocate() {
    let place = Place::new();
    for scheme in ["shm", "unix"] {
        let address = format!("{scheme}:{}", place.path().display());
        let listener = Server::new(&address, AddsServer::new(Adder)).bind_blocking().unwrap();
        thread::scope(|threads| {
            let server = threads.spawn(|| listener.accept());
            let adds: AddsBlockingClient =
                Connector::to(address.parse().unwrap()).connect_blocking().unwrap();
            let _served = server.join().unwrap().unwrap();
            let allocated = steady(|n| assert_eq!(adds.add(n, 1).unwrap(), n + 1));
            assert!(allocated <= STRAYS, "{scheme}, blocking: {allocated} in {COUNTED} calls");
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
            let calling = runtime();
            let adds =
                calling.block_on(Connector::to(address.parse().unwrap()).connect::<AddsClient>()).unwrap();
            let allocated = steady(|n| assert_eq!(calling.block_on(adds.add(n, 1)).unwrap(), n + 1));
            assert!(allocated <= STRAYS, "{scheme}, async: {allocated} in {COUNTED} calls");
            drop(done);
        });
    }
}
