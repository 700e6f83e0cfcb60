//! Calls without a runtime: made and answered on the calling thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::channel::Departing;
use super::flight::Flight;
use super::private::Arguments;
use super::response::outcome;
use super::scope::Scope;
use super::trace;
use super::{CallError, Connection, Context};
use crate::codec::Message;
use crate::session::{CallRequest, Metadata, Started};

/// What goes along with every call of a blocking client.
///
/// ```
/// # use std::time::Duration;
/// # use transom::{CallError, CallOptions};
/// # #[transom::service]
/// # trait Calc { async fn add(&self, a: u64, b: u64) -> u64; }
/// # fn example(calc: CalcBlockingClient) -> Result<(), CallError> {
/// let hasty = calc.with(CallOptions::new().deadline(Duration::from_millis(5)));
/// let five = hasty.add(2, 3)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    metadata: Metadata,
    deadline: Option<Duration>,
    scope: Option<Arc<Scope>>,
}

impl CallOptions {
    /// No metadata and no deadline.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives each call this much time; then it ends as [`CallError::DeadlineExceeded`], on both sides.
    #[must_use]
    pub fn deadline(mut self, time: Duration) -> Self {
        self.deadline = Some(time);
        self
    }

    /// Makes each call for the one that a handler answers: see [`Call::within`](crate::Call::within).
    #[must_use]
    pub fn within(mut self, cx: &Context) -> Self {
        self.scope = cx.scope().cloned();
        self
    }

    /// When a call that is made now must be done.
    fn until(&self) -> Option<Instant> {
        self.deadline.and_then(|time| Instant::now().checked_add(time))
    }

    /// Sends `metadata` along with each call.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }
}

/// Makes a call on this thread, which sleeps until the answer is there.
#[inline]
pub(super) fn call<A: Arguments>(
    connection: &Connection,
    options: &CallOptions,
    arguments: A,
) -> Result<A::Output, CallError<A::Error>> {
    let encoded = Departing::encode(arguments);
    let (body, mut departing) = encoded.map_err(|error| CallError::unencodable(&error))?;
    if connection.concerns_calls() || options.scope.is_some() || trace::is_wanted() {
        return fly(connection, options, departing, &body);
    }
    let calls = connection.calls();
    let request = CallRequest {
        connection: connection.id(),
        method: A::method().into(),
        body: &body,
        metadata: &options.metadata,
        channels: departing.wishes(),
        descriptors: &departing.descriptors(),
        deadline: options.until(),
    };
    if departing.is_empty() {
        return outcome::<A>(connection, calls.call_blocking(&request));
    }
    let answer = match calls.start_blocking(&request) {
        Ok(Started { call, first_channel }) => {
            departing.bind(connection, first_channel);
            calls.answer_blocking(call)
        }
        Err(answer) => answer,
    };
    outcome::<A>(connection, answer)
}

/// The same where there is more to it than the call itself.
#[cold]
fn fly<A: Arguments>(
    connection: &Connection,
    options: &CallOptions,
    departing: Departing,
    body: &Message<A>,
) -> Result<A::Output, CallError<A::Error>> {
    let mut flight = Flight::new(connection, departing);
    flight.metadata.clone_from(&options.metadata);
    flight.scope.clone_from(&options.scope);
    flight.deadline = options.until();
    let answer = flight.block(A::method().into(), body);
    outcome::<A>(flight.over(), answer)
}
