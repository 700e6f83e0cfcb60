//! Answering calls whose types nobody here knows.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use super::{End, Ends, Method};
use crate::codec::HandleError;
use crate::service::channel::Departing;
use crate::service::private::{Incoming, Place, Started};
use crate::service::{CallError, Context, Descriptor, Service};
use crate::session::{self, Failure};

/// A service that has every call answered by one handler, whatever is called: a function from a [`Request`] to a future of
/// an [`Answer`].
///
/// Behind services in a tuple it gets the calls that are none of theirs.
pub struct Server<H>(Arc<H>);

impl<H, F> Server<H>
where
    H: Fn(Request) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Answer, CallError<Vec<u8>>>> + Send + 'static,
{
    /// Has `handler` answer every call. The error that it gives goes to the caller: [`CallError::User`] as the method's own,
    /// as it is encoded, all others as what they are.
    pub fn new(handler: H) -> Self {
        Self(Arc::new(handler))
    }
}

/// A call as it came.
pub struct Request {
    method: Method,
    payload: crate::link::Buffer,
    /// Where in `payload` the arguments begin.
    body: usize,
    ends: Ends,
    context: Context,
}

impl Request {
    /// What is called.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The encoded arguments.
    pub fn payload(&self) -> &[u8] {
        self.payload.get(self.body..).unwrap_or_default()
    }

    /// The ends of channels that the arguments refer to.
    pub fn ends(&self) -> &Ends {
        &self.ends
    }

    /// The same, to take them.
    pub fn ends_mut(&mut self) -> &mut Ends {
        &mut self.ends
    }

    /// Who calls, until when, and with what metadata; and for attaching metadata to the answer.
    pub fn context(&self) -> &Context {
        &self.context
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("length", &self.payload().len())
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}

/// A result as it is to go.
#[derive(Default)]
pub struct Answer {
    payload: Vec<u8>,
    ends: Departing,
    error: Option<HandleError>,
}

impl Answer {
    /// This result, as it is encoded.
    pub fn new(payload: impl Into<Vec<u8>>) -> Self {
        Self { payload: payload.into(), ..Self::default() }
    }

    /// Passes the end of a channel along: the result refers to it by its number, which is that of the ends before it. With
    /// one that cannot be passed on the call fails.
    #[must_use]
    pub fn pass(mut self, end: impl Into<End>) -> Self {
        if self.error.is_none() {
            self.error = self.ends.pass(end.into().end()).err();
        }
        self
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("length", &self.payload.len())
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl<H, F> Service for Server<H>
where
    H: Fn(Request) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Answer, CallError<Vec<u8>>>> + Send + 'static,
{
    fn descriptors(&self) -> Vec<&'static Descriptor> {
        Vec::new()
    }

    fn method(&self, _id: u64) -> Option<&'static session::Method> {
        None
    }

    fn spawns(&self, _id: u64) -> bool {
        false
    }

    fn forwards(&self) -> bool {
        true
    }

    fn start(&self, call: Incoming, place: Place<'_>) -> Started {
        let handler = Arc::clone(&self.0);
        place.put(async move {
            let mut call = call;
            let Some((binding, context)) = call.raw() else { return call.refuse(Failure::UnknownMethod) };
            let (payload, body, ends) = call.take_raw();
            // The handler may drop its request long before it is done.
            let request =
                Request { method: Method::bound(binding), payload, body, ends, context: context.clone() };
            let result = handler(request).await;
            call.attach(&context);
            match result {
                Ok(Answer { payload, ends, error: None }) => call.respond_with(ends, &payload.as_slice()),
                Ok(Answer { error: Some(error), .. }) => {
                    call.refuse(Failure::InvalidPayload(error.to_string()))
                }
                Err(error) => call.refuse(error.into_failure()),
            }
        })
    }
}

impl<H> Clone for Server<H> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<H> fmt::Debug for Server<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}
