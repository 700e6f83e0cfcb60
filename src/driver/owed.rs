//! What a step in the core leaves to be done outside of it: wakers run, and are dropped, without the lock.

use std::cell::Cell;
use std::task::Waker;

/// What is owed when the core has been left.
#[must_use]
pub(super) struct Owed {
    /// The peer must be rung.
    pub(super) ring: bool,
    /// The session has ended, and the peer must be shown so.
    pub(super) end: bool,
    pub(super) first: Option<Waker>,
    pub(super) rest: Option<Box<Rest>>,
}

/// What is not owed in most steps.
#[derive(Default)]
pub(super) struct Rest {
    pub(super) wakers: Vec<Waker>,
    /// To be dropped.
    pub(super) spent: Vec<Waker>,
}

thread_local! {
    /// An empty one, so that no step allocates for what it owes.
    static SPARE: Cell<Option<Box<Rest>>> = const { Cell::new(None) };
}

impl Owed {
    /// Wakes those who are to be woken.
    #[inline]
    pub(super) fn wake(self) {
        if let Some(first) = self.first {
            first.wake();
        }
        if let Some(rest) = self.rest {
            rest.settle();
        }
    }
}

impl Rest {
    #[cold]
    pub(super) fn empty() -> Box<Self> {
        SPARE.try_with(Cell::take).ok().flatten().unwrap_or_default()
    }

    #[cold]
    fn settle(mut self: Box<Self>) {
        self.wakers.drain(..).for_each(Waker::wake);
        self.spent.clear();
        // A thread that ends keeps nothing.
        let _kept = SPARE.try_with(|spare| spare.set(Some(self)));
    }
}
