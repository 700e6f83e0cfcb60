//! The kernel's part of sleeping. One of each for every sleeper, so that nobody is woken by luck.

use loom::sync::atomic::{AtomicU32, Ordering};
use loom::sync::{Condvar, Mutex};

/// Where the threads of one side sleep on words.
#[derive(Debug)]
pub struct Futex {
    queue: Mutex<()>,
    woken: Condvar,
}

impl Default for Futex {
    fn default() -> Self {
        Self { queue: Mutex::new(()), woken: Condvar::new() }
    }
}

impl Futex {
    /// Sleeps until woken, unless one of the words has another value than expected. A sleeper that nobody ever wakes is a
    /// deadlock, which loom reports.
    pub fn wait(&self, words: &[(&AtomicU32, u32)]) {
        let queue = self.queue.lock().expect("no thread panics here");
        if words.iter().all(|(word, expected)| word.load(Ordering::Relaxed) == *expected) {
            drop(self.woken.wait(queue).expect("no thread panics here"));
        }
    }

    /// Wakes all who sleep now. Also what a time-out does, and what a hostile peer can do at any time.
    pub fn wake(&self) {
        let queue = self.queue.lock().expect("no thread panics here");
        self.woken.notify_all();
        drop(queue);
    }
}

/// The token of a thread that parks.
#[derive(Debug)]
pub struct Parker {
    token: Mutex<bool>,
    given: Condvar,
}

impl Default for Parker {
    fn default() -> Self {
        Self { token: Mutex::new(false), given: Condvar::new() }
    }
}

impl Parker {
    /// Gives the token.
    pub fn unpark(&self) {
        *self.token.lock().expect("no thread panics here") = true;
        self.given.notify_one();
    }

    /// Sleeps until the token is given, and takes it.
    pub fn park(&self) {
        let mut token = self.token.lock().expect("no thread panics here");
        while !*token {
            token = self.given.wait(token).expect("no thread panics here");
        }
        *token = false;
    }
}

/// A pipe that is readable from when it is rung until it is cleared, and a task that an event loop polls then.
#[derive(Debug)]
pub struct Pipe {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    readable: bool,
    woken: bool,
}

impl Default for Pipe {
    fn default() -> Self {
        Self { state: Mutex::new(State { readable: false, woken: false }), changed: Condvar::new() }
    }
}

impl Pipe {
    /// Makes it readable.
    pub fn ring(&self) {
        self.state.lock().expect("no thread panics here").readable = true;
        self.changed.notify_all();
    }

    /// Wakes the task.
    pub fn wake(&self) {
        self.state.lock().expect("no thread panics here").woken = true;
        self.changed.notify_all();
    }

    /// Consumes what made it readable.
    pub fn clear(&self) {
        self.state.lock().expect("no thread panics here").readable = false;
    }

    /// Sleeps until it is readable, and clears it.
    pub fn wait(&self) {
        let mut state = self.state.lock().expect("no thread panics here");
        while !state.readable {
            state = self.changed.wait(state).expect("no thread panics here");
        }
        state.readable = false;
    }

    /// Sleeps until it is readable, or the task has been woken since it was polled the last time.
    pub fn watch(&self) {
        let mut state = self.state.lock().expect("no thread panics here");
        while !state.readable && !state.woken {
            state = self.changed.wait(state).expect("no thread panics here");
        }
        state.woken = false;
    }
}
