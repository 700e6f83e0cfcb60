//! Runs tests one after the other, as they count processes, threads and descriptors: `host [NAME]...` runs those whose names
//! contain one of the arguments, `--list` lists them.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::probe;

/// A test that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) type Test = (&'static str, fn());

/// A list of asynchronous tests, each to be run on a runtime of its own.
macro_rules! tests {
    ($($room:ident::$test:ident),* $(,)?) => {
        [$((
            concat!(stringify!($room), "::", stringify!($test)),
            || $crate::runner::block_on($crate::$room::$test()),
        )),*]
    };
}
pub(crate) use tests;

pub(crate) fn run(tests: &[Test]) -> ExitCode {
    let (flags, names): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with('-'));
    let wanted: Vec<&Test> = tests
        .iter()
        .filter(|(name, _)| names.is_empty() || names.iter().any(|part| name.contains(part.as_str())))
        .collect();
    if flags.iter().any(|flag| flag == "--list") {
        wanted.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", wanted.len());
    let failed: Vec<&str> =
        wanted.iter().filter(|(name, test)| !passes(name, *test)).map(|(name, _)| *name).collect();
    if failed.is_empty() {
        println!("\ntest result: ok. {} passed\n", wanted.len());
        return ExitCode::SUCCESS;
    }
    println!("\ntest result: FAILED. {} of {} failed: {}\n", failed.len(), wanted.len(), failed.join(", "));
    ExitCode::FAILURE
}

/// Runs one test; whatever it is about, it must leave no child.
fn passes(name: &'static str, test: fn()) -> bool {
    let begun = Instant::now();
    let watchdog = Watchdog::start(name);
    let result = catch_unwind(AssertUnwindSafe(test)).and_then(|()| match probe::has_children() {
        false => Ok(()),
        true => Err(Box::new("a child is left") as Box<dyn Any + Send>),
    });
    watchdog.stop();
    let took = begun.elapsed().as_millis();
    match &result {
        Ok(()) => println!("test {name} ... ok ({took} ms)"),
        Err(panic) => match panic.downcast_ref::<&str>() {
            Some(reason) => println!("test {name} ... FAILED ({took} ms): {reason}"),
            None => println!("test {name} ... FAILED ({took} ms)"),
        },
    }
    result.is_ok()
}

/// Runs a test on a runtime of its own.
pub(crate) fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(test);
}

/// Ends the whole run if a test hangs; its cells go with it.
struct Watchdog {
    done: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Watchdog {
    fn start(name: &'static str) -> Self {
        let (done, waits) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            if waits.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                println!("test {name} ... FAILED: still running after {PATIENCE:?}");
                #[allow(
                    clippy::disallowed_methods,
                    reason = "the thread that hangs cannot be asked to return"
                )]
                std::process::exit(1);
            }
        });
        Self { done, thread }
    }

    /// The test is over. The thread must not be counted by the next one.
    fn stop(self) {
        drop(self.done);
        self.thread.join().expect("no panic");
    }
}
