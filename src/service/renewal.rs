//! Calls that go on over another session when theirs has ended.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use crate::driver::Calls;
use crate::session::CloseReason;

/// Gives the calls of a connection another session when theirs has ended: what reconnects implements.
pub(crate) trait Renewal: Send + Sync + 'static {
    /// The session that calls go over now.
    fn current(&self) -> Arc<dyn Calls>;

    /// Another session than the `spent` one, once there is one, but not after `until`. Whoever waits for it waits for the
    /// same one.
    fn renew(&self, spent: Arc<dyn Calls>, until: Option<Instant>) -> Renewing<'_>;

    /// The same, on this thread.
    fn renew_blocking(&self, spent: &Arc<dyn Calls>, until: Option<Instant>) -> Renewed;
}

/// What comes of asking for another session.
pub(crate) enum Renewed {
    /// There is one.
    Session(Arc<dyn Calls>),
    /// There is none because one side refused it, which is how it ended.
    Refused(CloseReason),
    /// There is none in time, or will be none.
    None,
}

/// A session on its way.
pub(crate) type Renewing<'a> = Pin<Box<dyn Future<Output = Renewed> + Send + 'a>>;
