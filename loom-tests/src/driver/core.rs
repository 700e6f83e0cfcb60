//! What is behind the engine's lock.

use std::mem;
use std::sync::Arc;

use super::wait::Waiter;
use super::{Broken, WAITERS};
use crate::bell::{Mode, Sleeper as Bell};

/// Who waits, and what wakes it.
#[derive(Clone, Debug)]
pub enum Waker {
    /// The session's task.
    Task,
    /// A thread.
    Thread(Arc<Waiter>),
}

impl Waker {
    fn is(&self, waiter: &Arc<Waiter>) -> bool {
        matches!(self, Self::Thread(thread) if Arc::ptr_eq(thread, waiter))
    }
}

/// What a waiter waits for.
#[derive(Debug, Default)]
pub struct Call {
    answered: bool,
    waker: Option<Waker>,
}

/// Who sleeps on the bell.
#[derive(Debug)]
pub struct Asleep {
    /// Who it is.
    pub who: Waker,
    /// Whether the peer knows.
    pub announced: bool,
}

impl Asleep {
    /// Where it sleeps.
    pub fn mode(&self) -> Mode {
        match self.who {
            Waker::Task => Mode::Descriptor,
            Waker::Thread(_) => Mode::Futex,
        }
    }
}

/// What is behind the lock.
#[derive(Debug, Default)]
pub struct Core {
    /// The calls of the session.
    pub calls: [Call; WAITERS],
    /// The bell of this side.
    pub bell: Bell,
    /// How many frames were taken from the link.
    pub taken: u64,
    /// Who sleeps on the bell.
    pub sleeper: Option<Asleep>,
    /// The session's task, asleep while a thread sleeps on the bell in its place.
    pub displaced: Option<Asleep>,
    /// The thread that looks into the link, while it gives way.
    pub looker: Option<Arc<Waiter>>,
    /// Threads that wait for the one that looks, or sleeps on the bell, to serve them.
    pub parked: Vec<Arc<Waiter>>,
    /// Whom to wake when the core has been left.
    pub wakers: Vec<Waker>,
}

impl Core {
    /// Whether the call is answered; if not, `waker` is woken when it is.
    pub fn poll_answer(&mut self, call: usize, waker: Option<&Waker>) -> bool {
        let call = &mut self.calls[call];
        if !call.answered && waker.is_some() {
            call.waker = waker.cloned();
        }
        call.answered
    }

    /// The call is answered, or its time is up.
    pub fn answer(&mut self, call: usize) {
        let call = &mut self.calls[call];
        call.answered = true;
        self.wakers.extend(call.waker.take());
    }

    /// Whoever sleeps on the bell looks itself from here on.
    pub fn wake_sleeper(&mut self) {
        let asleep = mem::replace(&mut self.sleeper, self.displaced.take());
        self.wakers.extend(asleep.map(|asleep| asleep.who));
    }

    /// The session's task looks, in place of whoever slept for it.
    pub fn task_returned(&mut self) {
        self.displaced = None;
        self.sleeper.take_if(|asleep| matches!(asleep.who, Waker::Task));
    }

    /// Whether a thread sleeps on the bell.
    pub fn has_thread_asleep(&self) -> bool {
        self.sleeper.as_ref().is_some_and(|asleep| matches!(asleep.who, Waker::Thread(_)))
    }

    /// This thread is back from wherever it waited.
    pub fn returned(&mut self, waiter: &Arc<Waiter>, broken: Broken) {
        self.parked.retain(|parked| !Arc::ptr_eq(parked, waiter));
        if broken != Broken::StaysAway {
            self.looker.take_if(|looker| Arc::ptr_eq(looker, waiter));
        }
        if broken != Broken::StaysAsleep && self.sleeper.as_ref().is_some_and(|asleep| asleep.who.is(waiter))
        {
            self.sleeper = self.displaced.take().filter(|_| broken != Broken::ForgetsTask);
        }
    }

    /// This thread leaves: one that waits for it looks in its place.
    pub fn leave(&mut self, broken: Broken) {
        if self.looker.is_none() && !self.has_thread_asleep() && broken != Broken::LeavesSilently {
            self.wakers.extend(self.parked.pop().map(Waker::Thread));
        }
    }
}
