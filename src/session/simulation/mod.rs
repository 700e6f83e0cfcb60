//! Two sessions on a simulated link with virtual time, under a seeded scheduler: callers, handlers, channels and connections
//! of both sides in any order, with every invariant checked after every step.
//!
//! A seed is a whole run. Each of its steps has its own random numbers, so that a run with steps left out is a run, too: a
//! seed that fails is shrunk to the steps that it takes.
//!
//! ```text
//! World ── two Sides ── a session, and Parties: whoever waits is run again only when it was woken
//!   │         └─ Desk: requests being handled, connections to decide about
//!   └─ Truth: what both applications meant, to compare with what comes out
//! ```

mod calling;
mod check;
mod connecting;
mod finish;
mod parties;
mod random;
mod receiving;
mod sending;
mod serving;
mod setup;
mod shrink;
mod truth;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use random::Random;
use truth::Reached;
use world::World;

/// Ends a run because an invariant is broken. It makes no noise: runs are repeated to shrink them.
fn broken(what: String) -> ! {
    std::panic::resume_unwind(Box::new(what))
}

/// Ends a run if something does not hold.
macro_rules! ensure {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            $crate::session::simulation::broken(format!($($text)+))
        }
    };
}
use ensure;

/// How many seeds are run.
const SEEDS: &str = "TRANSOM_SIMULATION";
/// The one seed to run, and to tell all of.
const SEED: &str = "TRANSOM_SIMULATION_SEED";

/// A seed's run, of these steps only.
fn run(seed: u64, steps: &[u32], traced: bool) -> (Result<Reached, String>, String) {
    let mut world = World::new(seed, traced);
    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for &step in steps {
            world.step(&mut Random::new(seed, step.into()));
        }
        world.finish(&mut Random::new(seed, u64::MAX - 1));
    }));
    let result = match ran {
        Ok(()) => Ok(world.truth.reached),
        Err(panic) => Err(match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(panic) => panic.downcast_ref::<&str>().map_or("a panic", |text| *text).to_owned(),
        }),
    };
    (result, world.trace.unwrap_or_default())
}

/// All steps of a seed's run.
fn steps(seed: u64) -> Vec<u32> {
    (0..World::new(seed, false).setup.steps).collect()
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

#[test]
fn whatever_happens_in_whatever_order_both_sides_keep_to_the_rules_and_agree() {
    if let Some(seed) = variable(SEED) {
        let (result, trace) = run(seed, &steps(seed), true);
        println!("{trace}");
        if result.is_err() {
            panic!("{}", shrink::report(seed));
        }
        return;
    }
    let seeds = variable(SEEDS).unwrap_or(2_000);
    let (next, failed, reached) = (AtomicU64::new(0), Mutex::new(None), Mutex::new(Reached::default()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let mut sum = Reached::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        break;
                    }
                    match run(seed, &steps(seed), false).0 {
                        Ok(reached) => sum.add(&reached),
                        Err(_) => {
                            next.store(seeds, Ordering::Relaxed);
                            let mut failed = failed.lock().unwrap();
                            *failed = Some(failed.map_or(seed, |other: u64| other.min(seed)));
                        }
                    }
                }
                reached.lock().unwrap().add(&sum);
            });
        }
    });
    if let Some(seed) = failed.into_inner().unwrap() {
        panic!("{}", shrink::report(seed));
    }
    let reached = reached.into_inner().unwrap();
    println!("{seeds} seeds: {reached:?}");
    assert!(seeds < 1_000 || reached.is_much(seeds), "the simulation does next to nothing: {reached:?}");
}
