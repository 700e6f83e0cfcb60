//! The engine: its lock, and what is done in the core or when it has been left.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};

use loom::sync::atomic::AtomicU32;
use loom::sync::{Mutex, MutexGuard};
use loom::thread;

use super::core::{Asleep, Core, Waker};
use super::wait::Waiter;
use super::{Broken, Script};
use crate::bell::Note;
use crate::side::Side;
use crate::word::PeerWord;

/// A session on its link.
#[derive(Debug)]
pub struct Engine {
    /// This side of the link.
    pub own: Side,
    /// The other side.
    pub peer: Side,
    /// What happens.
    pub script: Script,
    core: Mutex<Core>,
    wanted: AtomicU32,
}

impl Engine {
    /// An engine to which this happens.
    pub fn new(script: Script) -> Arc<Self> {
        let (own, peer) = (Side::default(), Side::default());
        Arc::new(Self { own, peer, script, core: Mutex::default(), wanted: AtomicU32::new(0) })
    }

    /// The peer answers, one after the other.
    pub fn answer(&self) {
        for tail in 1..=self.script.answers.len() as u64 {
            self.peer.producer.tail.store(tail, Release);
            self.peer.ring(&self.own, true, 0);
        }
    }

    /// One step in the core; then whatever it owes local waiters.
    pub fn with<R>(&self, step: impl FnOnce(&mut Core) -> R) -> R {
        self.step(self.lock(), step)
    }

    /// One step in the core, unless somebody else is in it.
    pub fn try_with<R>(&self, step: impl FnOnce(&mut Core) -> R) -> Option<R> {
        Some(self.step(self.core.try_lock().ok()?, step))
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.try_lock().unwrap_or_else(|_| {
            self.wanted.fetch_add(1, Relaxed);
            let core = self.core.lock().expect("no thread panics here");
            self.wanted.fetch_sub(1, Relaxed);
            core
        })
    }

    fn step<R>(&self, mut core: MutexGuard<'_, Core>, step: impl FnOnce(&mut Core) -> R) -> R {
        let result = step(&mut core);
        self.look_after_sleeper(&mut core);
        let mut wakers = mem::take(&mut core.wakers);
        drop(core);
        let first = wakers.pop();
        first.iter().chain(&wakers).for_each(|waker| self.wake(waker));
        result
    }

    fn wake(&self, waker: &Waker) {
        match waker {
            Waker::Task => self.own.pipe.wake(),
            Waker::Thread(waiter) => waiter.wake(self),
        }
    }

    /// Whether somebody waits for the core.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Relaxed) != 0
    }

    /// Lets those who want the core have it.
    pub fn give_way(&self) {
        if self.is_wanted() {
            thread::yield_now();
        }
    }

    /// This side looks: the peer need not wake it.
    pub fn awake(&self, core: &mut Core) {
        core.bell.awake(&self.own.bell);
        if let Some(asleep) = &mut core.sleeper {
            asleep.announced = false;
        }
    }

    /// Takes one frame in; whether there was one.
    pub fn take_frame(&self, core: &mut Core) -> bool {
        let has_frame = self.has_frame(core);
        if has_frame {
            let at = usize::try_from(core.taken).expect("a short script");
            core.taken += 1;
            core.answer(self.script.answers[at]);
        }
        has_frame
    }

    fn has_frame(&self, core: &Core) -> bool {
        PeerWord::new(&self.peer.producer.tail).load() > core.taken
    }

    /// The session's task sleeps from here on, on the bell unless a thread does; false if there is something to do instead.
    pub fn task_falls_asleep(&self, core: &mut Core) -> bool {
        let asleep = Asleep { who: Waker::Task, announced: false };
        match &mut core.sleeper {
            Some(thread) => {
                thread.announced = false;
                core.displaced = Some(asleep);
                true
            }
            None => self.fall_asleep(core, asleep).is_some(),
        }
    }

    /// A thread sleeps on the bell from here on, in place of the session's task if that does; `None` if there is something
    /// to do instead.
    pub fn thread_falls_asleep(&self, core: &mut Core, waiter: &Arc<Waiter>) -> Option<Note> {
        core.displaced = core.sleeper.take();
        self.fall_asleep(core, Asleep { who: Waker::Thread(Arc::clone(waiter)), announced: false })
    }

    fn fall_asleep(&self, core: &mut Core, asleep: Asleep) -> Option<Note> {
        core.sleeper = Some(asleep);
        let note = self.announce(core);
        if note.is_none() {
            core.sleeper = core.displaced.take();
        }
        note
    }

    /// Announces the sleeper's sleep anew if somebody was awake meanwhile; wakes it if there is something to do.
    fn look_after_sleeper(&self, core: &mut Core) {
        let unannounced = core.sleeper.as_ref().is_some_and(|asleep| !asleep.announced);
        if !unannounced || self.script.broken == Broken::LeavesUnannounced {
            return;
        }
        if self.announce(core).is_none() && self.script.broken != Broken::FindsSilently {
            core.wake_sleeper();
        }
    }

    fn announce(&self, core: &mut Core) -> Option<Note> {
        let asleep = core.sleeper.as_mut()?;
        asleep.announced = true;
        let mode = asleep.mode();
        let note = self.own.announce(&mut core.bell, &self.peer, mode, 0);
        if self.has_frame(core) {
            core.bell.awake(&self.own.bell);
            return None;
        }
        Some(note)
    }
}
