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

/// A pipe that is readable from when it is rung until it is cleared.
#[derive(Debug)]
pub struct Pipe {
    readable: Mutex<bool>,
    rung: Condvar,
}

impl Default for Pipe {
    fn default() -> Self {
        Self { readable: Mutex::new(false), rung: Condvar::new() }
    }
}

impl Pipe {
    /// Makes it readable.
    pub fn ring(&self) {
        *self.readable.lock().expect("no thread panics here") = true;
        self.rung.notify_all();
    }

    /// Sleeps until it is readable, and clears it.
    pub fn wait(&self) {
        let mut readable = self.readable.lock().expect("no thread panics here");
        while !*readable {
            readable = self.rung.wait(readable).expect("no thread panics here");
        }
        *readable = false;
    }
}
