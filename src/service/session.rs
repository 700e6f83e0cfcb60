//! A session as its users hold it.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

use super::Descriptor;
use crate::driver::Calls;
use crate::session::{CloseReason, Negotiated};

/// A running session with a peer: what clients are made from. Clones are the same session.
///
/// The session runs for as long as it is open, not for as long as somebody holds it.
#[derive(Clone)]
pub struct Session {
    calls: Arc<dyn Calls>,
}

impl Session {
    /// The session that a driver runs.
    pub(crate) fn new(calls: Arc<dyn Calls>) -> Self {
        Self { calls }
    }

    #[inline]
    pub(super) fn calls(&self) -> &dyn Calls {
        &*self.calls
    }

    /// A client for a service of the peer. Whether the peer has it shows at the first call.
    pub fn client<C: Client>(&self) -> C {
        C::new(self.clone())
    }

    /// What both sides agreed on, once they have.
    pub fn negotiated(&self) -> Option<Arc<Negotiated>> {
        self.calls.negotiated()
    }

    /// Whether the session has not ended.
    pub fn is_open(&self) -> bool {
        self.close_reason().is_none()
    }

    /// Why the session ended, if it has.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.calls.close_reason()
    }

    /// Waits for the session's end and says why it came.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped.
    pub async fn closed(&self) -> CloseReason {
        poll_fn(|cx| self.calls.poll_closed(cx)).await
    }

    /// Ends the session politely: new calls are refused, and it is over when those in flight have finished.
    pub fn goodbye(&self) {
        self.calls.goodbye();
    }

    /// Ends the session at once; calls in flight end as disconnected.
    pub fn close(&self) {
        self.calls.close();
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("close_reason", &self.close_reason()).finish_non_exhaustive()
    }
}

/// A client: a session, seen as one service of the peer. `#[transom::service]` generates two for each
/// service, an asynchronous and a blocking one.
pub trait Client: Clone + Send + Sync + 'static {
    /// The service that it calls.
    const DESCRIPTOR: &'static Descriptor;

    /// A client that calls over `session`.
    fn new(session: Session) -> Self;

    /// The session that it calls over.
    fn session(&self) -> &Session;
}
