//! One thin safe function for each system call. No policy here.

pub(crate) mod close;
pub(crate) mod cpu;
pub(crate) mod eventfd;
pub(crate) mod futex;
pub(crate) mod memfd;
pub(crate) mod peer;
pub(crate) mod pipe;
pub(crate) mod poll;
pub(crate) mod random;
pub(crate) mod scm;
pub(crate) mod socket;
pub(crate) mod tcp;
#[cfg(feature = "tokio")]
pub(crate) mod watch;
