//! A connection that the peer wants to open, and that this side is to decide about.

use std::sync::Arc;

use super::{Calls, Dispatch};
use crate::session::{ConnectionSettings, Metadata, OpenRequest, RejectReason, Rejection};

/// A connection that the peer wants to open. Dropped undecided it is not taken, with a warning.
pub(crate) struct Opening {
    calls: Arc<dyn Calls>,
    request: OpenRequest,
    decided: bool,
}

impl Opening {
    /// What the peer of `calls` has asked for.
    pub(super) fn new(calls: Arc<dyn Calls>, request: OpenRequest) -> Self {
        Self { calls, request, decided: false }
    }

    /// The session.
    pub(crate) fn calls(&self) -> &Arc<dyn Calls> {
        &self.calls
    }

    /// What the peer asks for.
    pub(crate) fn request(&self) -> &OpenRequest {
        &self.request
    }

    /// Takes it: `dispatch` serves on it. Its ID, unless it is over by now; it is the taker's to release.
    pub(crate) fn accept(
        mut self,
        metadata: &Metadata,
        settings: Option<ConnectionSettings>,
        dispatch: Arc<dyn Dispatch>,
    ) -> Option<u32> {
        self.decided = true;
        let id = self.request.id;
        self.calls.accept_connection(id, metadata, settings, dispatch).then_some(id)
    }

    /// Does not take it.
    pub(crate) fn reject(mut self, rejection: &Rejection) {
        self.decided = true;
        self.calls.reject_connection(self.request.id, rejection);
    }

    /// Nobody here takes connections.
    pub(crate) fn has_no_acceptor(self) {
        self.reject(&Rejection::new(RejectReason::NoAcceptor));
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if !self.decided {
            let OpenRequest { id, service, .. } = &self.request;
            tracing::warn!(target: "transom::session", id, service, "nobody has decided about a connection");
            let rejection = Rejection::new(RejectReason::NoAcceptor);
            self.calls.reject_connection(*id, &rejection);
        }
    }
}
