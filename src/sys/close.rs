//! Closing what a peer has passed, which takes as long as the peer likes: the last close of a socket that lingers waits,
//! and so does that of a file in a file system that the peer itself serves.

use std::os::fd::OwnedFd;
use std::thread;

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
