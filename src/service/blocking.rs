//! Calls without a runtime: made and answered on the calling thread.

use std::time::{Duration, Instant};

use super::call::{may_repeat, outcome};
use super::channel::Departing;
use super::private::Arguments;
use super::{CallError, Connection};
use crate::codec::Message;
use crate::session::{Answer, CallRequest, Metadata, Started};

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

    /// Sends `metadata` along with each call.
    #[must_use]
    pub fn metadata(mut self, metadata: Metadata) -> Self {
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
    let mut ends = Departing::of(&arguments).map_err(|error| CallError::unencodable(&error))?;
    let body = Message::new(arguments).map_err(|error| CallError::unencodable(&error))?;
    let request = CallRequest {
        connection: connection.id(),
        method: A::method().into(),
        body: &body,
        metadata: &options.metadata,
        channels: &ends.wishes(),
        deadline: options.deadline.and_then(|time| Instant::now().checked_add(time)),
    };
    let Some(renewal) = connection.renewal() else {
        return outcome::<A>(connection, attempt(connection, &request, &mut ends));
    };
    let mut over = connection.over(renewal.current());
    loop {
        let answer = attempt(&over, &request, &mut ends);
        if !may_repeat::<A>(&answer, request.channels.is_empty() || !ends.is_empty()) {
            return outcome::<A>(&over, answer);
        }
        match renewal.renew_blocking(over.shared_calls(), request.deadline) {
            Some(renewed) => over = connection.over(renewed),
            None => return outcome::<A>(&over, answer),
        }
    }
}

/// Makes a call once, over this connection.
#[inline]
fn attempt(connection: &Connection, request: &CallRequest<'_>, ends: &mut Departing) -> Answer {
    let calls = connection.calls();
    match calls.start_blocking(request) {
        Ok(Started { call, first_channel }) => {
            ends.bind(connection, first_channel);
            calls.answer_blocking(call)
        }
        Err(answer) => answer,
    }
}
