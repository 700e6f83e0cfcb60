//! Waiting for a socket: by a runtime, or by a thread that has nothing else to do.

use std::future::{Future, ready};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::sys;

/// Waits until a socket can be read from or written to; called after it could not. May return early.
pub(crate) trait Ready: Sync {
    /// Waits until there is something to read, or nothing ever will be.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;
    /// Waits until there is room to write, or nobody to read.
    fn writable(&self) -> impl Future<Output = io::Result<()>> + Send;
}

/// This thread waits, until `deadline` at the latest if there is one.
pub(crate) struct Thread<'a> {
    pub(crate) socket: BorrowedFd<'a>,
    pub(crate) deadline: Option<Instant>,
}

impl Thread<'_> {
    fn wait(&self, readable: bool, writable: bool) -> io::Result<()> {
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        sys::poll::wait(&[(self.socket.as_fd(), readable, writable)], self.deadline);
        Ok(())
    }
}

impl Ready for Thread<'_> {
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send {
        ready(self.wait(true, false))
    }

    fn writable(&self) -> impl Future<Output = io::Result<()>> + Send {
        ready(self.wait(false, true))
    }
}

/// Runs a future that waits by [`Thread`] alone, and so never is pending.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        debug_assert!(false, "only `Thread` waits in here");
    }
}
