//! Ends the process of a cell whose host is gone, whatever its other threads are doing.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};

/// A thread that sleeps on the lifeline. Dropping this ends the thread and leaves the process alone.
#[derive(Debug)]
pub(super) struct Watcher {
    /// An eventfd: written to, it tells the thread to end.
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Watches `lifeline`. If the process still runs `grace` after it has hung up, and `is_over` does not
    /// say that it was time to, calls `end`.
    pub(super) fn start(
        lifeline: UnixStream,
        grace: Duration,
        is_over: impl Fn() -> bool + Send + 'static,
        end: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let stop = Arc::new(rustix::event::eventfd(0, EventfdFlags::CLOEXEC)?);
        let stopped = Arc::clone(&stop);
        let watch = move || {
            if hung_up_first(&lifeline, &stopped) && !stops_within(&stopped, grace) && !is_over() {
                end();
            }
        };
        let thread = thread::Builder::new().name(String::from("transom-lifeline")).spawn(watch)?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Leaves the thread to its task for the rest of the process's life.
    pub(super) fn keep(mut self) {
        self.thread = None;
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if let Err(error) = rustix::io::write(&*self.stop, &1_u64.to_ne_bytes()) {
            tracing::error!(target: "transom::cell", %error, "the lifeline's watcher cannot be stopped");
        } else if thread.join().is_err() {
            tracing::error!(target: "transom::cell", "the lifeline's watcher panicked");
        }
    }
}

/// Sleeps until the host is gone (true) or the watcher is stopped.
fn hung_up_first(lifeline: &UnixStream, stopped: &OwnedFd) -> bool {
    loop {
        let mut watched = [PollFd::new(lifeline, PollFlags::RDHUP), PollFd::new(stopped, PollFlags::IN)];
        match rustix::event::poll(&mut watched, None) {
            Ok(_) if !watched[1].revents().is_empty() => return false,
            Ok(_) if !watched[0].revents().is_empty() => return true,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                tracing::error!(target: "transom::cell", %error, "the host's lifeline cannot be watched");
                return false;
            }
        }
    }
}

/// Whether the watcher is stopped within `grace`.
fn stops_within(stopped: &OwnedFd, grace: Duration) -> bool {
    let deadline = Instant::now() + grace;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut watched = [PollFd::new(stopped, PollFlags::IN)];
        // A grace beyond what the system can count is no limit at all.
        let timeout = Timespec::try_from(left).ok();
        match rustix::event::poll(&mut watched, timeout.as_ref()) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                tracing::error!(target: "transom::cell", %error, "the lifeline's watcher cannot wait");
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn watcher(grace: Duration, over: bool) -> (UnixStream, Watcher, mpsc::Receiver<()>) {
        let (host, cell) = UnixStream::pair().expect("a pair");
        let (tell, told) = mpsc::channel();
        let watcher =
            Watcher::start(cell, grace, move || over, move || tell.send(()).expect("the test waits"));
        (host, watcher.expect("a thread"), told)
    }

    #[test]
    fn a_host_that_is_gone_ends_the_process() {
        let (host, watcher, told) = watcher(Duration::ZERO, false);
        drop(host);
        told.recv_timeout(PATIENCE).expect("the end");
        drop(watcher);
    }

    #[test]
    fn kept_it_outlives_its_handle() {
        let (host, watcher, told) = watcher(Duration::from_millis(1), false);
        watcher.keep();
        drop(host);
        told.recv_timeout(PATIENCE).expect("the end");
    }

    #[test]
    fn stopped_in_time_it_does_nothing() {
        let (host, watcher, told) = watcher(PATIENCE, false);
        drop(host);
        drop(watcher);
        told.recv_timeout(PATIENCE).expect_err("the thread has dropped its sender unused");
    }

    #[test]
    fn data_and_a_polite_end_do_not_end_the_process() {
        let (mut host, watcher, told) = watcher(Duration::ZERO, true);
        io::Write::write_all(&mut host, b"frames").expect("room");
        drop(host);
        told.recv_timeout(PATIENCE).expect_err("the thread has dropped its sender unused");
        drop(watcher);
    }
}
