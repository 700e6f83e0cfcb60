//! What a driver asks of a service, and what it hands it: requests and the duty to answer.

use std::sync::Arc;

use super::{Arrived, Calls, Handler, Opening, Slots};
use crate::link::Buffer;
use crate::session::{Attached, CallId, Failure, Lookup, Outcome};

/// A service, erased: what the service layer implements and a driver calls.
pub(crate) trait Dispatch: Send + Sync + 'static {
    /// What it does about calls of the method with this ID.
    fn lookup(&self, id: u64) -> Lookup;

    /// Starts the handler of a request. Undecodable arguments and unknown methods are answered here and
    /// give no handler.
    fn dispatch(&self, request: Request, slots: &mut Slots) -> Option<Handler>;

    /// Whether this method's handler is to run as a task of its own from the start.
    fn spawns(&self, _id: u64) -> bool {
        false
    }

    /// Decides about a connection that the peer wants to open. Dropped undecided, it is not taken.
    fn open(&self, opening: Opening) {
        opening.has_no_acceptor();
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
    /// What came along, but for channels and descriptors.
    pub(crate) attached: Option<Box<Attached>>,
    /// The channels that the arguments declare and the descriptors in them, if there are any.
    pub(crate) arrived: Option<Box<Arrived>>,
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
    call: CallId,
    answered: bool,
}

impl Reply {
    /// The duty to answer request `call` of `session`.
    pub(crate) fn new(session: Arc<dyn Calls>, call: CallId) -> Self {
        Self { session, call, answered: false }
    }

    /// The request.
    pub(crate) fn call(&self) -> CallId {
        self.call
    }

    /// The session that the request came on; calls can be made back on it.
    pub(crate) fn session(&self) -> &Arc<dyn Calls> {
        &self.session
    }

    /// Answers with a result; the ID of the first channel that it declares, if it does.
    pub(crate) fn respond(mut self, outcome: Outcome<'_>) -> Option<u64> {
        self.answered = true;
        self.session.respond(self.call, Ok(outcome))
    }

    /// Answers with a failure.
    pub(crate) fn fail(mut self, failure: Failure) {
        self.answered = true;
        self.session.respond(self.call, Err(failure));
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.answered {
            let failure =
                if std::thread::panicking() { Failure::HandlerPanicked } else { Failure::Cancelled };
            self.session.respond(self.call, Err(failure));
        }
    }
}
