//! Memory stays flat, however much is streamed: N4's window bounds what a slow receiver makes either side hold.

mod common;

use std::time::Duration;

use common::Place;
use transom::{Connector, Server, Tx, channel};

/// Sends as fast as it may.
#[transom::service]
trait Floods {
    /// So many items of 4 KiB.
    async fn flood(&self, items: u64, out: Tx<Vec<u8>>) -> u64;
}

struct Flood;

const ITEM: usize = 4096;

impl Floods for Flood {
    async fn flood(&self, items: u64, out: Tx<Vec<u8>>) -> u64 {
        for sent in 0..items {
            if out.send(vec![sent as u8; ITEM]).await.is_err() {
                return sent;
            }
        }
        items
    }
}

/// Bytes of this process's memory that are its own or shared with its peer: both sides of the session.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this process");
    let kib = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).expect("a line of status");
        line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
    };
    1024 * (kib("RssAnon:") + kib("RssShmem:"))
}

/// More than both sides may hold for one channel: at the receiver a window and a frame of items, in the link what each
/// direction holds, at the sender one item; beyond that, what an allocator keeps.
const BOUND: u64 = 4 << 20;

/// How much is streamed, in MiB. More on demand: `TRANSOM_STREAMED_MIB=1024 cargo test --release --test flat`.
fn streamed() -> u64 {
    std::env::var("TRANSOM_STREAMED_MIB").ok().and_then(|mib| mib.parse().ok()).unwrap_or(32)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n4_a_slow_receiver_makes_nobody_hold_more_than_a_window() {
    let place = Place::new();
    let path = place.path().display().to_string();
    for address in [format!("shm:{path}"), format!("unix:{path}"), "tcp:127.0.0.1:0".to_owned()] {
        let mut listener = Server::new(&address, FloodsServer::new(Flood)).bind().unwrap();
        let connector = Connector::to(listener.address().clone());
        let (client, _server) = tokio::join!(connector.connect::<FloodsClient>(), listener.accept());
        let client = client.unwrap();
        let items = (streamed() << 20) / ITEM as u64;
        let (tx, mut rx) = channel();
        let call = tokio::spawn(async move { client.flood(items, tx).await });
        let (mut received, mut before, mut most) = (0, 0, 0);
        while let Some(item) = rx.recv().await.unwrap() {
            assert_eq!((item.len(), item[0]), (ITEM, received as u8), "{address}");
            received += 1;
            // Slow: the sender is always ahead by what it may be.
            if received % 64 == 0 {
                tokio::task::yield_now().await;
            }
            if received % 1024 == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
                let now = resident();
                // From here on everything is warm.
                before = if received == 1024 { now } else { before };
                most = most.max(now);
            }
        }
        assert_eq!((received, call.await.unwrap().unwrap()), (items, items), "{address}");
        println!("{address}: {} KiB more at most, after {} MiB", (most - before) / 1024, streamed());
        assert!(most - before < BOUND, "{address}: {} bytes more", most - before);
    }
}
