//! A result together with what came along with it.

use super::private::Arguments;
use super::{CallError, Connection};
use crate::codec::{DecodeError, Handles, Reader};
use crate::driver::Arrived;
use crate::service::channel::bind;
use crate::session::{self, Answer, Metadata};

/// A result together with what came along with it: what [`Call::response`](super::Call::response) gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response<T> {
    /// The result.
    pub value: T,
    /// What the handler has attached: see [`Context::attach`](super::Context::attach).
    pub metadata: Metadata,
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

/// Like [`outcome`], with what came along.
pub(super) fn response<A: Arguments>(
    connection: &Connection,
    mut answer: Answer,
) -> Result<Response<A::Output>, CallError<A::Error>> {
    let metadata = match &mut answer {
        Answer::Response(response) => response.take_metadata(),
        Answer::Failure(_) | Answer::Disconnected { .. } => Metadata::new(),
    };
    Ok(Response { value: outcome::<A>(connection, answer)?, metadata })
}

/// The result in a response, its channel ends and descriptors bound.
#[inline]
fn output<A: Arguments>(
    connection: &Connection,
    mut response: session::Response,
) -> Result<A::Output, DecodeError> {
    let calls = connection.session().shared_calls();
    let attached = response.attached.as_deref_mut();
    let arrived = attached.and_then(|attached| Arrived::with(calls, connection.id(), attached));
    let mut from = Reader::new(response.result());
    let output = A::decode_output(&mut from)?;
    from.end()?;
    let mut handles = Handles::new();
    A::output_handles(&output, &mut handles);
    bind(&handles, arrived.map(|arrived| (arrived, connection.clone())))?;
    Ok(output)
}
