//! Tasks and threads that wait for the same thing, and those that wait for their turn.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// Those who wait for the same thing. Whoever joins looks once more afterwards.
#[derive(Debug, Default)]
pub(super) struct Crowd(Mutex<Vec<Waker>>);

impl Crowd {
    pub(super) fn join(&self, waker: &Waker) {
        let mut waiting = self.lock();
        if !waiting.iter().any(|known| known.will_wake(waker)) {
            waiting.push(waker.clone());
        }
    }

    /// Wakes all.
    pub(super) fn disperse(&self) {
        let waiting = std::mem::take(&mut *self.lock());
        waiting.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As one waker, a crowd is woken whole.
impl Wake for Crowd {
    fn wake(self: Arc<Self>) {
        self.disperse();
    }
}

/// Nobody has the turn.
const FREE: u8 = 0;
/// Somebody has it.
const TAKEN: u8 = 1;
/// Somebody has it, and others may wait.
const WANTED: u8 = 2;

/// Whose turn it is to send: a session knows one that waits for credit, and an item that waits must not be overtaken for
/// ever by smaller ones.
#[derive(Debug, Default)]
pub(super) struct Turns {
    state: AtomicU8,
    waiting: Crowd,
}

/// The turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a>(&'a Turns);

impl Turns {
    /// Takes the turn if nobody has it.
    #[inline]
    pub(super) fn try_take(&self) -> Option<Turn<'_>> {
        // sync: turns.state (take) <- Turn::drop
        let taken = self.state.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed);
        taken.is_ok().then(|| Turn(self))
    }

    /// Ready with the turn when nobody has it.
    #[inline]
    pub(super) fn poll_take(&self, waker: &Waker) -> Poll<Turn<'_>> {
        self.try_take().map_or_else(|| self.wait(waker), Poll::Ready)
    }

    #[cold]
    fn wait(&self, waker: &Waker) -> Poll<Turn<'_>> {
        self.waiting.join(waker);
        // Whoever finds this when it gives the turn back finds the waker, too: it has been left in the crowd before.
        // sync: turns.state (want) -> Turn::drop
        match self.state.swap(WANTED, Ordering::AcqRel) {
            FREE => Poll::Ready(Turn(self)),
            _ => Poll::Pending,
        }
    }
}

impl Drop for Turn<'_> {
    #[inline]
    fn drop(&mut self) {
        // sync: turns.state (give) -> Turns::try_take, Turns::wait
        if self.0.state.swap(FREE, Ordering::AcqRel) == WANTED {
            self.0.waiting.disperse();
        }
    }
}

/// Waits, with this thread.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let (mut future, mut cx) = (pin!(future), Context::from_waker(&waker));
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
