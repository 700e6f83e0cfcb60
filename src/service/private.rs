//! What generated code needs. Not part of the public API: it changes without notice.

use std::future::Future;
use std::sync::Arc;

pub use facet::Facet;

pub use super::blocking::CallOptions;
use super::call::Call;
use super::channel::{Departing, bind};
use super::connection::Connection;
use super::context::{Called, Context};
use super::error::CallError;
use super::raw;
use super::session::Session;
use super::trace::{CallSpan, TraceContext};
use crate::codec::Body;
pub use crate::codec::{
    Codec, DecodeError, Encode, EncodeError, FileDescriptor, HandleError, Handles, Pick, PickFacet,
    PickPlain, Reader, Receiver, Sender, Sink,
};
use crate::driver::{Arrived, Handler, Opening, Request, Slots};
use crate::link::Buffer;
pub use crate::session::Method;
use crate::session::{Attached, Binding, Failure, Metadata, Outcome};

/// The arguments of a method, and what its answers mean.
pub trait Arguments: Encode {
    /// What the method returns; the good case where that is a `Result`.
    type Output;
    /// The method's own error.
    type Error;

    /// The method.
    fn method() -> &'static Method;

    /// Reads a result.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are not one.
    fn decode_output(from: &mut Reader<'_>) -> Result<Self::Output, DecodeError>;

    /// Collects the channel ends and the descriptors in a result.
    fn output_handles(output: &Self::Output, handles: &mut Handles);

    /// Reads an error.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are not one.
    fn decode_error(from: &mut Reader<'_>) -> Result<Self::Error, DecodeError>;
}

/// A call for a client to return.
#[inline]
pub fn call<A: Arguments>(connection: &Connection, arguments: A) -> Call<'_, A> {
    Call::new(connection, arguments)
}

/// A call on this thread.
///
/// # Errors
/// [`CallError`] says how it failed.
#[inline]
pub fn call_blocking<A: Arguments>(
    connection: &Connection,
    options: &CallOptions,
    arguments: A,
) -> Result<A::Output, CallError<A::Error>> {
    super::blocking::call(connection, options, arguments)
}

/// A call that arrived and must be answered.
pub struct Incoming {
    request: Request,
    /// What goes along with the result, if anything does.
    attached: Option<Box<Metadata>>,
    /// What shows it to whom wants to see calls.
    span: Option<Box<CallSpan>>,
}

impl Incoming {
    #[inline]
    pub(super) fn new(request: Request, span: Option<Box<CallSpan>>) -> Self {
        Self { request, attached: None, span }
    }

    /// The call itself, and its span.
    #[cfg(feature = "tokio")]
    pub(crate) fn into_parts(self) -> (Request, Option<Box<CallSpan>>) {
        (self.request, self.span)
    }

    /// The ID of its method.
    #[inline]
    pub fn method(&self) -> u64 {
        self.request.method
    }

    /// Its encoded arguments.
    #[inline]
    pub fn arguments(&self) -> Reader<'_> {
        Reader::new(self.request.arguments())
    }

    /// What its handler may know about it.
    pub fn context(&mut self, method: &'static Method) -> Context {
        self.context_of(Called::Known(method))
    }

    /// What is called raw, and what its handler may know about it; `None` if it is not known what is called.
    pub(super) fn raw(&mut self) -> Option<(Binding, Context)> {
        let binding = self.request.attached.as_mut()?.binding.take()?;
        Some((Binding::clone(&binding), self.context_of(Called::Bound(binding))))
    }

    fn context_of(&mut self, called: Called) -> Context {
        let Attached { metadata, deadline, .. } =
            self.request.attached.take().map_or_else(Attached::default, |all| *all);
        let trace = self.span.as_ref().map(|span| span.context()).or_else(|| TraceContext::of(&metadata));
        Context::new(called, self.request.reply.call().id, metadata, deadline, self.connection(), trace)
    }

    /// The handler is done: what it has attached goes along with its result.
    #[inline]
    pub fn attach(&mut self, context: &Context) {
        self.attached = context.take_attached().map(Box::new);
    }

    /// Its encoded arguments with whatever precedes them, where those begin, and the ends of channels that came along.
    pub(super) fn take_raw(&mut self) -> (Buffer, usize, raw::Ends) {
        let payload = std::mem::take(&mut self.request.payload);
        let ends = raw::Ends::new(self.request.arrived.take().map(|arrived| *arrived), || self.connection());
        (payload, self.request.body, ends)
    }

    /// What came along with its arguments, for the channel ends and the descriptors in them.
    #[inline]
    pub fn channels(&mut self) -> Channels {
        let arrived = self.request.arrived.take();
        Channels(arrived.map(|arrived| (*arrived, self.connection())))
    }

    /// The connection that it came on.
    fn connection(&self) -> Connection {
        let reply = &self.request.reply;
        Connection::kept_by_session(Session::new(Arc::clone(reply.session())), reply.call().connection)
    }

    /// Answers with a result.
    #[inline]
    pub fn respond<'c, T, C: Codec<'c, T>>(self, codec: C, value: &T) {
        let with = With { value, codec, life: std::marker::PhantomData };
        match Departing::encode(with) {
            Ok((body, departing)) if self.goes_alone(&departing) => {
                self.request.reply.respond(Outcome::plain(&body));
            }
            Ok((body, departing)) => self.respond_with(departing, &body),
            Err(error) => self.refuse(Failure::InvalidPayload(error.to_string())),
        }
    }

    /// Whether the result is all that there is to be done.
    #[inline]
    fn goes_alone(&self, departing: &Departing) -> bool {
        departing.is_empty() && self.attached.is_none() && self.span.is_none()
    }

    /// Answers with a result that something goes along with: channel ends, descriptors, metadata, a span.
    pub(super) fn respond_with(self, mut departing: Departing, body: &dyn Body) {
        let (connection, channels) = (self.connection(), departing.wishes());
        let metadata = match self.attached.as_deref() {
            Some(metadata) => metadata,
            None => Metadata::empty(),
        };
        let descriptors = &departing.descriptors();
        let outcome = Outcome { body, metadata, channels, descriptors };
        let first = self.request.reply.respond(outcome);
        first.into_iter().for_each(|first| departing.bind(&connection, first));
        if let Some(mut span) = self.span {
            span.ends_as(if first.is_some() { "ok" } else { "not answered" });
        }
    }

    /// Answers with the method's own error.
    pub fn fail<'c, T, C: Codec<'c, T>>(self, codec: C, error: &T) {
        let mut bytes = Buffer::new();
        self.refuse(match codec.encode(error, &mut *bytes) {
            Ok(()) => Failure::User(bytes),
            Err(error) => Failure::InvalidPayload(error.to_string()),
        });
    }

    /// Answers that no service here has the method.
    pub fn unknown(self) -> Started {
        self.refuse(Failure::UnknownMethod);
        Started(None)
    }

    /// Answers that the arguments do not decode.
    pub fn reject(self, error: &DecodeError) {
        self.refuse(Failure::InvalidPayload(error.to_string()));
    }

    /// Answers with a failure.
    pub(super) fn refuse(self, failure: Failure) {
        if let Some(mut span) = self.span {
            span.failed(&failure);
        }
        self.request.reply.fail(failure);
    }
}

/// What came along with a call's arguments: the channels that they declare, and descriptors. Those that nothing in the
/// arguments stands for are reset and closed.
pub struct Channels(Option<(Arrived, Connection)>);

impl Channels {
    /// Has the ends and descriptors in decoded arguments stand for them.
    ///
    /// # Errors
    /// [`DecodeError`] if the arguments did not decode, or have an end or a descriptor in them that did not come.
    #[inline]
    pub fn bind<A: Encode>(self, decoded: Result<A, DecodeError>) -> Result<A, DecodeError> {
        let arguments = decoded?;
        let mut handles = Handles::new();
        arguments.handles(&mut handles);
        bind(&handles, self.0)?;
        Ok(arguments)
    }
}

/// Reads a method's own error, which has no channel ends and no descriptors in it.
///
/// # Errors
/// [`DecodeError`] if the bytes are not one.
pub fn decode_error<'c, T, C: Codec<'c, T>>(codec: C, from: &mut Reader<'c>) -> Result<T, DecodeError> {
    let error = codec.decode(from)?;
    let mut handles = Handles::new();
    codec.handles(&error, &mut handles);
    if handles.is_empty() { Ok(error) } else { Err(HandleError::Misplaced.into()) }
}

/// A connection that the peer wants to open.
pub struct Opened(pub(super) Opening);

/// A place for the future of a handler.
pub struct Place<'a>(pub(super) &'a mut Slots);

impl Place<'_> {
    /// Puts the future there.
    #[inline]
    pub fn put(self, handler: impl Future<Output = ()> + Send + 'static) -> Started {
        Started(Some(self.0.place(handler)))
    }
}

/// A call whose handler was put in place, or that is answered already.
pub struct Started(pub(super) Option<Handler>);

/// A value with its codec.
struct With<'v, 'c, T, C> {
    value: &'v T,
    codec: C,
    life: std::marker::PhantomData<&'c ()>,
}

impl<'c, T, C: Codec<'c, T>> Encode for With<'_, 'c, T, C> {
    #[inline]
    fn size(&self) -> Option<usize> {
        self.codec.size(self.value)
    }

    #[inline]
    fn encode<S: Sink>(&self, out: &mut S) -> Result<(), EncodeError> {
        self.codec.encode(self.value, out)
    }

    #[inline]
    fn handles(&self, handles: &mut Handles) {
        self.codec.handles(self.value, handles);
    }
}
