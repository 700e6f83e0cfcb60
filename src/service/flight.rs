//! A call from its first poll to its answer, whatever its arguments and its result are.

use std::task::{Context, Poll, ready};
use std::time::Instant;

use super::Connection;
use super::channel::Departing;
use crate::codec::Body;
use crate::session::{Answer, CallId, CallRequest, Callee, Metadata, Started};

/// A call on its way. Dropped before its answer has come, it is cancelled.
#[derive(Debug)]
pub(super) struct Flight<'a> {
    pub(super) connection: &'a Connection,
    /// The channel ends in the arguments, until the call is on its way.
    ends: Departing,
    pub(super) metadata: Metadata,
    pub(super) deadline: Option<Instant>,
    state: State,
}

/// How far a call has come.
#[derive(Debug)]
enum State {
    /// Not on its way; with a ticket it waits for its turn or for room.
    Unsent(Option<u64>),
    /// On its way under this ID.
    Sent(CallId),
    /// Answered.
    Done,
}

impl<'a> Flight<'a> {
    /// A call over `connection` with these ends in its arguments. Nothing is sent yet.
    #[inline]
    pub(super) fn new(connection: &'a Connection, ends: Departing) -> Self {
        Self { connection, ends, metadata: Metadata::new(), deadline: None, state: State::Unsent(None) }
    }

    /// Makes the call, and waits for its answer.
    #[inline]
    pub(super) fn poll(&mut self, method: Callee<'_>, body: &dyn Body, cx: &mut Context<'_>) -> Poll<Answer> {
        let calls = self.connection.calls();
        if let State::Unsent(ticket) = &mut self.state {
            let wishes = self.ends.wishes();
            let request = CallRequest {
                connection: self.connection.id(),
                method,
                body,
                metadata: &self.metadata,
                channels: &wishes,
                deadline: self.deadline,
            };
            match ready!(calls.poll_start(&request, ticket, cx)) {
                Ok(started) => self.started(started),
                Err(answer) => return Poll::Ready(self.done(answer)),
            }
        }
        let State::Sent(call) = self.state else { panic!("a call was polled after it was ready") };
        let answer = ready!(calls.poll_answer(call, cx));
        Poll::Ready(self.done(answer))
    }

    /// Makes the call with this thread, which sleeps until the answer is there.
    #[inline]
    pub(super) fn block(mut self, method: Callee<'_>, body: &dyn Body) -> Answer {
        let calls = self.connection.calls();
        let wishes = self.ends.wishes();
        let started = calls.start_blocking(&CallRequest {
            connection: self.connection.id(),
            method,
            body,
            metadata: &self.metadata,
            channels: &wishes,
            deadline: self.deadline,
        });
        let answer = match started {
            Ok(started) => {
                self.started(started);
                calls.answer_blocking(started.call)
            }
            Err(answer) => answer,
        };
        self.done(answer)
    }

    #[inline]
    fn started(&mut self, Started { call, first_channel }: Started) {
        self.ends.bind(self.connection, first_channel);
        self.state = State::Sent(call);
    }

    #[inline]
    fn done(&mut self, answer: Answer) -> Answer {
        self.state = State::Done;
        answer
    }
}

impl Drop for Flight<'_> {
    #[inline]
    fn drop(&mut self) {
        match self.state {
            State::Unsent(Some(ticket)) => self.connection.calls().abandon(self.connection.id(), ticket),
            State::Sent(call) => self.connection.calls().cancel(call),
            State::Unsent(None) | State::Done => {}
        }
    }
}
