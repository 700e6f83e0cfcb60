//! Streams between a host and its cell, both of them this program: numbers that come as long as somebody takes them,
//! numbers that are sent, and bytes that go through a tunnel.
//!
//! ```console
//! cargo run --example streaming
//! ```

use std::error::Error;
use std::process::Command;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use transom::tunnel::{Tunnel, tunnel_pair};
use transom::{Host, Rx, cell, channel};

/// What the cell serves.
#[transom::service]
trait Numbers {
    /// All primes.
    async fn primes(&self) -> Rx<u64>;
    /// The sum of what is sent.
    async fn sum(&self, numbers: Rx<u64>) -> u64;
    /// Sends back what comes, louder.
    async fn shout(&self, tunnel: Tunnel);
}

struct Mathematician;

impl Numbers for Mathematician {
    async fn primes(&self) -> Rx<u64> {
        let (out, primes) = channel();
        let is_prime = |n: &u64| (2..).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
        // It waits while nobody takes any, and ends when nobody will.
        tokio::spawn(async move { out.send_all((2..).filter(is_prime)).await });
        primes
    }

    async fn sum(&self, mut numbers: Rx<u64>) -> u64 {
        let mut sum = 0;
        while let Ok(Some(number)) = numbers.recv().await {
            sum += number;
        }
        sum
    }

    async fn shout(&self, mut tunnel: Tunnel) {
        while let Ok(Some(mut bytes)) = tunnel.rx.recv().await {
            bytes.make_ascii_uppercase();
            if tunnel.tx.send(bytes).await.is_err() {
                return;
            }
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if cell::is_cell() {
        return Ok(cell::run(NumbersServer::new(Mathematician)).await?);
    }
    let host = Host::new();
    let cell = host.spawn(Command::new(std::env::current_exe()?)).name("numbers").start().await?;
    let client: NumbersClient = cell.client();

    let mut primes = client.primes().await?;
    let (out, numbers) = channel();
    let sending = async {
        for _ in 0..10 {
            let Some(prime) = primes.recv().await? else { break };
            print!("{prime} ");
            out.send(prime).await?;
        }
        out.close();
        Ok::<(), Box<dyn Error>>(())
    };
    let (sum, sent) = tokio::join!(client.sum(numbers), sending);
    sent?;
    println!("add up to {}", sum?);
    // The cell stops looking for more.
    drop(primes);

    let (near, far) = tunnel_pair();
    let mut stream = near.into_stream();
    let shouting = tokio::spawn(async move { client.shout(far).await });
    stream.write_all(b"through a tunnel").await?;
    stream.shutdown().await?;
    let mut back = String::new();
    stream.read_to_string(&mut back).await?;
    println!("{back}");
    shouting.await??;
    host.shutdown().await;
    Ok(())
}
