//! Closing what a peer has passed, which takes as long as the peer likes: the last close of a socket that lingers waits,
//! and so does that of a file in a file system that the peer itself serves. And closing what must not be closed yet.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::poll;

/// Connections that are held after their end, at most: each has a thread.
const HELD: usize = 64;

/// Closes descriptors on a thread of their own.
pub(crate) fn elsewhere(descriptors: Vec<OwnedFd>) {
    if descriptors.is_empty() {
        return;
    }
    for descriptor in &descriptors {
        // Most are no sockets, or do not linger; one that did need not keep a thread.
        let _not_a_socket = rustix::net::sockopt::set_socket_linger(descriptor, None);
    }
    // Where there is no thread to be had they are closed here.
    drop(thread::Builder::new().name("transom-close".to_owned()).spawn(move || drop(descriptors)));
}

/// Holds a connection, over which this side sends no more, until the peer does not either, or `patience` is over. Where
/// too many are held, it is not.
pub(crate) fn when_ended(connection: Arc<OwnedFd>, patience: Duration) {
    static HOLDING: AtomicUsize = AtomicUsize::new(0);
    struct Held;
    impl Drop for Held {
        fn drop(&mut self) {
            HOLDING.fetch_sub(1, Ordering::Relaxed);
        }
    }
    let held = Held;
    if HOLDING.fetch_add(1, Ordering::Relaxed) >= HELD || poll::wait_for_end(&connection, Instant::now()) {
        return;
    }
    let until = Instant::now() + patience;
    let hold = move || {
        let _held = held;
        while !poll::wait_for_end(&connection, until) && Instant::now() < until {}
    };
    // Where there is no thread to be had it is closed here.
    drop(thread::Builder::new().name("transom-close".to_owned()).spawn(hold));
}

/// Descriptors that a peer has passed, of which nothing is known yet. Dropped, they are closed elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Passed(Vec<OwnedFd>);

impl Passed {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, in the order in which they came.
    pub(crate) fn as_slice(&self) -> &[OwnedFd] {
        &self.0
    }

    /// Nothing in them makes closing wait.
    pub(crate) fn trusted(mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.0)
    }
}

impl Extend<OwnedFd> for Passed {
    fn extend<I: IntoIterator<Item = OwnedFd>>(&mut self, descriptors: I) {
        self.0.extend(descriptors);
    }
}

impl Drop for Passed {
    fn drop(&mut self) {
        elsewhere(std::mem::take(&mut self.0));
    }
}
