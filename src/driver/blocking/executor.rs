//! The small executor of a resident thread: handlers that did not finish at once. It offers no timers and no I/O.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crate::driver::Handler;
use crate::driver::serving::{Executor, discard, poll_caught};
use crate::link::Signal;

/// The pending handlers of one session.
pub(super) struct Pending {
    signal: Arc<dyn Signal>,
    handlers: Vec<Running>,
}

struct Running {
    id: u64,
    handler: Handler,
    flag: Arc<Flag>,
    waker: Waker,
}

struct Flag {
    woken: AtomicBool,
    signal: Arc<dyn Signal>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        // sync: executor.woken (set) -> Pending::poll
        if !self.woken.swap(true, Ordering::Release) {
            self.signal.wake_local();
        }
    }
}

impl Pending {
    /// No handlers; `signal` wakes the thread that polls them.
    pub(super) fn new(signal: Arc<dyn Signal>) -> Self {
        Self { signal, handlers: Vec::new() }
    }

    /// Polls the handlers that were woken; whether any was.
    pub(super) fn poll(&mut self) -> bool {
        let mut polled = false;
        let mut at = 0;
        while let Some(running) = self.handlers.get_mut(at) {
            // sync: executor.woken (taken) -> Flag::wake
            if !running.flag.woken.swap(false, Ordering::Acquire) {
                at += 1;
                continue;
            }
            polled = true;
            match poll_caught(&mut running.handler, &mut Context::from_waker(&running.waker)) {
                Poll::Pending => at += 1,
                Poll::Ready(_) => discard(self.handlers.swap_remove(at).handler),
            }
        }
        polled
    }
}

impl Executor for Pending {
    fn adopt(&mut self, id: u64, handler: Handler) {
        // Woken from the start: its first poll here registers this waker.
        let flag = Arc::new(Flag { woken: AtomicBool::new(true), signal: Arc::clone(&self.signal) });
        let waker = Waker::from(Arc::clone(&flag));
        self.handlers.push(Running { id, handler, flag, waker });
    }

    fn cancel(&mut self, id: u64) {
        if let Some(at) = self.handlers.iter().position(|running| running.id == id) {
            discard(self.handlers.swap_remove(at).handler);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.handlers.drain(..).for_each(|running| discard(running.handler));
    }
}
