//! A call that a client makes: a future that does nothing until it is polled, and cancels when dropped.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::channel::{Departing, bind};
use super::coop::cooperate;
use super::private::Arguments;
use super::{CallError, Connection, Renewing};
use crate::codec::{DecodeError, EncodeError, Ends, Message, Reader};
use crate::driver::Arrived;
use crate::session::{Answer, CallId, CallRequest, Metadata, Response, Started};

/// A call: lazy, configured before it is awaited.
///
/// ```
/// # use std::time::Duration;
/// # #[transom::service]
/// # trait Calc { async fn add(&self, a: u64, b: u64) -> u64; }
/// # async fn example(calc: CalcClient) -> Result<(), transom::CallError> {
/// let five = calc.add(2, 3).deadline(Duration::from_millis(5)).await?;
/// # Ok(())
/// # }
/// ```
///
/// Nothing is sent before the first poll. When as many calls as both sides agreed on are in flight, it waits
/// its turn. In a tokio task it takes part in cooperative scheduling, as what comes from tokio does.
///
/// # Cancel safety
/// Dropping the call before it is ready cancels it: the peer is told, and drops the handler if that still
/// runs. What the handler did until then stays done.
///
/// # Panics
/// When polled again after it was ready.
#[must_use = "a call is not made before it is awaited"]
pub struct Call<'a, A: Arguments> {
    connection: &'a Connection,
    body: Result<Message<A>, EncodeError>,
    /// The channel ends in the arguments, until the call is on its way.
    ends: Departing,
    metadata: Metadata,
    deadline: Option<Instant>,
    state: State,
    /// Whether ends of channels have gone with it.
    passed: bool,
    /// Where its connection's calls may go on over another session: the one that it goes over, and how it ended.
    renewable: Option<Box<Renewable<'a>>>,
}

/// What a call needs that may go on over another session.
struct Renewable<'a> {
    connection: Connection,
    /// Another session on its way, and the answer if it does not come.
    renewing: Option<(Renewing<'a>, Answer)>,
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

impl<'a, A: Arguments> Call<'a, A> {
    #[inline]
    pub(super) fn new(connection: &'a Connection, arguments: A) -> Self {
        let (ends, body) = match Departing::of(&arguments) {
            Ok(ends) => (ends, Message::new(arguments)),
            Err(error) => (Departing::default(), Err(error)),
        };
        Self {
            connection,
            body,
            ends,
            metadata: Metadata::default(),
            deadline: None,
            state: State::Unsent(None),
            passed: false,
            renewable: connection.current().map(Renewable::new),
        }
    }

    /// Gives the call this much time from now; then it ends as [`CallError::DeadlineExceeded`], on both sides.
    pub fn deadline(mut self, time: Duration) -> Self {
        // Too far away to be an instant is no deadline at all.
        self.deadline = Instant::now().checked_add(time);
        self
    }

    /// Gives the call time until `instant`.
    pub fn deadline_at(mut self, instant: Instant) -> Self {
        self.deadline = Some(instant);
        self
    }

    /// Sends `metadata` along.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }
}

/// What an answer means to the caller of a method with these arguments.
#[inline]
pub(super) fn outcome<A: Arguments>(
    connection: &Connection,
    answer: Answer,
) -> Result<A::Output, CallError<A::Error>> {
    match answer {
        Answer::Response(response) => {
            output::<A>(connection, response).map_err(|error| CallError::undecodable(&error))
        }
        Answer::Failure(failure) => Err(CallError::from_failure(failure, A::decode_error)),
        Answer::Disconnected { reason, maybe_executed } => {
            Err(CallError::Disconnected { reason, maybe_executed })
        }
    }
}

/// The result in a response, and its channel ends bound.
#[inline]
fn output<A: Arguments>(connection: &Connection, mut response: Response) -> Result<A::Output, DecodeError> {
    let calls = connection.session().shared_calls();
    let arrived = Arrived::new(calls, connection.id(), response.take_channels());
    let mut from = Reader::new(response.result());
    let output = A::decode_output(&mut from)?;
    from.end()?;
    let mut ends = Ends::new();
    A::output_ends(&output, &mut ends);
    bind(&ends, arrived.map(|arrived| (arrived, connection.clone())))?;
    Ok(output)
}

impl<A: Arguments> Future for Call<'_, A> {
    type Output = Result<A::Output, CallError<A::Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Most answers come within the poll that looks for them.
        cooperate(cx, |cx| self.advance(cx))
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
        let lost = self.renewing.take().map(|(_, answer)| answer);
        Poll::Ready(match renewed {
            Some(calls) => {
                self.connection = self.connection.over(calls);
                None
            }
            None => lost,
        })
    }
}

/// Whether a call may be made again over another session. Its arguments may be `whole`, or have had ends of channels that
/// are gone with the first session.
pub(super) fn may_repeat<A: Arguments>(answer: &Answer, whole: bool) -> bool {
    match answer {
        Answer::Disconnected { maybe_executed, .. } => whole && (!maybe_executed || A::method().idempotent),
        Answer::Response(_) | Answer::Failure(_) => false,
    }
}

impl<A: Arguments> Call<'_, A> {
    /// The connection that it goes over.
    #[inline]
    fn over(&self) -> &Connection {
        self.renewable.as_ref().map_or(self.connection, |renewable| &renewable.connection)
    }

    #[inline]
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<<Self as Future>::Output> {
        if let Err(error) = &self.body {
            return Poll::Ready(Err(CallError::unencodable(error)));
        }
        loop {
            if let Some(renewable) = &mut self.renewable
                && let Some(lost) = ready!(renewable.poll_renewed(cx))
            {
                self.state = State::Done;
                return Poll::Ready(outcome::<A>(self.over(), lost));
            }
            let answer = ready!(self.attempt(cx));
            if !self.renews(&answer) {
                self.state = State::Done;
                return Poll::Ready(outcome::<A>(self.over(), answer));
            }
            self.renew(answer);
        }
    }

    /// Whether it is to be made again.
    #[inline]
    fn renews(&self, answer: &Answer) -> bool {
        self.renewable.is_some() && may_repeat::<A>(answer, !self.passed)
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

    /// Makes it once.
    #[inline]
    fn attempt(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        let connection = self.renewable.as_ref().map_or(self.connection, |renewable| &renewable.connection);
        let calls = connection.calls();
        if let State::Unsent(ticket) = &mut self.state {
            let Ok(body) = &self.body else { unreachable!("it is not attempted without a body") };
            let request = CallRequest {
                connection: connection.id(),
                method: A::method().into(),
                body,
                metadata: &self.metadata,
                channels: &self.ends.wishes(),
                deadline: self.deadline,
            };
            match ready!(calls.poll_start(&request, ticket, cx)) {
                Ok(Started { call, first_channel }) => {
                    self.passed |= !self.ends.is_empty();
                    self.ends.bind(connection, first_channel);
                    self.state = State::Sent(call);
                }
                Err(answer) => return Poll::Ready(answer),
            }
        }
        let State::Sent(call) = self.state else { panic!("a call was polled after it was ready") };
        calls.poll_answer(call, cx)
    }
}

/// Nothing in a call is ever pinned.
impl<A: Arguments> Unpin for Call<'_, A> {}

impl<A: Arguments> Drop for Call<'_, A> {
    fn drop(&mut self) {
        match self.state {
            State::Unsent(Some(ticket)) => self.over().calls().abandon(self.connection.id(), ticket),
            State::Sent(call) => self.over().calls().cancel(call),
            State::Unsent(None) | State::Done => {}
        }
    }
}

impl<A: Arguments> fmt::Debug for Call<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = A::method();
        f.debug_struct("Call")
            .field("service", &method.service)
            .field("method", &method.name)
            .field("metadata", &self.metadata)
            .field("deadline", &self.deadline)
            .field("state", &self.state)
            .finish()
    }
}
