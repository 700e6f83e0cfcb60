//! What callers, handlers and drivers ask of a session, each handed to the connection that it is about.

use std::collections::VecDeque;
use std::task::{Poll, Waker};
use std::time::Instant;

use super::channels::{Gone, ItemRun, Items, Received};
use super::connection::ConnectionEnd;
use super::machine::{Farewell, Phase};
use super::outgoing::disconnected;
use super::{
    Answer, CallId, CallRequest, ChannelId, CloseReason, Failure, Metadata, Outcome, Session, StartCall, Work,
};
use crate::link::Transmit;

impl Session {
    /// Sends a request if it may be sent now.
    #[inline]
    pub(crate) fn start_call(
        &mut self,
        call: &CallRequest<'_>,
        now: impl FnOnce() -> Instant,
        out: &mut dyn Transmit,
    ) -> StartCall {
        match &self.phase {
            Phase::Open { farewell: Farewell::None, .. } => {}
            Phase::Open { farewell, .. } => {
                let ours = matches!(farewell, Farewell::Said | Farewell::Answered);
                let reason = if ours { CloseReason::Local } else { CloseReason::Goodbye };
                return StartCall::Refused(disconnected(&reason, false));
            }
            Phase::Opening(_) => return StartCall::Busy,
            Phase::Over { reason, .. } => return StartCall::Refused(disconnected(reason, false)),
        }
        self.liveness.busy = true;
        let Some(connection) = self.connections.get(call.connection) else {
            return StartCall::Refused(disconnected(&CloseReason::Local, false));
        };
        match connection.end() {
            None if connection.is_open() => connection.start_call(call, now, &mut self.io, out),
            Some(ConnectionEnd::Closed(reason)) => StartCall::Refused(disconnected(reason, false)),
            Some(ConnectionEnd::Rejected(_)) | None => {
                StartCall::Refused(disconnected(&CloseReason::Goodbye, false))
            }
        }
    }

    /// Registers a caller that was told to wait; gives its answer instead if its time is over.
    pub(crate) fn wait_turn(
        &mut self,
        call: &CallRequest<'_>,
        ticket: &mut Option<u64>,
        waker: &Waker,
    ) -> Option<Answer> {
        match self.connections.get(call.connection) {
            Some(connection) => connection.wait_turn(call, ticket, waker, &mut self.io),
            None => Some(disconnected(&CloseReason::Local, false)),
        }
    }

    /// A caller waits for its turn no more, because it has had it or is gone.
    pub(crate) fn abandon(&mut self, connection: u32, ticket: u64) {
        if let Some(known) = self.connections.get(connection) {
            known.abandon(ticket, &mut self.io);
            self.connections.reap(connection);
        }
    }

    /// The answer to a request, if it is here; else whom to wake when it is, or nobody if its caller is awake.
    #[inline]
    pub(crate) fn poll_answer(&mut self, call: CallId, waker: Option<&Waker>) -> Poll<Answer> {
        let Some(connection) = self.connections.get(call.connection) else {
            return Poll::Ready(Answer::Failure(Failure::Cancelled));
        };
        let answer = connection.poll_answer(call.id, waker, &mut self.io);
        if answer.is_ready() && call.connection != 0 {
            self.connections.reap(call.connection);
        }
        answer
    }

    /// The caller of a request is gone: the peer is told, and its answer is dropped when it comes.
    pub(crate) fn cancel(&mut self, call: CallId, out: &mut dyn Transmit) {
        if let Some(connection) = self.connections.get(call.connection) {
            connection.cancel(call.id, &mut self.io, out);
            self.connections.reap(call.connection);
        }
    }

    /// Nobody will ever ask what is to be done for the peer: it is only called here. Connections that it asks for are
    /// rejected.
    pub(crate) fn leave_unattended(&mut self) {
        self.io.inbox.unattended = true;
    }

    /// Whether somebody asks what is to be done for the peer.
    pub(crate) fn is_attended(&self) -> bool {
        !self.io.inbox.unattended
    }

    /// What is to be done next for the peer; else whom to wake when there is something, or nobody if whoever serves is
    /// awake.
    #[inline]
    pub(crate) fn poll_work(&mut self, waker: Option<&Waker>) -> Poll<Work> {
        if let Some(work) = self.io.inbox.next() {
            return Poll::Ready(work);
        }
        if self.is_over() {
            return Poll::Ready(Work::Over);
        }
        self.io.inbox.wait(waker);
        Poll::Pending
    }

    /// Answers a request; the ID of the first channel that the answer declares. `None` if nothing is declared: the request
    /// has been answered, its connection is over, or what was to be the answer cannot be sent, and a failure is.
    #[inline]
    pub(crate) fn respond(
        &mut self,
        call: CallId,
        result: Result<Outcome<'_>, Failure>,
        out: &mut dyn Transmit,
    ) -> Option<u64> {
        self.connections.get(call.connection)?.respond(call.id, result, &mut self.io, out)
    }

    /// Whether a single call is about, on all connections together.
    #[inline]
    pub(crate) fn has_only_call(&self) -> bool {
        self.io.in_flight.calls <= 1 && self.connections.root.outgoing.has_one()
    }

    /// Whether a single channel is about, and no call.
    #[inline]
    pub(crate) fn has_only_channel(&self) -> bool {
        self.io.in_flight.channels + self.io.in_flight.calls <= 1
    }

    /// How much credit there is for sending on a channel.
    #[inline]
    pub(crate) fn credit(&mut self, channel: ChannelId, out: &dyn Transmit) -> Result<u64, Gone> {
        match self.connections.get(channel.connection) {
            Some(connection) => connection.channels.credit(channel.id, out),
            None => Err(Gone::Closed(CloseReason::Local)),
        }
    }

    /// Sends items on a channel if there is credit and room; else whom to wake when there may be, or nobody.
    #[inline]
    pub(crate) fn poll_send(
        &mut self,
        channel: ChannelId,
        run: &ItemRun<'_>,
        waker: Option<&Waker>,
        out: &mut dyn Transmit,
    ) -> Poll<Result<(), Gone>> {
        self.liveness.busy = true;
        let Some(connection) = self.connections.get(channel.connection) else {
            return Poll::Ready(Err(Gone::Closed(CloseReason::Local)));
        };
        connection.channels.send(channel.id, run, waker, &connection.limits, &mut self.io, out)
    }

    /// What has arrived on a channel: moved to `into`. The application has taken items that cost `consumed` since it last
    /// asked.
    #[inline]
    pub(crate) fn poll_receive(
        &mut self,
        channel: ChannelId,
        consumed: u64,
        into: &mut VecDeque<Items>,
        waker: Option<&Waker>,
        out: &mut dyn Transmit,
    ) -> Poll<Result<Received, Gone>> {
        let Some(connection) = self.connections.get(channel.connection) else {
            return Poll::Ready(Err(Gone::Closed(CloseReason::Local)));
        };
        connection.channels.receive(channel.id, consumed, into, waker, &mut self.io, out)
    }

    /// Ready when the receiver of a channel takes no more.
    pub(crate) fn poll_gone(&mut self, channel: ChannelId, waker: &Waker) -> Poll<Gone> {
        match self.connections.get(channel.connection) {
            Some(connection) => connection.channels.poll_gone(channel.id, waker, &mut self.io),
            None => Poll::Ready(Gone::Closed(CloseReason::Local)),
        }
    }

    /// The application has sent all that it wants to on a channel. Metadata beyond the limits is not sent.
    pub(crate) fn finish_channel(&mut self, channel: ChannelId, metadata: &Metadata, out: &mut dyn Transmit) {
        if let Some(connection) = self.connections.get(channel.connection) {
            let metadata = if connection.limits.admit(metadata) { metadata } else { Metadata::empty() };
            connection.channels.finish(channel.id, metadata, &mut self.io, out);
            self.connections.reap(channel.connection);
        }
    }

    /// The application lets go of its end of a channel at once.
    pub(crate) fn reset_channel(&mut self, channel: ChannelId, out: &mut dyn Transmit) {
        if let Some(connection) = self.connections.get(channel.connection) {
            connection.channels.reset(channel.id, &mut self.io, out);
            self.connections.reap(channel.connection);
        }
    }
}
