//! A cell's session with its host.

use super::CellError;
use crate::service::{Client, Session};
use crate::session::CloseReason;

/// A cell's session with its host. When it and all clients of the host are dropped, the session ends politely.
#[derive(Clone, Debug)]
pub struct Attached {
    session: Session,
}

impl Attached {
    pub(super) fn new(session: Session) -> Self {
        Self { session }
    }

    /// The session with the host.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// A client for a service of the host.
    pub fn client<C: Client>(&self) -> C {
        self.session.client()
    }

    /// Waits until the session has ended: `Ok` if either side wanted it to.
    ///
    /// # Errors
    /// [`CellError::HostGone`] if the host ended without a goodbye, [`CellError::Session`] if the session failed.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped.
    pub async fn ended(&self) -> Result<(), CellError> {
        outcome(self.session.closed().await)
    }

    /// Like [`ended`](Self::ended), on this thread, which must not be one that a runtime needs.
    ///
    /// # Errors
    /// The same.
    pub fn ended_blocking(&self) -> Result<(), CellError> {
        outcome(self.session.wait_closed())
    }
}

fn outcome(reason: CloseReason) -> Result<(), CellError> {
    match reason {
        CloseReason::Local | CloseReason::Goodbye => Ok(()),
        CloseReason::PeerDied => Err(CellError::HostGone),
        reason => Err(CellError::Session(reason)),
    }
}
