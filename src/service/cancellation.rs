//! Telling work that a handler has started elsewhere that nobody waits for it any more.

use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// Whether a call is still being handled, for work that its handler has started elsewhere: on another task, on a thread.
/// Clones are the same.
///
/// It is cancelled once the handler has ended, because it returned, or because it was dropped: its caller has gone, its
/// deadline has passed, its session is over. The handler itself need not ask: it is dropped at its next await.
#[derive(Clone, Debug, Default)]
pub struct Cancellation(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    cancelled: bool,
    waiting: Vec<Waker>,
}

impl Cancellation {
    /// Whether nobody waits for the work any more.
    pub fn is_cancelled(&self) -> bool {
        self.lock().cancelled
    }

    /// Waits until nobody waits for the work any more.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + Sync + '_ {
        poll_fn(|cx| {
            let mut state = self.lock();
            if state.cancelled {
                return Poll::Ready(());
            }
            if !state.waiting.iter().any(|known| known.will_wake(cx.waker())) {
                state.waiting.push(cx.waker().clone());
            }
            Poll::Pending
        })
    }

    pub(super) fn cancel(&self) {
        let waiting = {
            let mut state = self.lock();
            state.cancelled = true;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
