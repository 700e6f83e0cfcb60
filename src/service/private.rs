//! What generated code needs. Not part of the public API: it changes without notice.

use std::future::Future;
use std::sync::OnceLock;

pub use facet::Facet;

pub use super::blocking::CallOptions;
use super::call::Call;
use super::connection::Connection;
use super::context::Context;
use super::error::CallError;
use super::session::Session;
use crate::codec::Message;
pub use crate::codec::{Codec, DecodeError, Encode, EncodeError, Pick, PickFacet, PickPlain, Reader, Sink};
use crate::driver::{Handler, Opening, Request, Slots};
pub use crate::session::Method;
use crate::session::{Failure, Outcome};

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
pub struct Incoming(pub(super) Request);

impl Incoming {
    /// The call itself.
    pub(crate) fn into_request(self) -> Request {
        self.0
    }

    /// The ID of its method.
    #[inline]
    pub fn method(&self) -> u64 {
        self.0.method
    }

    /// Its encoded arguments.
    #[inline]
    pub fn arguments(&self) -> Reader<'_> {
        Reader::new(self.0.arguments())
    }

    /// What its handler may know about it.
    pub fn context(&mut self, method: &'static Method) -> Context {
        Context {
            method,
            request: self.0.reply.call().id,
            metadata: std::mem::take(&mut self.0.metadata),
            deadline: self.0.deadline,
            connection: Connection::kept_by_session(
                Session::new(self.0.reply.session().clone()),
                self.0.reply.call().connection,
            ),
            cancellation: OnceLock::new(),
            own: true,
        }
    }

    /// Answers with a result.
    #[inline]
    pub fn respond<'c, T, C: Codec<'c, T>>(self, codec: C, value: &T) {
        match Message::new(With { value, codec, life: std::marker::PhantomData }) {
            Ok(body) => drop(self.0.reply.respond(Outcome::plain(&body))),
            Err(error) => self.0.reply.fail(Failure::InvalidPayload(error.to_string())),
        }
    }

    /// Answers with the method's own error.
    pub fn fail<'c, T, C: Codec<'c, T>>(self, codec: C, error: &T) {
        let mut bytes = crate::link::Buffer::new();
        self.0.reply.fail(match codec.encode(error, &mut *bytes) {
            Ok(()) => Failure::User(bytes),
            Err(error) => Failure::InvalidPayload(error.to_string()),
        });
    }

    /// Answers that no service here has the method.
    pub fn unknown(self) -> Started {
        self.0.reply.fail(Failure::UnknownMethod);
        Started(None)
    }

    /// Answers that the arguments do not decode.
    pub fn reject(self, error: &DecodeError) {
        self.0.reply.fail(Failure::InvalidPayload(error.to_string()));
    }
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
}
