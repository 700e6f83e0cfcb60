//! What clients and handlers ask of a running session.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::Dispatch;
use crate::link::{Peer, Transport};
use crate::session::{
    Answer, CallId, CallRequest, ChannelId, CloseReason, ConnectionEnd, ConnectionSettings, Failure, Gone,
    ItemRun, Items, Metadata, Negotiated, OpenRefused, Outcome, Received, Rejection, SessionStats, Started,
};

/// A running session, erased: what a driver implements, and clients, handlers and channels use.
pub(crate) trait Calls: Send + Sync + 'static {
    /// Sends a call as soon as its turn has come and there is room for it. Ready with the request's ID once
    /// the call is on its way, or with the answer if it can never be. A waiting caller must poll or `abandon`.
    fn poll_start(
        &self,
        call: &CallRequest<'_>,
        ticket: &mut Option<u64>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Started, Answer>>;

    /// Sends a call with which nothing goes along, and looks for its answer at once. Gives its ID as soon as it is on its way; a
    /// caller that waits for that must poll or `abandon`.
    fn poll_call(
        &self,
        call: &CallRequest<'_>,
        ticket: &mut Option<u64>,
        cx: &mut Context<'_>,
    ) -> (Option<CallId>, Poll<Answer>);

    /// Looks for the answer to a request that was started; drains the link for itself first.
    fn poll_answer(&self, call: CallId, cx: &mut Context<'_>) -> Poll<Answer>;

    /// The caller of a started request is gone or out of time: cancels it, unless it is finished.
    fn cancel(&self, call: CallId);

    /// A caller on this connection that waited in `poll_start` is gone.
    fn abandon(&self, connection: u32, ticket: u64);

    /// Starts a call on this thread, which sleeps until that can be.
    ///
    /// # Errors
    /// The answer, if the call can never be sent.
    fn start_blocking(&self, call: &CallRequest<'_>) -> Result<Started, Answer>;

    /// Waits, with this thread, for the answer to a request that was started.
    fn answer_blocking(&self, call: CallId) -> Answer;

    /// A call with which nothing goes along, on this thread, which sleeps until the answer is there. No runtime is needed or used.
    fn call_blocking(&self, call: &CallRequest<'_>) -> Answer;

    /// Answers a request; the ID of the first channel that the answer declares, if it does: see
    /// [`Session::respond`](crate::session::Session::respond).
    fn respond(&self, call: CallId, result: Result<Outcome<'_>, Failure>) -> Option<u64>;

    /// The bytes of credit for sending on a channel: how large a batch may be.
    ///
    /// # Errors
    /// The channel carries no more.
    fn credit(&self, channel: ChannelId) -> Result<u64, Gone>;

    /// Sends items as soon as there is credit and room. Without a waker it only tries.
    fn poll_send(
        &self,
        channel: ChannelId,
        run: &ItemRun<'_>,
        waker: Option<&Waker>,
    ) -> Poll<Result<(), Gone>>;

    /// Sends items, with this thread, which sleeps until there is credit and room.
    ///
    /// # Errors
    /// The channel carries no more.
    fn send_blocking(&self, channel: ChannelId, run: &ItemRun<'_>) -> Result<(), Gone>;

    /// Says that items that cost `consumed` were taken by the application since it last asked, and moves what has arrived
    /// to `into`. Without a waker it only looks.
    fn poll_receive(
        &self,
        channel: ChannelId,
        consumed: u64,
        into: &mut VecDeque<Items>,
        waker: Option<&Waker>,
    ) -> Poll<Result<Received, Gone>>;

    /// Like [`poll_receive`](Self::poll_receive), with this thread, which sleeps until something is there.
    ///
    /// # Errors
    /// The channel carries no more.
    fn receive_blocking(
        &self,
        channel: ChannelId,
        consumed: u64,
        into: &mut VecDeque<Items>,
    ) -> Result<Received, Gone>;

    /// Ready when the receiver of a channel takes no more.
    fn poll_gone(&self, channel: ChannelId, waker: &Waker) -> Poll<Gone>;

    /// The application has sent all that it wants to: the channel's end follows its items.
    fn finish(&self, channel: ChannelId, metadata: &Metadata);

    /// The application lets go of its end of a channel at once.
    fn reset(&self, channel: ChannelId);

    /// Asks the peer for a connection, on which `dispatch` serves; its ID.
    ///
    /// # Errors
    /// Nothing was asked for.
    fn open_connection(
        &self,
        service: &str,
        metadata: &Metadata,
        settings: Option<ConnectionSettings>,
        dispatch: Arc<dyn Dispatch>,
    ) -> Result<u32, OpenRefused>;

    /// Ready when the peer has taken a connection, with what it said, or has not.
    fn poll_connection(&self, id: u32, cx: &mut Context<'_>) -> Poll<Result<Metadata, ConnectionEnd>>;

    /// Waits, with this thread, for what [`poll_connection`](Self::poll_connection) gives.
    ///
    /// # Errors
    /// The peer has not taken it.
    fn wait_connection(&self, id: u32) -> Result<Metadata, ConnectionEnd>;

    /// Takes a connection that the peer has asked for; false if it is over by now.
    fn accept_connection(
        &self,
        id: u32,
        metadata: &Metadata,
        settings: Option<ConnectionSettings>,
        dispatch: Arc<dyn Dispatch>,
    ) -> bool;

    /// Does not take a connection that the peer has asked for.
    fn reject_connection(&self, id: u32, rejection: &Rejection);

    /// Ends a virtual connection at once.
    fn close_connection(&self, id: u32);

    /// Nobody asks any more what becomes of a connection. If it `closes`, it is over now.
    fn release_connection(&self, id: u32, closes: bool);

    /// Ready once a connection is over.
    fn poll_connection_over(&self, id: u32, cx: &mut Context<'_>) -> Poll<CloseReason>;

    /// What carries the frames.
    fn transport(&self) -> Transport;

    /// Who is at the other end.
    fn peer(&self) -> Peer;

    /// What both sides agreed on, once they have.
    fn negotiated(&self) -> Option<Arc<Negotiated>>;

    /// What the session has done so far, and has under way.
    fn stats(&self) -> SessionStats;

    /// Why the session ended, if it has.
    fn close_reason(&self) -> Option<CloseReason>;

    /// Ready once the session has ended.
    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<CloseReason>;

    /// Ends the session politely: no new calls; over when what is in flight has finished, or `patience` has.
    fn goodbye(&self, patience: Option<Duration>);

    /// Ends the session at once.
    fn close(&self);

    /// The peer is known to be dead, whatever its lifeline says: what it had completely sent is taken in, then the
    /// session ends.
    fn peer_died(&self);
}
