//! Those who wait on one engine: nobody is forgotten, whoever comes, goes, gives way or falls asleep meanwhile.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};

use loom::sync::atomic::AtomicBool;
use loom::thread;
use transom_loom_tests::driver::engine::Engine;
use transom_loom_tests::driver::wait::{Waiter, call, wait};
use transom_loom_tests::driver::{Broken, Script, task};
use transom_loom_tests::model::{Failure, check, fails};

/// The number of the session's task, where there is one: after those of two callers.
const TASK: usize = 2;

const TWO: Script = Script::new(&[0, 1]);
const ONE_RUNS_OUT_OF_TIME: Script = Script { expires: Some(0), ..Script::new(&[1]) };
const ONE_IS_DISTURBED: Script = Script { disturbed: Some(0), ..TWO };
const WITH_TASK: Script = Script::new(&[0, TASK]);
const ALONE: Script = Script::new(&[]);

/// What one thread does.
type Step = Box<dyn FnOnce(&Engine)>;

/// Runs `first` on this thread, and the others each on one of their own, while the peer answers.
fn run(engine: &Arc<Engine>, first: impl FnOnce(&Engine), others: Vec<Step>) {
    let spawn = |run: Step| {
        let engine = Arc::clone(engine);
        thread::spawn(move || run(&engine))
    };
    let mut threads: Vec<_> = others.into_iter().map(spawn).collect();
    if !engine.script.answers.is_empty() {
        threads.push(spawn(Box::new(Engine::answer)));
    }
    first(engine);
    for thread in threads {
        thread.join().unwrap();
    }
}

/// A thread that waits for the answer to this call.
fn caller(number: usize) -> Step {
    Box::new(move |engine| call(engine, number))
}

fn two_callers(script: Script) {
    run(&Engine::new(script), caller(0), vec![caller(1)]);
}

/// The session's task, beside a caller.
fn a_task_and_a_caller(script: Script) {
    run(&Engine::new(script), caller(0), vec![Box::new(|engine| task::run(engine, TASK))]);
}

/// Two callers, while the session's task is not run any more once it sleeps.
fn two_callers_and_a_task_that_is_not_run(script: Script) {
    let engine = Engine::new(script);
    task::run_until_asleep(&engine, TASK);
    run(&engine, caller(0), vec![caller(1)]);
}

/// A thread that waits for one of its handlers, which is woken by somebody who is never in the core.
fn a_handler(script: Script, callers: Vec<Step>) {
    let (waiter, woken) = (Waiter::new(), Arc::new(AtomicBool::new(false)));
    let (thread, flag) = (Arc::clone(&waiter), Arc::clone(&woken));
    let mut others = callers;
    others.push(Box::new(move |engine| {
        flag.store(true, Release);
        thread.wake(engine);
    }));
    let resident = |engine: &Engine| wait(engine, &waiter, TASK, |_, _| woken.load(Relaxed));
    run(&Engine::new(script), resident, others);
}

#[test]
fn neither_caller_is_forgotten() {
    check(2, || two_callers(TWO));
}

#[test]
fn none_of_three_is_forgotten() {
    check(1, || run(&Engine::new(Script::new(&[0, 1, 2])), caller(0), vec![caller(1), caller(2)]));
}

#[test]
fn one_who_runs_out_of_time_hands_on() {
    check(2, || two_callers(ONE_RUNS_OUT_OF_TIME));
}

/// By the time that a thread is woken it may wait elsewhere, or seem to; then it has been in the core since.
#[test]
fn one_who_is_woken_where_it_no_longer_waits_misses_nothing() {
    check(2, || two_callers(ONE_IS_DISTURBED));
}

/// That a looker is known while it gives way spares others a sleep; nobody depends on it.
#[test]
fn one_who_gives_way_may_be_forgotten() {
    check(2, || two_callers(TWO.broken(Broken::IsForgotten)));
}

#[test]
fn a_task_and_a_caller_serve_each_other() {
    check(2, || a_task_and_a_caller(WITH_TASK));
}

#[test]
fn a_caller_that_runs_out_of_time_hands_on_to_the_task() {
    check(3, || a_task_and_a_caller(Script { expires: Some(0), ..Script::new(&[TASK]) }));
}

#[test]
fn callers_need_no_task_to_be_run() {
    check(2, || two_callers_and_a_task_that_is_not_run(TWO));
}

#[test]
fn a_handler_that_is_woken_is_polled() {
    check(6, || a_handler(ALONE, Vec::new()));
}

#[test]
fn a_handler_that_is_woken_is_polled_beside_a_caller() {
    check(2, || a_handler(Script::new(&[0]), vec![caller(0)]));
}

#[test]
fn broken_hand_overs_are_caught() {
    fails("broken_by_leaving_silently", Failure::Deadlock);
    fails("broken_by_leaving_without_announcing", Failure::Deadlock);
    fails("broken_by_running_out_of_time_silently", Failure::Deadlock);
    fails("broken_by_finding_a_frame_silently", Failure::Deadlock);
    fails("broken_by_a_sleeper_that_is_taken_for_asleep", Failure::Deadlock);
    fails("broken_by_a_looker_that_is_taken_for_away", Failure::Deadlock);
    fails("broken_by_forgetting_the_task", Failure::Deadlock);
    fails("broken_by_leaving_the_task_unannounced", Failure::Deadlock);
    fails("broken_by_relying_on_the_task", Failure::Deadlock);
}

#[test]
fn broken_wake_ups_are_caught() {
    fails("broken_by_a_place_written_late", Failure::Deadlock);
    fails("broken_by_a_place_without_fences", Failure::Deadlock);
    fails("broken_by_a_local_count_read_late", Failure::Deadlock);
    fails("broken_by_knowing_places", Failure::Assertion);
}

#[test]
#[ignore = "must fail; run by `broken_hand_overs_are_caught`"]
fn broken_by_leaving_silently() {
    check(2, || two_callers(TWO.broken(Broken::LeavesSilently)));
}

#[test]
#[ignore = "must fail; run by `broken_hand_overs_are_caught`"]
fn broken_by_leaving_without_announcing() {
    check(2, || two_callers(TWO.broken(Broken::LeavesUnannounced)));
}

#[test]
#[ignore = "must fail; run by `broken_hand_overs_are_caught`"]
fn broken_by_running_out_of_time_silently() {
    check(2, || two_callers(ONE_RUNS_OUT_OF_TIME.broken(Broken::LeavesSilently)));
}

#[test]
#[ignore = "must fail; run by `broken_hand_overs_are_caught`"]
fn broken_by_finding_a_frame_silently() {
    check(2, || two_callers(TWO.broken(Broken::FindsSilently)));
}

#[test]
#[ignore = "must fail; run by `broken_hand_overs_are_caught`"]
fn broken_by_a_sleeper_that_is_taken_for_asleep() {
    check(2, || two_callers(TWO.broken(Broken::StaysAsleep)));
}

#[test]
#[ignore = "must fail; run by `broken_hand_overs_are_caught`"]
fn broken_by_a_looker_that_is_taken_for_away() {
    check(2, || two_callers(TWO.broken(Broken::StaysAway)));
}

#[test]
#[ignore = "must fail; run by `broken_hand_overs_are_caught`"]
fn broken_by_forgetting_the_task() {
    check(2, || a_task_and_a_caller(WITH_TASK.broken(Broken::ForgetsTask)));
}

#[test]
#[ignore = "must fail; run by `broken_hand_overs_are_caught`"]
fn broken_by_leaving_the_task_unannounced() {
    check(2, || a_task_and_a_caller(WITH_TASK.broken(Broken::LeavesUnannounced)));
}

#[test]
#[ignore = "must fail; run by `broken_hand_overs_are_caught`"]
fn broken_by_relying_on_the_task() {
    check(2, || two_callers_and_a_task_that_is_not_run(TWO.broken(Broken::ReliesOnTask)));
}

#[test]
#[ignore = "must fail; run by `broken_wake_ups_are_caught`"]
fn broken_by_a_place_written_late() {
    check(2, || two_callers(TWO.broken(Broken::PlaceWrittenLate)));
}

/// Who wakes a handler has not been in the core since the thread said where it waits.
#[test]
#[ignore = "must fail; run by `broken_wake_ups_are_caught`"]
fn broken_by_a_place_without_fences() {
    check(2, || a_handler(ALONE.broken(Broken::PlaceUnfenced), Vec::new()));
}

#[test]
#[ignore = "must fail; run by `broken_wake_ups_are_caught`"]
fn broken_by_a_local_count_read_late() {
    check(2, || a_handler(ALONE.broken(Broken::LocalReadLate), Vec::new()));
}

/// Shows that the model comes to where a thread is woken in its former place.
#[test]
#[ignore = "must fail; run by `broken_wake_ups_are_caught`"]
fn broken_by_knowing_places() {
    check(2, || two_callers(Script { knows_places: true, ..ONE_IS_DISTURBED }));
}
