//! The session's task, in its runtime's event loop. It waits for its number like anybody; the peer answers it last, since
//! the task is there until the session is over.

use loom::thread;

use super::core::{Core, Waker};
use super::engine::Engine;

/// What a turn in the core came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Over,
    Again,
    Yield,
    Nothing,
    Asleep,
}

/// Runs until this number is answered.
pub fn run(engine: &Engine, number: usize) {
    loop {
        match poll(engine, number) {
            Turn::Over => return,
            Turn::Asleep => engine.own.pipe.watch(),
            // It has woken itself, after everybody else has had a turn.
            _ => thread::yield_now(),
        }
    }
}

/// Runs until it sleeps; its runtime is not run any more.
pub fn run_until_asleep(engine: &Engine, number: usize) {
    while poll(engine, number) != Turn::Asleep {
        thread::yield_now();
    }
}

fn poll(engine: &Engine, number: usize) -> Turn {
    let turn = engine.try_with(|core| look(engine, core, number)).unwrap_or(Turn::Yield);
    if turn == Turn::Over {
        return turn;
    }
    engine.own.pipe.clear();
    match turn {
        Turn::Nothing => engine.try_with(|core| fall_asleep(engine, core, number)).unwrap_or(Turn::Yield),
        turn => turn,
    }
}

fn look(engine: &Engine, core: &mut Core, number: usize) -> Turn {
    core.task_returned();
    engine.awake(core);
    loop {
        if core.poll_answer(number, None) {
            return Turn::Over;
        }
        if !engine.take_frame(core) {
            return Turn::Nothing;
        }
    }
}

fn fall_asleep(engine: &Engine, core: &mut Core, number: usize) -> Turn {
    if core.poll_answer(number, Some(&Waker::Task)) {
        return Turn::Over;
    }
    if engine.task_falls_asleep(core) { Turn::Asleep } else { Turn::Again }
}
