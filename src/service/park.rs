//! A thread that waits for a future, without a runtime.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

/// Sleeps, with this thread, until the future is ready. Somebody else must see to it that it becomes so.
pub(crate) fn park_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Some(output) = park_until(future.as_mut(), None) {
            return output;
        }
    }
}

/// The same, but not beyond `until`.
pub(crate) fn park_until<F: Future>(future: F, until: Option<Instant>) -> Option<F::Output> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        match until.map(|until| until.saturating_duration_since(Instant::now())) {
            None => thread::park(),
            Some(left) if left.is_zero() => return None,
            Some(left) => thread::park_timeout(left),
        }
    }
}

/// A thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, poll_fn};
    use std::time::Duration;

    #[test]
    fn a_thread_sleeps_until_it_is_woken() {
        let mut polled = 0;
        let ready = poll_fn(|cx| {
            polled += 1;
            let waker = cx.waker().clone();
            if polled == 1 {
                thread::spawn(move || waker.wake());
            }
            if polled < 2 { Poll::Pending } else { Poll::Ready(7) }
        });
        assert_eq!(park_on(ready), 7);
    }

    #[test]
    fn a_thread_sleeps_no_longer_than_it_may() {
        let now = Instant::now();
        assert_eq!(park_until(pending::<()>(), Some(now)), None);
        assert_eq!(park_until(pending::<()>(), Some(now + Duration::from_millis(5))), None);
        assert!(Instant::now() >= now + Duration::from_millis(5));
    }
}
