//! What a driver asks of a service, and what it hands it: requests and the duty to answer.

use std::sync::Arc;
use std::time::Instant;

use super::{Calls, Handler, Slots};
use crate::codec::Body;
use crate::link::Buffer;
use crate::session::{Failure, Metadata, Method};

/// A service, erased: what the service layer implements and a driver calls.
pub(crate) trait Dispatch: Send + Sync + 'static {
    /// The method with this ID, if the service has it.
    fn method(&self, id: u64) -> Option<&'static Method>;

    /// Starts the handler of a request. Undecodable arguments and unknown methods are answered here and
    /// give no handler.
    fn dispatch(&self, request: Request, slots: &mut Slots) -> Option<Handler>;

    /// Whether this method's handler is to run as a task of its own from the start.
    fn spawns(&self, id: u64) -> bool {
        let _unused = id;
        false
    }
}

/// A call that arrived and must be answered.
pub(crate) struct Request {
    /// Which method is called.
    pub(crate) method: u64,
    /// The encoded arguments, with whatever precedes them.
    pub(crate) payload: Buffer,
    /// Where in `payload` the arguments begin.
    pub(crate) body: usize,
    /// What the caller attached.
    pub(crate) metadata: Metadata,
    /// When the caller stops waiting.
    pub(crate) deadline: Option<Instant>,
    /// The duty to answer.
    pub(crate) reply: Reply,
}

impl Request {
    /// The encoded arguments.
    pub(crate) fn arguments(&self) -> &[u8] {
        self.payload.get(self.body..).unwrap_or_default()
    }
}

/// The duty to answer one request. Dropped unanswered, it answers that the handler gave no reply, or that
/// it panicked if the drop is part of a panic.
pub(crate) struct Reply {
    session: Arc<dyn Calls>,
    id: u64,
    answered: bool,
}

impl Reply {
    /// The duty to answer request `id` of `session`.
    pub(crate) fn new(session: Arc<dyn Calls>, id: u64) -> Self {
        Self { session, id, answered: false }
    }

    /// The request's ID on its connection.
    pub(crate) fn request_id(&self) -> u64 {
        self.id
    }

    /// The session that the request came on; calls can be made back on it.
    pub(crate) fn session(&self) -> &Arc<dyn Calls> {
        &self.session
    }

    /// Answers with a result.
    pub(crate) fn respond(mut self, body: &dyn Body) {
        self.answered = true;
        self.session.respond(self.id, Ok(body));
    }

    /// Answers with a failure.
    pub(crate) fn fail(mut self, failure: Failure) {
        self.answered = true;
        self.session.respond(self.id, Err(failure));
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.answered {
            let failure =
                if std::thread::panicking() { Failure::HandlerPanicked } else { Failure::Cancelled };
            self.session.respond(self.id, Err(failure));
        }
    }
}
