//! Running a model: how deep it goes, and that a broken one fails.
//!
//! A preemption takes a thread off the processor though it could go on. Each one more multiplies the time, so that every
//! model says how many it takes by default. `TRANSOM_LOOM_DEEPER=n` adds n to each, and loom's own
//! `LOOM_MAX_PREEMPTIONS=n` replaces them all.

use std::env;
use std::process::Command;

use loom::model::Builder;

/// Runs a model with every order of its threads' steps that takes at most so many preemptions.
///
/// # Panics
/// If the model fails, or if the environment variable is no number.
pub fn check(preemptions: usize, run: impl Fn() + Sync + Send + 'static) {
    let deeper = env::var("TRANSOM_LOOM_DEEPER").map_or(0, |more| more.parse().expect("a number"));
    let mut builder = Builder::new();
    builder.preemption_bound.get_or_insert(preemptions + deeper);
    builder.check(run);
}

/// How a broken model fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Somebody sleeps whom nobody wakes.
    Deadlock,
    /// Bytes are read while they are written.
    Race,
    /// What the model asserts does not hold.
    Assertion,
}

/// Asserts that the ignored test `name` of this program fails in this way, with its own number of preemptions. It
/// runs in a process of its own, which has its mutation for itself and which loom may abort.
///
/// # Panics
/// If it does not fail, or in another way.
pub fn fails(name: &str, how: Failure) {
    let this = env::current_exe().expect("this test's own program");
    let mut run = Command::new(this);
    run.args(["--exact", name, "--ignored", "--nocapture"]).env_remove("LOOM_MAX_PREEMPTIONS");
    let run = run.output().expect("a process of its own");
    let said = String::from_utf8_lossy(&run.stderr);
    let reason = match how {
        Failure::Deadlock => "deadlock; threads =",
        Failure::Race => "Causality violation: Concurrent",
        Failure::Assertion => "the model's assertion",
    };
    assert!(!run.status.success(), "{name} does not notice what is broken");
    assert!(said.contains(reason), "{name} fails in another way than by {how:?}:\n{said}");
}
