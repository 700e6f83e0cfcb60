//! What bounds a stress: it runs alone in this process, ends in time, and leaves the processor idle.

use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Whatever takes longer hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long idleness is measured, and how much of it may be spent on the processor.
const IDLE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_millis(100));

/// One stress at a time: what one measures is its own.
static ALONE: Mutex<()> = Mutex::new(());

/// How many times over each stress is to be done: `TRANSOM_STRESS`, or once.
pub fn times() -> u64 {
    std::env::var("TRANSOM_STRESS").map_or(1, |times| times.parse().expect("TRANSOM_STRESS is a number"))
}

/// Does a stress alone, and fails if a round takes too long. Each round is told its number.
pub fn rounds(count: u64, round: impl Fn(u64) + Clone + Send + 'static) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for number in 0..count * times() {
        let round = round.clone();
        let (done, told) = channel();
        let thread = thread::spawn(move || {
            round(number);
            done.send(())
        });
        if told.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            panic!("round {number}: not done in {PATIENCE:?}");
        }
        if let Err(panic) = thread.join() {
            eprintln!("in round {number}");
            resume_unwind(panic);
        }
    }
}

/// Looks until something is so.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "not in {PATIENCE:?}: {what}");
        thread::yield_now();
    }
}

/// Fails if this process keeps a processor busy while it has nothing to do.
pub fn assert_idle(what: &str) {
    let (span, most) = IDLE;
    let before = busy();
    thread::sleep(span);
    let spent = busy().saturating_sub(before);
    assert!(spent < most, "{what}: {spent:?} on the processor in {span:?} of idleness");
}

/// The time that this process has spent on the processor so far.
fn busy() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(now).expect("time goes forward")
}
