//! A call from its first poll to its answer, whatever its arguments and its result are.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use super::channel::Departing;
use super::scope::Scope;
use super::trace::{self, CallSpan, TraceContext};
use super::{Connection, Renewed, Renewing};
use crate::codec::{Body, Handle, HandleError};
use crate::session::{Answer, CallId, CallRequest, Callee, CloseReason, Metadata, Started};

/// A call on its way. Dropped before its answer has come, it is cancelled.
#[derive(Debug)]
pub(super) struct Flight<'a> {
    connection: &'a Connection,
    /// The channel ends and the descriptors in the arguments, until the call is on its way.
    departing: Departing,
    pub(super) metadata: Metadata,
    pub(super) deadline: Option<Instant>,
    /// What it takes over from the call for which it is made, if that is not its connection's business.
    pub(super) scope: Option<Arc<Scope>>,
    /// What shows it to whom wants to see calls.
    span: Option<Box<CallSpan>>,
    state: State,
    /// Whether ends of channels or descriptors have gone with it.
    passed: bool,
    /// Where its connection's calls may go on over another session: the one that it goes over, and how it ended.
    renewable: Option<Box<Renewable<'a>>>,
}

/// How far a call has come.
#[derive(Debug)]
enum State {
    /// Not begun.
    New,
    /// Not on its way; with a ticket it waits for its turn or for room.
    Unsent(Option<u64>),
    /// On its way under this ID.
    Sent(CallId),
    /// Answered.
    Done,
}

/// What a call needs that may go on over another session.
struct Renewable<'a> {
    connection: Connection,
    /// Another session on its way, and the answer if it does not come.
    renewing: Option<(Renewing<'a>, Answer)>,
}

impl<'a> Flight<'a> {
    /// A call over `connection` that these go along with. Nothing is sent yet.
    #[inline]
    pub(super) fn new(connection: &'a Connection, departing: Departing) -> Self {
        Self {
            connection,
            departing,
            metadata: Metadata::new(),
            deadline: None,
            scope: None,
            span: None,
            state: State::New,
            passed: false,
            renewable: connection.current().map(Renewable::new),
        }
    }

    /// Passes an end along that is in no value.
    pub(super) fn pass(&mut self, end: &Handle) -> Result<(), HandleError> {
        self.departing.pass(end)
    }

    /// The connection that it goes over.
    #[inline]
    pub(super) fn over(&self) -> &Connection {
        self.renewable.as_ref().map_or(self.connection, |renewable| &renewable.connection)
    }

    /// From here on the call is about to be made.
    #[inline]
    fn begin(&mut self, method: Callee<'_>, body: &dyn Body) {
        if matches!(self.state, State::New) {
            self.state = State::Unsent(None);
            let scope = self.scope.as_ref().or_else(|| self.connection.scope());
            if let Some(scope) = scope {
                self.deadline = scope.bound(self.deadline);
            }
            let trace = scope.and_then(|scope| scope.trace());
            if trace.is_some() || trace::is_wanted() {
                self.begin_span(method, body, trace);
            }
        }
    }

    /// Makes it part of a trace, if it is part of one or somebody wants to see it.
    #[cold]
    fn begin_span(&mut self, method: Callee<'_>, body: &dyn Body, parent: Option<TraceContext>) {
        // What the caller itself has told comes first.
        let parent = TraceContext::of(&self.metadata).or(parent);
        if trace::is_wanted() {
            self.span = CallSpan::calling(method, self.connection.id(), parent);
        }
        let here = self.span.as_ref().map(|span| span.context()).or(parent);
        if let (Some(here), Some(agreed)) = (here, self.over().session().negotiated()) {
            let length = body.length() + self.departing.declared_size();
            here.tell(&mut self.metadata, length, &agreed.limits);
        }
    }

    /// Makes the call, and waits for its answer.
    #[inline]
    pub(super) fn poll(&mut self, method: Callee<'_>, body: &dyn Body, cx: &mut Context<'_>) -> Poll<Answer> {
        self.begin(method, body);
        loop {
            if let Some(renewable) = &mut self.renewable
                && let Some(lost) = ready!(renewable.poll_renewed(cx))
            {
                self.done(&lost);
                return Poll::Ready(lost);
            }
            let answer = ready!(self.attempt(method, body, cx));
            if self.renewable.is_none() || !self.may_repeat(method, &answer) {
                self.done(&answer);
                return Poll::Ready(answer);
            }
            self.renew(answer);
        }
    }

    /// Makes the call with this thread, which sleeps until the answer is there.
    #[inline]
    pub(super) fn block(&mut self, method: Callee<'_>, body: &dyn Body) -> Answer {
        self.begin(method, body);
        loop {
            let mut answer = self.attempt_blocking(method, body);
            let repeats = self.renewable.is_some()
                && self.may_repeat(method, &answer)
                && self.renew_blocking(&mut answer);
            if !repeats {
                self.done(&answer);
                return answer;
            }
        }
    }

    /// Makes it once.
    #[inline]
    fn attempt(&mut self, method: Callee<'_>, body: &dyn Body, cx: &mut Context<'_>) -> Poll<Answer> {
        let connection = self.renewable.as_ref().map_or(self.connection, |renewable| &renewable.connection);
        if let State::Unsent(ticket) = &mut self.state {
            let request = CallRequest {
                connection: connection.id(),
                method,
                body,
                metadata: &self.metadata,
                channels: self.departing.wishes(),
                descriptors: &self.departing.descriptors(),
                deadline: self.deadline,
            };
            if self.departing.is_empty() {
                let (sent, answer) = connection.calls().poll_call(&request, ticket, cx);
                sent.into_iter().for_each(|call| self.started(Started { call, first_channel: 0 }));
                return answer;
            }
            match ready!(connection.calls().poll_start(&request, ticket, cx)) {
                Ok(started) => self.started(started),
                Err(answer) => return Poll::Ready(answer),
            }
        }
        let State::Sent(call) = self.state else { panic!("a call was polled after it was ready") };
        self.over().calls().poll_answer(call, cx)
    }

    /// Makes it once, with this thread.
    #[inline]
    fn attempt_blocking(&mut self, method: Callee<'_>, body: &dyn Body) -> Answer {
        let started = self.over().calls().start_blocking(&CallRequest {
            connection: self.connection.id(),
            method,
            body,
            metadata: &self.metadata,
            channels: self.departing.wishes(),
            descriptors: &self.departing.descriptors(),
            deadline: self.deadline,
        });
        match started {
            Ok(started) => {
                self.started(started);
                self.over().calls().answer_blocking(started.call)
            }
            Err(answer) => answer,
        }
    }

    #[inline]
    fn started(&mut self, Started { call, first_channel }: Started) {
        self.state = State::Sent(call);
        if let Some(span) = &self.span {
            span.sent(call);
        }
        if !self.departing.is_empty() {
            self.passed = true;
            let connection =
                self.renewable.as_ref().map_or(self.connection, |renewable| &renewable.connection);
            self.departing.bind(connection, first_channel);
        }
    }

    #[inline]
    fn done(&mut self, answer: &Answer) {
        self.state = State::Done;
        if let Some(span) = &mut self.span {
            span.answered(answer);
        }
    }

    /// Whether it may be made again over another session. If ends of channels or
    /// descriptors were passed on they are gone with the first.
    #[cold]
    fn may_repeat(&self, method: Callee<'_>, answer: &Answer) -> bool {
        match answer {
            Answer::Disconnected { maybe_executed, .. } => {
                !self.passed && (!maybe_executed || method.is_idempotent())
            }
            Answer::Response(_) | Answer::Failure(_) => false,
        }
    }

    /// Asks for another session.
    #[cold]
    fn renew(&mut self, answer: Answer) {
        self.state = State::Unsent(None);
        if let (Some(renewable), Some(renewal)) = (&mut self.renewable, self.connection.renewal()) {
            let spent = Arc::clone(renewable.connection.shared_calls());
            renewable.renewing = Some((renewal.renew(spent, self.deadline), answer));
        }
    }

    /// Waits for another session, with this thread; whether there is one. If not, the answer says why if that is known.
    #[cold]
    fn renew_blocking(&mut self, answer: &mut Answer) -> bool {
        let (Some(renewable), Some(renewal)) = (&mut self.renewable, self.connection.renewal()) else {
            return false;
        };
        match renewal.renew_blocking(renewable.connection.shared_calls(), self.deadline) {
            Renewed::Session(calls) => {
                renewable.connection = self.connection.over(calls);
                self.state = State::Unsent(None);
                return true;
            }
            Renewed::Refused(refused) => lost_because(answer, refused),
            Renewed::None => {}
        }
        false
    }
}

impl Renewable<'_> {
    #[cold]
    fn new(connection: Connection) -> Box<Self> {
        Box::new(Self { connection, renewing: None })
    }

    /// Ready when the call may be made again, or with its answer if it may not.
    fn poll_renewed(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        let Some((renewing, _)) = &mut self.renewing else { return Poll::Ready(None) };
        let renewed = ready!(renewing.as_mut().poll(cx));
        let mut lost = self.renewing.take().map(|(_, answer)| answer);
        match (renewed, &mut lost) {
            (Renewed::Session(calls), _) => {
                self.connection = self.connection.over(calls);
                return Poll::Ready(None);
            }
            (Renewed::Refused(refused), Some(answer)) => lost_because(answer, refused),
            (Renewed::Refused(_), None) | (Renewed::None, _) => {}
        }
        Poll::Ready(lost)
    }
}

/// The call ended with its session, and there is no other one because that was refused.
#[cold]
fn lost_because(answer: &mut Answer, refused: CloseReason) {
    if let Answer::Disconnected { reason, .. } = answer {
        *reason = refused;
    }
}

impl Drop for Flight<'_> {
    #[inline]
    fn drop(&mut self) {
        match self.state {
            State::Unsent(Some(ticket)) => self.over().calls().abandon(self.connection.id(), ticket),
            State::Sent(call) => self.over().calls().cancel(call),
            State::New | State::Unsent(None) | State::Done => {}
        }
    }
}

impl fmt::Debug for Renewable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewable")
            .field("connection", &self.connection)
            .field("renewing", &self.renewing.is_some())
            .finish()
    }
}
