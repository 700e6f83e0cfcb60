//! Calls with arguments that are encoded already.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::{End, Ends, Method};
use crate::codec::EncodeError;
use crate::driver::Arrived;
use crate::link::Buffer;
use crate::service::channel::Departing;
use crate::service::coop::cooperate;
use crate::service::flight::Flight;
use crate::service::{CallError, Connection};
use crate::session::{Answer, Metadata};

/// A raw call: like a [`Call`](crate::Call), with arguments that are encoded already. The error of a method's own is given
/// as it came.
///
/// # Cancel safety
/// Dropping it before it is ready cancels it.
///
/// # Panics
/// When polled again after it was ready.
#[must_use = "a call is not made before it is awaited"]
pub struct Call<'a> {
    flight: Flight<'a>,
    method: Method,
    payload: Result<Vec<u8>, EncodeError>,
}

impl Connection {
    /// A call of a method by its names, with these arguments as they are encoded: see [`raw`](super).
    pub fn raw_call(&self, method: &Method, payload: impl Into<Vec<u8>>) -> Call<'_> {
        let flight = Flight::new(self, Departing::default());
        Call { flight, method: method.clone(), payload: Ok(payload.into()) }
    }
}

impl Call<'_> {
    /// Passes the end of a channel along: the arguments refer to it by its number, which is that of the ends before it. One
    /// that cannot be passed on is an error of the call.
    pub fn pass(mut self, end: impl Into<End>) -> Self {
        if self.payload.is_ok()
            && let Err(error) = self.flight.pass(end.into().end())
        {
            self.payload = Err(error.into());
        }
        self
    }

    /// Gives the call this much time from now; then it ends as [`CallError::DeadlineExceeded`], on both sides.
    pub fn deadline(mut self, time: Duration) -> Self {
        self.flight.deadline = Instant::now().checked_add(time);
        self
    }

    /// Gives the call time until `instant`.
    pub fn deadline_at(mut self, instant: Instant) -> Self {
        self.flight.deadline = Some(instant);
        self
    }

    /// Makes it for the call that a handler answers: see [`Call::within`](crate::Call::within).
    pub fn within(mut self, cx: &crate::service::Context) -> Self {
        self.flight.scope = cx.scope().cloned();
        self
    }

    /// Sends `metadata` along.
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.flight.metadata = metadata;
        self
    }

    /// Makes the call on this thread, without a runtime.
    ///
    /// # Errors
    /// [`CallError`] says how it failed.
    pub fn blocking_response(self) -> Result<Response, CallError<Vec<u8>>> {
        let Self { mut flight, method, payload } = self;
        let payload = payload.map_err(|error| CallError::unencodable(&error))?;
        let answer = flight.block(method.callee(), &payload.as_slice());
        Response::of(answer, flight.over())
    }
}

impl Future for Call<'_> {
    type Output = Result<Response, CallError<Vec<u8>>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        cooperate(cx, |cx| {
            let Self { flight, method, payload } = &mut *self;
            let payload = match payload {
                Ok(payload) => payload.as_slice(),
                Err(error) => return Poll::Ready(Err(CallError::unencodable(error))),
            };
            let answer = ready!(flight.poll(method.callee(), &payload, cx));
            Poll::Ready(Response::of(answer, flight.over()))
        })
    }
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.method)
            .field("flight", &self.flight)
            .finish_non_exhaustive()
    }
}

/// The result of a raw call, with what came along.
pub struct Response {
    payload: Buffer,
    /// Where in `payload` the result begins.
    body: usize,
    metadata: Metadata,
    ends: Ends,
}

impl Response {
    fn of(answer: Answer, connection: &Connection) -> Result<Self, CallError<Vec<u8>>> {
        match answer {
            Answer::Response(mut response) => {
                let metadata = response.take_metadata();
                let (calls, attached) = (connection.shared_calls(), response.attached.as_deref_mut());
                let arrived = attached.and_then(|attached| Arrived::with(calls, connection.id(), attached));
                let ends = Ends::new(arrived, || connection.clone());
                Ok(Self { payload: response.payload, body: response.body, metadata, ends })
            }
            Answer::Failure(failure) => {
                Err(CallError::from_failure(failure, |from| Ok(from.take_rest().to_vec())))
            }
            Answer::Disconnected { reason, maybe_executed } => {
                Err(CallError::Disconnected { reason, maybe_executed })
            }
        }
    }

    /// The encoded result.
    pub fn payload(&self) -> &[u8] {
        self.payload.get(self.body..).unwrap_or_default()
    }

    /// What the handler has attached.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The ends of channels that the result refers to.
    pub fn ends(&self) -> &Ends {
        &self.ends
    }

    /// The same, to take them.
    pub fn ends_mut(&mut self) -> &mut Ends {
        &mut self.ends
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("length", &self.payload().len())
            .field("metadata", &self.metadata)
            .field("ends", &self.ends)
            .finish()
    }
}
