//! The small executor of a blocking session's thread: handlers that did not finish at once. It offers no timers and no
//! I/O.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crate::driver::Handler;
use crate::driver::serving::{Executor, discard, poll_caught};
use crate::session::CallId;

/// The pending handlers of one session.
pub(super) struct Pending {
    woken: Arc<Woken>,
    handlers: Vec<Running>,
}

/// Whether any handler was woken, and the thread to tell.
struct Woken {
    any: AtomicBool,
    thread: Waker,
}

struct Running {
    call: CallId,
    handler: Handler,
    flag: Arc<Flag>,
    waker: Waker,
}

struct Flag {
    woken: AtomicBool,
    all: Arc<Woken>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // sync: executor.woken (set) -> Pending::poll
        if !self.woken.swap(true, Ordering::Release) {
            // sync: executor.any (set) -> Pending::poll
            self.all.any.store(true, Ordering::Release);
            self.all.thread.wake_by_ref();
        }
    }
}

impl Pending {
    /// No handlers; `thread` wakes the one that polls them.
    pub(super) fn new(thread: Waker) -> Self {
        Self { woken: Arc::new(Woken { any: AtomicBool::new(false), thread }), handlers: Vec::new() }
    }

    /// Whether any handler was woken.
    pub(super) fn is_woken(&self) -> bool {
        self.woken.any.load(Ordering::Relaxed)
    }

    /// Drops the handler of a request, if it runs here.
    pub(super) fn cancel(&mut self, call: CallId) {
        if let Some(at) = self.handlers.iter().position(|running| running.call == call) {
            discard(self.handlers.swap_remove(at).handler);
        }
    }

    /// Polls the handlers that were woken.
    pub(super) fn poll(&mut self) {
        // sync: executor.any (taken) -> Flag::wake. Before the flags: one that is set from here on sets this again.
        self.woken.any.swap(false, Ordering::AcqRel);
        let mut at = 0;
        while let Some(running) = self.handlers.get_mut(at) {
            // sync: executor.woken (taken) -> Flag::wake
            if !running.flag.woken.swap(false, Ordering::Acquire) {
                at += 1;
                continue;
            }
            match poll_caught(&mut running.handler, &mut Context::from_waker(&running.waker)) {
                Poll::Pending => at += 1,
                Poll::Ready(_) => discard(self.handlers.swap_remove(at).handler),
            }
        }
    }
}

impl Executor for Pending {
    fn adopt(&mut self, call: CallId, handler: Handler) {
        // Woken from the start: its first poll here registers this waker.
        let flag = Arc::new(Flag { woken: AtomicBool::new(true), all: Arc::clone(&self.woken) });
        self.woken.any.store(true, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&flag));
        self.handlers.push(Running { call, handler, flag, waker });
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.handlers.drain(..).for_each(|running| discard(running.handler));
    }
}
