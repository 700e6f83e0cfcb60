//! Ends the process of a cell whose host is gone, whatever its other threads are doing.

use std::io;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};

/// Watches `lifeline` for as long as the process lives. If it still does `grace` after the lifeline has hung up, calls
/// `end`.
pub(super) fn start(
    lifeline: UnixStream,
    grace: Duration,
    end: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let watch = move || {
        if hung_up(&lifeline) {
            thread::sleep(grace);
            end();
        }
    };
    thread::Builder::new().name(String::from("transom-lifeline")).spawn(watch).map(drop)
}

/// Sleeps until the host is gone; false if that cannot be known.
fn hung_up(lifeline: &UnixStream) -> bool {
    loop {
        // A hang-up is told even if it is not asked for; what the host writes is the session's business.
        let mut watched = [PollFd::new(lifeline, PollFlags::RDHUP)];
        match rustix::event::poll(&mut watched, None) {
            Ok(_) if !watched[0].revents().is_empty() => return true,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                tracing::error!(target: "transom::cell", %error, "the host's lifeline cannot be watched");
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::mpsc::{self, RecvTimeoutError};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn watched(grace: Duration) -> (UnixStream, mpsc::Receiver<()>) {
        let (host, cell) = UnixStream::pair().expect("a pair");
        let (tell, told) = mpsc::channel();
        start(cell, grace, move || tell.send(()).expect("the test waits")).expect("a thread");
        (host, told)
    }

    #[test]
    fn a_host_that_is_gone_ends_the_process() {
        let (host, told) = watched(Duration::from_millis(1));
        drop(host);
        told.recv_timeout(PATIENCE).expect("the end");
    }

    #[test]
    fn data_does_not_end_the_process() {
        let (mut host, told) = watched(Duration::ZERO);
        host.write_all(b"frames").expect("room");
        let waited = told.recv_timeout(Duration::from_millis(50));
        assert_eq!(waited, Err(RecvTimeoutError::Timeout));
        drop(host);
        told.recv_timeout(PATIENCE).expect("the end");
    }
}
