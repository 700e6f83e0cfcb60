//! A session as its users hold it.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Connection, Descriptor, Renewal, park_on};
use crate::driver::Calls;
use crate::link::{Peer, Transport};
use crate::session::{CloseReason, Negotiated, SessionStats};

/// How long calls in flight have when nobody holds their session any more.
const LEFT_ALONE: Duration = Duration::from_secs(5);

/// A running session with a peer: what clients are made from. Clones are the same session, and so are the sessions
/// of its clients.
///
/// When the last of those is dropped the session ends politely: calls in flight have some seconds to finish.
/// [`detach`](Self::detach) leaves it to the peer instead. What a handler is given through its context does not count.
#[derive(Clone)]
pub struct Session {
    calls: Arc<dyn Calls>,
    keeper: Option<Arc<Keeper>>,
}

/// Ends a session politely when nobody holds it any more.
struct Keeper {
    calls: Arc<dyn Calls>,
    detached: AtomicBool,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if !self.detached.load(Ordering::Relaxed) {
            self.calls.goodbye(Some(LEFT_ALONE));
        }
    }
}

impl Session {
    /// The session that a driver runs, for somebody who does not keep it open.
    pub(crate) fn new(calls: Arc<dyn Calls>) -> Self {
        Self { calls, keeper: None }
    }

    /// The session that a driver runs, for its user.
    pub(crate) fn kept(calls: Arc<dyn Calls>) -> Self {
        let keeper = Keeper { calls: Arc::clone(&calls), detached: AtomicBool::new(false) };
        Self { calls, keeper: Some(Arc::new(keeper)) }
    }

    /// Leaves the session open until the peer ends it or somebody calls [`close`](Self::close), whoever holds it.
    pub fn detach(self) {
        if let Some(keeper) = &self.keeper {
            keeper.detached.store(true, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(super) fn calls(&self) -> &dyn Calls {
        &*self.calls
    }

    pub(crate) fn shared_calls(&self) -> &Arc<dyn Calls> {
        &self.calls
    }

    /// Its root connection, whose calls go on over others when this session has ended.
    pub(crate) fn renewed_by(&self, renewal: Arc<dyn Renewal>) -> Connection {
        Connection::renewed(Self::new(Arc::clone(&self.calls)), renewal)
    }

    /// Its root connection.
    pub fn root(&self) -> Connection {
        Connection::root(self.clone())
    }

    /// A client for a service of the peer. Whether the peer has it shows at the first call.
    pub fn client<C: Client>(&self) -> C {
        self.root().client()
    }

    /// What carries its calls, and why that is not shared memory if it was to be.
    pub fn transport(&self) -> Transport {
        self.calls.transport()
    }

    /// Who is at the other end.
    pub fn peer(&self) -> Peer {
        self.calls.peer()
    }

    /// What both sides agreed on, once they have.
    pub fn negotiated(&self) -> Option<Arc<Negotiated>> {
        self.calls.negotiated()
    }

    /// What it has done so far, and what it has under way: calls, channels, frames, wake-ups. After the end it says how that
    /// was at the end.
    pub fn stats(&self) -> SessionStats {
        self.calls.stats()
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

    /// Sleeps, with this thread, until the session has ended, and says why. Somebody else looks after the session.
    pub(crate) fn wait_closed(&self) -> CloseReason {
        park_on(self.closed())
    }

    /// Ends the session politely: new calls are refused, and it is over when those in flight have finished.
    pub fn goodbye(&self) {
        self.calls.goodbye(None);
    }

    /// Like [`goodbye`](Self::goodbye), but ends the session when `patience` is over, whatever is still in flight.
    pub fn goodbye_within(&self, patience: Duration) {
        self.calls.goodbye(Some(patience));
    }

    /// Ends the session at once; calls in flight end as disconnected.
    pub fn close(&self) {
        self.calls.close();
    }

    /// The peer is known to be dead: what it had completely sent is taken in, then the session ends.
    #[cfg(feature = "tokio")]
    pub(crate) fn peer_died(&self) {
        self.calls.peer_died();
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("close_reason", &self.close_reason()).finish_non_exhaustive()
    }
}

/// A client: a connection, seen as one service of the peer. `#[transom::service]` generates two for each
/// service, an asynchronous and a blocking one.
pub trait Client: Clone + Send + Sync + 'static {
    /// The service that it calls.
    const DESCRIPTOR: &'static Descriptor;

    /// A client that calls over `connection`.
    fn new(connection: Connection) -> Self;

    /// The connection that it calls over.
    fn connection(&self) -> &Connection;

    /// The session of that connection.
    fn session(&self) -> &Session {
        self.connection().session()
    }
}
