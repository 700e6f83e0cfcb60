//! Calls without a runtime: no tokio, no helper threads; a call is made and its answer awaited on the calling thread.
//!
//! ```console
//! cargo run --example calculator -- serve
//! cargo run --release --example blocking_client      # from another terminal
//! ```

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use transom::{CallError, CallOptions};

/// The part of the other example's service that is called here. Its name and its methods' names and types are what
/// counts; neither side needs all of them.
#[transom::service]
trait Calc {
    fn add(&self, a: i64, b: i64) -> i64;
}

const CALLS: i64 = 100_000;

fn main() -> Result<(), Box<dyn Error>> {
    let address = format!("shm:{}", std::env::temp_dir().join("transom-calculator.sock").display());
    let calc: CalcBlockingClient = transom::blocking::connect(&address)?;

    let begun = Instant::now();
    let mut sum = 0;
    for n in 1..=CALLS {
        sum = calc.add(sum, n)?;
    }
    println!("1 + 2 + … + {CALLS} = {sum}, {:?} a call", begun.elapsed() / CALLS as u32);

    // Threads share a client, and with it one session.
    let sums = thread::scope(|scope| {
        let threads = [1, 10, 100].map(|step| {
            scope.spawn({
                let calc = calc.clone();
                move || (0..1000).try_fold(0, |sum, _| calc.add(sum, step))
            })
        });
        threads.map(|thread| thread.join().expect("it only adds"))
    });
    println!("three threads at once: {:?}", sums.into_iter().collect::<Result<Vec<i64>, CallError>>()?);

    let hasty = calc.with(CallOptions::new().deadline(Duration::from_nanos(1)));
    println!("with a nanosecond for it: {}", hasty.add(2, 3).expect_err("nobody is that fast"));
    Ok(())
}
