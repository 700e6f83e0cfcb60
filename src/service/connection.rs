//! A connection as its users hold it: what clients call over.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use super::scope::Scope;
use super::{Client, Renewal, Session};
use crate::driver::Calls;
use crate::session::{CloseReason, Metadata};

/// A connection with a peer: an independent conversation within a session. Clones are the same connection.
///
/// The root connection comes with the session and lives as long. Virtual ones are opened on the session by either side, and
/// each has calls, channels and limits of its own. A virtual connection that this side has opened closes when the last of
/// its handles, clients and channels is dropped.
#[derive(Clone)]
pub struct Connection {
    session: Session,
    id: u32,
    _held: Option<Arc<Held>>,
    /// Gives calls another session when this one has ended.
    renewal: Option<Arc<dyn Renewal>>,
    /// What its calls take over from the one that a handler answers, if it is the handler's.
    scope: Option<Arc<Scope>>,
}

/// A virtual connection that somebody holds on to.
struct Held {
    calls: Arc<dyn Calls>,
    id: u32,
    /// Whether it closes when nobody does any more.
    closes: bool,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.calls.release_connection(self.id, self.closes);
    }
}

impl Connection {
    /// The root connection of a session.
    pub(super) fn root(session: Session) -> Self {
        Self { session, id: 0, _held: None, renewal: None, scope: None }
    }

    /// The root connection of a session, whose calls go on over others.
    pub(super) fn renewed(session: Session, renewal: Arc<dyn Renewal>) -> Self {
        Self { renewal: Some(renewal), ..Self::root(session) }
    }

    /// The connection that calls go over now, where that may change.
    pub(super) fn current(&self) -> Option<Self> {
        self.renewal.as_ref().map(|renewal| self.over(renewal.current()))
    }

    /// The same connection over another session.
    pub(super) fn over(&self, calls: Arc<dyn Calls>) -> Self {
        Self { id: self.id, renewal: self.renewal.clone(), ..Self::root(Session::new(calls)) }
    }

    /// What gives calls another session, if anything does.
    #[inline]
    pub(super) fn renewal(&self) -> Option<&dyn Renewal> {
        self.renewal.as_deref()
    }

    /// Whether it has calls over it take something over from another, or go on over another session.
    #[inline]
    pub(super) fn concerns_calls(&self) -> bool {
        self.renewal.is_some() || self.scope.is_some()
    }

    /// A connection that its session keeps, whoever holds this.
    pub(super) fn kept_by_session(session: Session, id: u32) -> Self {
        Self { id, ..Self::root(session) }
    }

    /// The same connection for a handler, whose calls over it take over what is in its scope.
    pub(super) fn scoped(self, scope: Option<Scope>) -> Self {
        Self { scope: scope.map(Arc::new), ..self }
    }

    /// What calls over it take over from the one that a handler answers, if anything.
    #[inline]
    pub(super) fn scope(&self) -> Option<&Arc<Scope>> {
        self.scope.as_ref()
    }

    /// A virtual connection that was opened or accepted here. It `closes` with the last of its handles.
    pub(super) fn held(session: Session, id: u32, closes: bool) -> Self {
        let held = Held { calls: Arc::clone(session.shared_calls()), id, closes };
        Self { id, _held: Some(Arc::new(held)), ..Self::root(session) }
    }

    #[inline]
    pub(super) fn calls(&self) -> &dyn Calls {
        self.session.calls()
    }

    pub(crate) fn shared_calls(&self) -> &Arc<dyn Calls> {
        self.session.shared_calls()
    }

    /// The session that it belongs to.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Its number in its session; the root's is 0. No number is used twice.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Whether it came with the session.
    pub fn is_root(&self) -> bool {
        self.id == 0
    }

    /// What the peer said when it took this connection, if this side has opened it.
    pub fn metadata(&self) -> Metadata {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match self.calls().poll_connection(self.id, &mut cx) {
            Poll::Ready(Ok(metadata)) => metadata,
            Poll::Ready(Err(_)) | Poll::Pending => Metadata::new(),
        }
    }

    /// A client for a service of the peer on this connection. Whether the peer has it shows at the first call.
    pub fn client<C: Client>(&self) -> C {
        C::new(self.clone())
    }

    /// Whether it has not ended.
    pub fn is_open(&self) -> bool {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        self.calls().poll_connection_over(self.id, &mut cx).is_pending()
    }

    /// Waits for the end of the connection and says why it came.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped.
    pub async fn closed(&self) -> CloseReason {
        poll_fn(|cx| self.calls().poll_connection_over(self.id, cx)).await
    }

    /// Ends a virtual connection at once: calls in flight end as disconnected, and so do channels. The root ends with its
    /// session only, so this does nothing to it.
    pub fn close(&self) {
        self.calls().close_connection(self.id);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
