//! Whom a side lets in: asked once its peer has introduced itself, before there is a session.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use super::door::Door;
use crate::link::Peer;
use crate::service::Session;
use crate::session::{Negotiated, RejectReason, Rejection};

/// What decides about a peer that has introduced itself.
#[derive(Clone, Default)]
pub(super) struct Policy {
    /// The listener that the peer has come to, if it has come to one.
    door: Option<Arc<Door>>,
    /// What the user of this side thinks of the peer.
    ask: Option<Arc<Ask>>,
}

type Ask = dyn Fn(Peer, Arc<Negotiated>) -> Asked + Send + Sync;
type Asked = Pin<Box<dyn Future<Output = Result<(), Rejection>> + Send>>;

impl Policy {
    /// Asks `ask`.
    pub(super) fn new<F>(ask: impl Fn(Peer, Arc<Negotiated>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), Rejection>> + Send + 'static,
    {
        Self { door: None, ask: Some(Arc::new(move |peer, agreed| Box::pin(ask(peer, agreed)))) }
    }

    /// The same, behind the door of a listener.
    pub(super) fn behind(self, door: &Arc<Door>) -> Self {
        Self { door: Some(Arc::clone(door)), ..self }
    }

    /// Whether a peer that comes now is asked about. Who comes just before a listener's door is closed is let in, and has
    /// to leave again.
    pub(super) fn asks(&self) -> bool {
        self.ask.is_some() || self.is_closing()
    }

    fn is_closing(&self) -> bool {
        self.door.as_ref().is_some_and(|door| door.is_closing())
    }

    /// Whether the peer of `session` is let in, with whom `agreed` would hold; `None` if the session is over meanwhile.
    pub(super) async fn decide(
        &self,
        session: &Session,
        agreed: Arc<Negotiated>,
    ) -> Option<Result<(), Rejection>> {
        if self.is_closing() {
            return Some(Err(RejectReason::Draining.into()));
        }
        let Some(ask) = &self.ask else { return Some(Ok(())) };
        let (mut asked, mut over) = (ask(session.peer(), agreed), pin!(session.closed()));
        poll_fn(|cx| match over.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => asked.as_mut().poll(cx).map(Some),
        })
        .await
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("asks", &self.ask.is_some()).finish_non_exhaustive()
    }
}
