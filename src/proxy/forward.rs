//! Passing calls on, one by one.

use std::fmt;
use std::future::poll_fn;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use super::pump::{self, End, Running};
use crate::driver::{Arrived, Calls, Reply, Request};
use crate::link::Lost;
use crate::service::private::{Incoming, Place, Started};
use crate::service::trace::{CallSpan, TraceContext};
use crate::service::{Connection, Descriptor, Service};
use crate::session::{
    Answer, Attached, CallId, CallRequest, Callee, ChannelId, Declared, Failure, Flow, Metadata, Method,
    Outcome, Response, Wish,
};

/// A service that passes every call on over a connection, whatever it is: to a cell, to another machine.
///
/// Arguments and results are not decoded. Channels in them are passed on item by item with the credit of the far side,
/// cancellation, deadline, metadata and errors go along; metadata that is not to be propagated is left out. A peer behind
/// that is gone shows as [`CallError::Upstream`](crate::CallError::Upstream).
///
/// ```no_run
/// # use transom::{Connector, Server, proxy::Forward};
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let behind = Connector::new("shm:/run/behind.sock").session().await?;
/// Server::new("tcp:127.0.0.1:7000", Forward::to(behind.root())).bind()?.run().await?;
/// # Ok(())
/// # }
/// ```
/// It runs in a tokio runtime.
#[derive(Clone)]
pub struct Forward(Arc<Target>);

/// Where a [`Forward`] that was made before its connection will pass its calls on to.
#[derive(Clone)]
pub struct Upstream(Arc<Target>);

/// Where calls are passed on to.
struct Target {
    connection: OnceLock<Connection>,
    /// Told when it is set, where calls that come before wait for that.
    set: Option<Notify>,
}

impl Target {
    async fn get(&self) -> Option<&Connection> {
        let Some(set) = &self.set else { return self.connection.get() };
        loop {
            // Before the look: what is set from here on is told.
            let told = set.notified();
            if let Some(connection) = self.connection.get() {
                return Some(connection);
            }
            told.await;
        }
    }
}

/// The connection to pass calls on to has been set before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection to pass calls on to has been set before")]
pub struct AlreadySet;

impl Forward {
    /// Passes calls on over `connection`, which it keeps open.
    pub fn to(connection: Connection) -> Self {
        Self(Arc::new(Target { connection: OnceLock::from(connection), set: None }))
    }

    /// One that is told later where to pass calls on to: where each side of a proxy needs the other to be made first.
    /// Calls that come before are refused, and did not run.
    pub fn late() -> (Self, Upstream) {
        Self::with(None)
    }

    /// Like [`late`](Self::late), but calls that come before wait.
    pub(super) fn soon() -> (Self, Upstream) {
        Self::with(Some(Notify::new()))
    }

    fn with(set: Option<Notify>) -> (Self, Upstream) {
        let target = Arc::new(Target { connection: OnceLock::new(), set });
        (Self(Arc::clone(&target)), Upstream(target))
    }
}

impl Upstream {
    /// Has calls passed on over `connection` from here on.
    ///
    /// # Errors
    /// [`AlreadySet`]; nothing has changed.
    pub fn set(&self, connection: Connection) -> Result<(), AlreadySet> {
        self.0.connection.set(connection).map_err(|_| AlreadySet)?;
        if let Some(set) = &self.0.set {
            set.notify_waiters();
        }
        Ok(())
    }
}

impl Service for Forward {
    fn descriptors(&self) -> Vec<&'static Descriptor> {
        Vec::new()
    }

    fn method(&self, _id: u64) -> Option<&'static Method> {
        None
    }

    fn spawns(&self, _id: u64) -> bool {
        false
    }

    fn forwards(&self) -> bool {
        true
    }

    fn start(&self, call: Incoming, place: Place<'_>) -> Started {
        let forward = self.clone();
        place.put(async move {
            let (request, mut span) = call.into_parts();
            match forward.0.get().await {
                Some(connection) => pass_on(request, connection, &mut span).await,
                None => refuse(request.reply, Failure::Refused, &mut span),
            }
        })
    }
}

/// What shows a call to whom wants to see it.
type Shown = Option<Box<CallSpan>>;

fn refuse(reply: Reply, failure: Failure, span: &mut Shown) {
    if let Some(span) = span {
        span.failed(&failure);
    }
    reply.fail(failure);
}

/// The metadata that goes along with a call that is passed on, with arguments of this length.
fn passed_on(metadata: &Metadata, connection: &Connection, length: usize, span: &Shown) -> Metadata {
    let mut passed = metadata.propagated();
    let trace = span.as_ref().map(|span| span.context()).or_else(|| TraceContext::of(metadata));
    if let (Some(trace), Some(agreed)) = (trace, connection.session().negotiated()) {
        trace.tell(&mut passed, length, &agreed.limits);
    }
    passed
}

/// Makes the call that `request` asks for over `connection`, and answers with its answer.
async fn pass_on(request: Request, connection: &Connection, span: &mut Shown) {
    let Request { payload, body, attached, mut arrived, reply, .. } = request;
    let Attached { metadata, deadline, binding, .. } = attached.map_or_else(Attached::default, |all| *all);
    let Some(binding) = binding else { return refuse(reply, Failure::UnknownMethod, span) };
    let calls = connection.shared_calls();
    let wishes = wishes(arrived.as_deref(), calls);
    let Ok(descriptors) = descriptors(arrived.as_deref()) else {
        return refuse(reply, Failure::InvalidPayload(Lost.to_string()), span);
    };
    let arguments = payload.get(body..).unwrap_or_default();
    let metadata = passed_on(&metadata, connection, arguments.len() + 32 * wishes.len(), span);
    let mut caller = Caller { calls, connection: connection.id(), state: State::Waiting(None) };
    let started = poll_fn(|cx| match &mut caller.state {
        State::Waiting(ticket) => {
            let call = CallRequest {
                connection: connection.id(),
                method: Callee::Forwarded(&binding),
                body: &arguments,
                metadata: &metadata,
                channels: &wishes,
                descriptors: &descriptors,
                deadline,
            };
            calls.poll_start(&call, ticket, cx)
        }
        State::Sent(_) | State::Done => unreachable!("it is polled until it is ready"),
    });
    let answer = match started.await {
        Ok(started) => {
            caller.state = State::Sent(started.call);
            let back = match &mut arrived {
                Some(arrived) => {
                    arrived.descriptors_mut().close();
                    let (near, far) = (reply.session(), (calls, connection.id(), started.first_channel));
                    join(arrived, near, far)
                }
                None => Vec::new(),
            };
            let answer = poll_fn(|cx| calls.poll_answer(started.call, cx)).await;
            caller.state = State::Done;
            // What was sent before the answer comes before it.
            for pump in back {
                let mut goal = None;
                poll_fn(|cx| pump.poll_passed(&mut goal, cx)).await;
            }
            answer
        }
        Err(answer) => answer,
    };
    caller.state = State::Done;
    if let Some(span) = span {
        span.answered(&answer);
    }
    drop((payload, arrived));
    answer_with(reply, answer, calls, connection.id());
}

/// What channels a message must declare to the peer of `calls` that passes these on.
fn wishes(arrived: Option<&Arrived>, calls: &Arc<dyn Calls>) -> Vec<Wish> {
    let Some(arrived) = arrived else { return Vec::new() };
    let most = calls.negotiated().map_or(1, |agreed| agreed.limits.window);
    let declared = (0..arrived.count()).filter_map(|n| arrived.get(n));
    // What flows to here from the one side flows from here to the other. Who receives there says how far ahead of it the
    // sender here may be, but it is here that it is kept.
    let wish = |Declared { flow, window, .. }| Wish { flow: flow.other(), window: Some(window.min(most)) };
    declared.map(wish).collect()
}

/// The descriptors that a message takes along that passes these on.
fn descriptors(arrived: Option<&Arrived>) -> Result<Vec<BorrowedFd<'_>>, Lost> {
    arrived.map_or_else(|| Ok(Vec::new()), |arrived| arrived.descriptors().borrow())
}

/// Passes the items of channels on, between those that have arrived and those that were declared for them: `far` is a
/// session, a connection, and the first channel's ID. Gives back those that come from there.
fn join(arrived: &mut Arrived, near: &Arc<dyn Calls>, far: (&Arc<dyn Calls>, u32, u64)) -> Vec<Running> {
    let (calls, connection, first) = far;
    let mut from_there = Vec::new();
    for n in 0..arrived.count() {
        let Some(Declared { flow, .. }) = arrived.get(n) else { continue };
        let Some(channel) = arrived.take(n, flow) else { continue };
        let near = End::new(near, channel);
        let far = End::new(calls, ChannelId { connection, id: first + 2 * n as u64 });
        match flow {
            Flow::In => drop(pump::start(near, far)),
            Flow::Out => from_there.push(pump::start(far, near)),
        }
    }
    from_there
}

/// Answers a request with the answer that its call has got over the far connection.
fn answer_with(reply: Reply, answer: Answer, far: &Arc<dyn Calls>, connection: u32) {
    match answer {
        Answer::Response(response) => {
            let Response { payload, body, attached } = response;
            let mut attached = attached.map_or_else(Attached::default, |all| *all);
            let mut arrived = Arrived::with(far, connection, &mut attached);
            let Ok(descriptors) = descriptors(arrived.as_ref()) else {
                return reply.fail(Failure::InvalidPayload(Lost.to_string()));
            };
            let (near, call) = (Arc::clone(reply.session()), reply.call());
            let (metadata, wishes) = (attached.metadata.propagated(), wishes(arrived.as_ref(), &near));
            let body = payload.get(body..).unwrap_or_default();
            let (channels, descriptors) = (&wishes[..], &descriptors[..]);
            let outcome = Outcome { body: &body, metadata: &metadata, channels, descriptors };
            // Not answered, the channels go with `arrived`.
            if let (Some(first), Some(arrived)) = (reply.respond(outcome), &mut arrived) {
                drop(join(arrived, far, (&near, call.connection, first)));
            }
        }
        Answer::Failure(failure) => reply.fail(failure),
        Answer::Disconnected { reason, maybe_executed } => {
            reply.fail(Failure::Upstream { reason, maybe_executed });
        }
    }
}

/// The call over the far connection: given up when this is dropped before it has an answer.
struct Caller<'a> {
    calls: &'a Arc<dyn Calls>,
    connection: u32,
    state: State,
}

enum State {
    Waiting(Option<u64>),
    Sent(CallId),
    Done,
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        match self.state {
            State::Waiting(Some(ticket)) => self.calls.abandon(self.connection, ticket),
            State::Sent(call) => self.calls.cancel(call),
            State::Waiting(None) | State::Done => {}
        }
    }
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Forward").field(&self.0.connection.get()).finish()
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Upstream").field(&self.0.connection.get()).finish()
    }
}
