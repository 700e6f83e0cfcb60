//! The spans of a call: that of who makes it, and that of who answers it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tracing::field::Empty;
use tracing::subscriber::NoSubscriber;
use tracing::{Span, debug_span};

use super::TraceContext;
use crate::driver::{Handler, Request};
use crate::session::{Answer, CallId, Callee, Failure, Method};

/// A call as a span, on either side. It tells how the call ended.
#[derive(Debug)]
pub(crate) struct CallSpan {
    span: Span,
    here: TraceContext,
    told: bool,
}

impl CallSpan {
    /// That of who calls `method` on a connection, as part of what `parent` is part of; `None` if nobody wants it.
    pub(in crate::service) fn calling(
        method: Callee<'_>,
        connection: u32,
        parent: Option<TraceContext>,
    ) -> Option<Box<Self>> {
        let here = parent.map_or_else(TraceContext::root, TraceContext::child);
        let [service, name] = method.names();
        let span = debug_span!(
            target: "transom::call",
            "transom.call",
            service,
            method = name,
            connection,
            request = Empty,
            trace_id = %here.trace_id(),
            span_id = %here.span_id(),
            parent_id = parent.map(|parent| display(parent.span_id())),
            outcome = Empty,
        );
        Self::wanted(span, here)
    }

    /// That of who answers a request; `None` if nobody wants it. `method` is what it calls, if that is known here.
    pub(in crate::service) fn handling(
        request: &Request,
        method: Option<&'static Method>,
    ) -> Option<Box<Self>> {
        let attached = request.attached.as_deref();
        let parent = attached.and_then(|attached| TraceContext::of(&attached.metadata));
        let here = parent.map_or_else(TraceContext::root, TraceContext::child);
        let bound = attached.and_then(|attached| attached.binding.as_deref());
        let method = method.map(Callee::Known).or_else(|| bound.map(Callee::Forwarded));
        let [service, name] = method.as_ref().map_or([""; 2], Callee::names);
        let call = request.reply.call();
        // Its parent is at the caller's.
        let span = debug_span!(
            target: "transom::call",
            parent: None,
            "transom.handle",
            service,
            method = name,
            connection = call.connection,
            request = call.id,
            trace_id = %here.trace_id(),
            span_id = %here.span_id(),
            parent_id = parent.map(|parent| display(parent.span_id())),
            outcome = Empty,
        );
        Self::wanted(span, here)
    }

    fn wanted(span: Span, here: TraceContext) -> Option<Box<Self>> {
        // Who wants it may be on other threads alone.
        let wants = span.with_subscriber(|(_, subscriber)| !subscriber.is::<NoSubscriber>());
        wants.unwrap_or(false).then(|| Box::new(Self { span, here, told: false }))
    }

    /// What those are part of whom it calls.
    pub(crate) fn context(&self) -> TraceContext {
        self.here
    }

    /// Where its handler is to run.
    pub(in crate::service) fn span(&self) -> Span {
        self.span.clone()
    }

    /// The call is on its way under this ID.
    pub(in crate::service) fn sent(&self, call: CallId) {
        self.span.record("request", call.id);
    }

    /// The call has ended with this answer.
    pub(crate) fn answered(&mut self, answer: &Answer) {
        match answer {
            Answer::Response(_) => self.ends_as("ok"),
            Answer::Failure(failure) => self.failed(failure),
            Answer::Disconnected { .. } => self.ends_as("disconnected"),
        }
    }

    /// The call has failed.
    pub(crate) fn failed(&mut self, failure: &Failure) {
        self.ends_as(match failure {
            Failure::User(_) => "error",
            Failure::UnknownMethod => "unknown method",
            Failure::InvalidPayload(_) => "invalid payload",
            Failure::Cancelled => "cancelled",
            Failure::DeadlineExceeded => "deadline exceeded",
            Failure::HandlerPanicked => "panicked",
            Failure::TooLarge { .. } => "too large",
            Failure::Refused => "refused",
            Failure::Channels { .. } => "too many channels",
            Failure::Descriptors(_) => "descriptors not passed",
            Failure::Upstream { .. } => "disconnected upstream",
        });
    }

    /// The call has ended so.
    pub(in crate::service) fn ends_as(&mut self, outcome: &'static str) {
        self.told = true;
        self.span.record("outcome", outcome);
    }
}

/// Nobody waits for it any more, or its handler has come to nothing.
impl Drop for CallSpan {
    fn drop(&mut self) {
        if !self.told {
            self.ends_as(if std::thread::panicking() { "panicked" } else { "cancelled" });
        }
    }
}

/// A handler that runs in a span.
pub(in crate::service) struct InSpan {
    span: Span,
    handler: Option<Handler>,
}

impl InSpan {
    pub(in crate::service) fn new(span: Span, handler: Handler) -> Self {
        Self { span, handler: Some(handler) }
    }
}

impl Future for InSpan {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { span, handler } = &mut *self;
        let _entered = span.enter();
        handler.as_mut().map_or(Poll::Ready(()), |handler| handler.as_mut().poll(cx))
    }
}

/// What it drops, it drops in its span.
impl Drop for InSpan {
    fn drop(&mut self) {
        let _entered = self.span.enter();
        drop(self.handler.take());
    }
}
