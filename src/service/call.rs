//! A call that a client makes: a future that does nothing until it is polled, and cancels when dropped.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::channel::Departing;
use super::coop::cooperate;
use super::flight::Flight;
use super::private::Arguments;
use super::response::{self, outcome};
use super::{CallError, Connection, Response};
use crate::codec::{EncodeError, Message};
use crate::session::Metadata;

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
    flight: Flight<'a>,
    body: Result<Message<A>, EncodeError>,
}

impl<'a, A: Arguments> Call<'a, A> {
    #[inline]
    pub(super) fn new(connection: &'a Connection, arguments: A) -> Self {
        let (body, departing) = match Departing::encode(arguments) {
            Ok((body, departing)) => (Ok(body), departing),
            Err(error) => (Err(error), Departing::default()),
        };
        Self { flight: Flight::new(connection, departing), body }
    }

    /// Gives the call this much time from now; then it ends as [`CallError::DeadlineExceeded`], on both sides.
    pub fn deadline(mut self, time: Duration) -> Self {
        // Too far away to be an instant is no deadline at all.
        self.flight.deadline = Instant::now().checked_add(time);
        self
    }

    /// Gives the call time until `instant`.
    pub fn deadline_at(mut self, instant: Instant) -> Self {
        self.flight.deadline = Some(instant);
        self
    }

    /// Makes the call for the one that a handler answers, over whatever session: it gets no more time than is left to the
    /// handler's caller, as long as the handler runs. Calls over [`Context::client`](crate::Context::client) are so
    /// already.
    ///
    /// Metadata does not go along by itself, since it may be meant for one service alone: pass
    /// [`cx.metadata().propagated()`](Metadata::propagated) to [`with_metadata`](Self::with_metadata).
    pub fn within(mut self, cx: &crate::service::Context) -> Self {
        self.flight.scope = cx.scope().cloned();
        self
    }

    /// Sends `metadata` along.
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.flight.metadata = metadata;
        self
    }

    /// Makes the call, and gives with its result what the handler has attached to it.
    ///
    /// # Errors
    /// [`CallError`] says how it failed. Nothing comes along with a failure.
    ///
    /// # Cancel safety
    /// As for the call itself: dropping this cancels it.
    pub async fn response(mut self) -> Result<Response<A::Output>, CallError<A::Error>> {
        let Self { flight, body } = &mut self;
        let body = body.as_ref().map_err(CallError::unencodable)?;
        let answer = poll_fn(|cx| cooperate(cx, |cx| flight.poll(A::method().into(), body, cx))).await;
        response::response::<A>(flight.over(), answer)
    }

    /// Like [`response`](Self::response), on this thread and without a runtime.
    ///
    /// # Errors
    /// [`CallError`] says how it failed.
    pub fn blocking_response(self) -> Result<Response<A::Output>, CallError<A::Error>> {
        let Self { mut flight, body } = self;
        let body = body.map_err(|error| CallError::unencodable(&error))?;
        let answer = flight.block(A::method().into(), &body);
        response::response::<A>(flight.over(), answer)
    }
}

impl<A: Arguments> Future for Call<'_, A> {
    type Output = Result<A::Output, CallError<A::Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Most answers come within the poll that looks for them.
        cooperate(cx, |cx| {
            let Self { flight, body } = &mut *self;
            let answer = match body {
                Ok(body) => ready!(flight.poll(A::method().into(), body, cx)),
                Err(error) => return Poll::Ready(Err(CallError::unencodable(error))),
            };
            Poll::Ready(outcome::<A>(flight.over(), answer))
        })
    }
}

/// Nothing in a call is ever pinned.
impl<A: Arguments> Unpin for Call<'_, A> {}

impl<A: Arguments> fmt::Debug for Call<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = A::method();
        f.debug_struct("Call")
            .field("service", &method.service)
            .field("method", &method.name)
            .field("flight", &self.flight)
            .finish()
    }
}
