//! A thread that waits: it looks for itself, and sleeps on the bell, or parks while somebody else does either.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use loom::sync::atomic::AtomicBool;

use super::Broken;
use super::core::{Core, Waker};
use super::engine::Engine;
use crate::bell::{Mode, Note};
use crate::kernel::Parker;
use crate::sync::fence;

/// Frames taken in before a thread gives way unasked.
const FRAMES_AT_A_TIME: u32 = 2;

/// A thread that waits.
#[derive(Debug)]
pub struct Waiter {
    parker: Parker,
    on_bell: AtomicBool,
    /// The same, as whoever sees everything sees it.
    is_on_bell: std::sync::atomic::AtomicBool,
}

impl Waiter {
    /// A thread that does not wait yet.
    pub fn new() -> Arc<Self> {
        let (on_bell, is_on_bell) = (AtomicBool::new(false), std::sync::atomic::AtomicBool::new(false));
        Arc::new(Self { parker: Parker::default(), on_bell, is_on_bell })
    }

    fn write_place(&self, on_bell: bool) {
        self.is_on_bell.store(on_bell, Relaxed);
        self.on_bell.store(on_bell, Relaxed);
    }

    /// Says where this thread is about to wait, before it looks for the last time at what it waits for.
    fn waits(&self, on_bell: bool, broken: Broken) {
        if broken != Broken::PlaceWrittenLate {
            self.write_place(on_bell);
        }
        if broken != Broken::PlaceUnfenced {
            // Pairs with the fence in `wake`.
            fence(SeqCst);
        }
    }

    /// Wakes it where it waits.
    pub fn wake(&self, engine: &Engine) {
        if engine.script.broken != Broken::PlaceUnfenced {
            // Pairs with the fence in `waits`.
            fence(SeqCst);
        }
        let on_bell = self.on_bell.load(Relaxed);
        if engine.script.knows_places {
            let place = self.is_on_bell.load(Relaxed);
            assert_eq!(on_bell, place, "the model's assertion: nobody is woken where it no longer waits");
        }
        if on_bell {
            engine.own.wake_local();
        } else {
            self.parker.unpark();
        }
    }
}

/// What a turn in the core came to.
enum Turn {
    Done,
    Again,
    Sleep { note: Note, local: u32 },
    Park,
}

/// Waits for an answer on this thread.
pub fn call(engine: &Engine, call: usize) {
    wait(engine, &Waiter::new(), call, |core, waker| core.poll_answer(call, waker));
}

/// Waits until `ready`, which is called in the core: with a waker when this thread is about to sleep, else without.
pub fn wait(
    engine: &Engine,
    waiter: &Arc<Waiter>,
    number: usize,
    mut ready: impl FnMut(&mut Core, Option<&Waker>) -> bool,
) {
    let broken = engine.script.broken;
    let (mut is_back, mut is_late) = (false, false);
    let mut disturbed = engine.script.disturbed == Some(number);
    loop {
        let turn = engine.with(|core| {
            // Before anything that a local wake-up tells of is looked at.
            let local = engine.own.local();
            if mem::replace(&mut is_back, true) {
                core.returned(waiter, broken);
            }
            if is_late {
                core.answer(number);
            }
            turn(engine, core, waiter, local, &mut ready)
        });
        let on_bell = match turn {
            Turn::Done => return,
            Turn::Again => {
                engine.give_way();
                continue;
            }
            Turn::Sleep { .. } => true,
            Turn::Park => false,
        };
        if broken == Broken::PlaceWrittenLate {
            waiter.write_place(on_bell);
        }
        is_late = engine.script.expires == Some(number);
        if is_late || mem::take(&mut disturbed) {
            continue;
        }
        match turn {
            Turn::Sleep { note, local } => {
                let local = if broken == Broken::LocalReadLate { engine.own.local() } else { local };
                engine.own.wait(&engine.peer, Mode::Futex, note, local);
            }
            _ => waiter.parker.park(),
        }
    }
}

fn turn(
    engine: &Engine,
    core: &mut Core,
    waiter: &Arc<Waiter>,
    local: u32,
    ready: &mut impl FnMut(&mut Core, Option<&Waker>) -> bool,
) -> Turn {
    let broken = engine.script.broken;
    if core.looker.is_some() {
        return park(core, waiter, broken, ready);
    }
    engine.awake(core);
    let mut frames = 0;
    loop {
        if ready(core, None) {
            core.leave(broken);
            return Turn::Done;
        }
        let has_frame = engine.take_frame(core);
        frames += u32::from(has_frame);
        if !has_frame && engine.is_wanted() || frames == FRAMES_AT_A_TIME {
            core.looker = (broken != Broken::IsForgotten).then(|| Arc::clone(waiter));
            return Turn::Again;
        }
        if !has_frame {
            break;
        }
    }
    if core.has_thread_asleep() || core.sleeper.is_some() && broken == Broken::ReliesOnTask {
        return park(core, waiter, broken, ready);
    }
    waiter.waits(true, broken);
    if ready(core, Some(&Waker::Thread(Arc::clone(waiter)))) {
        core.leave(broken);
        return Turn::Done;
    }
    engine.thread_falls_asleep(core, waiter).map_or(Turn::Again, |note| Turn::Sleep { note, local })
}

/// Another thread looks, or sleeps on the bell: it serves this thread, or hands that on.
fn park(
    core: &mut Core,
    waiter: &Arc<Waiter>,
    broken: Broken,
    ready: &mut impl FnMut(&mut Core, Option<&Waker>) -> bool,
) -> Turn {
    waiter.waits(false, broken);
    if ready(core, Some(&Waker::Thread(Arc::clone(waiter)))) {
        core.leave(broken);
        return Turn::Done;
    }
    core.parked.push(Arc::clone(waiter));
    Turn::Park
}
