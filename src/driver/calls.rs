//! What clients and handlers ask of a running session.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::codec::Body;
use crate::link::{Peer, Transport};
use crate::session::{Answer, CallRequest, CloseReason, Failure, Negotiated};

/// A running session, erased: what a driver implements, and clients and replies use.
pub(crate) trait Calls: Send + Sync + 'static {
    /// Sends a call as soon as its turn has come and there is room for it. Ready with the request's ID once
    /// the call is on its way, or with the answer if it can never be. A waiting caller must poll or `abandon`.
    fn poll_start(
        &self,
        call: &CallRequest<'_>,
        ticket: &mut Option<u64>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<u64, Answer>>;

    /// Looks for the answer to a request that was started; drains the link for itself first.
    fn poll_answer(&self, id: u64, cx: &mut Context<'_>) -> Poll<Answer>;

    /// The caller of a started request is gone or out of time: cancels it, unless it is finished.
    fn cancel(&self, id: u64);

    /// A caller that waited in `poll_start` is gone.
    fn abandon(&self, ticket: u64);

    /// A call on this thread, which sleeps until the answer is there. No runtime is needed or used.
    fn call_blocking(&self, call: &CallRequest<'_>) -> Answer;

    /// Answers a request.
    fn respond(&self, id: u64, result: Result<&dyn Body, Failure>);

    /// What carries the frames.
    fn transport(&self) -> Transport;

    /// Who is at the other end.
    fn peer(&self) -> Peer;

    /// What both sides agreed on, once they have.
    fn negotiated(&self) -> Option<Arc<Negotiated>>;

    /// Why the session ended, if it has.
    fn close_reason(&self) -> Option<CloseReason>;

    /// Ready once the session has ended.
    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<CloseReason>;

    /// Ends the session politely: no new calls; over when those in flight have finished, or `patience` has.
    fn goodbye(&self, patience: Option<Duration>);

    /// Ends the session at once.
    fn close(&self);

    /// The peer is known to be dead, whatever its lifeline says: what it had completely sent is taken in, then the
    /// session ends.
    fn peer_died(&self);
}
