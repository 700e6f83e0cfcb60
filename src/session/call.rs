//! A call as its caller sees it: what is asked, and how it ended.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use super::method::Binding;
use super::{CallId, Callee, CloseReason, Failure, Flow, Metadata};
use crate::codec::Body;
use crate::link::{Buffer, Descriptors};

/// A call to be made.
pub(crate) struct CallRequest<'a> {
    /// The connection it is made on.
    pub(crate) connection: u32,
    /// Which method.
    pub(crate) method: Callee<'a>,
    /// Its arguments.
    pub(crate) body: &'a dyn Body,
    /// What goes along.
    pub(crate) metadata: &'a Metadata,
    /// The channels that its arguments declare.
    pub(crate) channels: &'a [Wish],
    /// The descriptors in its arguments.
    pub(crate) descriptors: &'a [BorrowedFd<'a>],
    /// When the caller stops waiting.
    pub(crate) deadline: Option<Instant>,
}

impl<'a> CallRequest<'a> {
    /// A call on the root connection with nothing besides.
    #[cfg(any(fuzzing, test))]
    pub(crate) fn plain(method: Callee<'a>, body: &'a dyn Body) -> Self {
        let metadata = Metadata::empty();
        Self { connection: 0, method, body, metadata, channels: &[], descriptors: &[], deadline: None }
    }

    /// How many descriptors are to go along.
    #[inline]
    pub(super) fn descriptor_count(&self) -> u32 {
        // Of more than a few the link does not hear.
        u32::try_from(self.descriptors.len()).unwrap_or(u32::MAX)
    }
}

/// A channel that a message is to declare.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    /// Which way it flows, seen from the end that stays here.
    pub(crate) flow: Flow,
    /// The window of the end that stays here, if it receives and wants another than the connection's.
    pub(crate) window: Option<u32>,
}

/// A channel that the peer's message has declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Declared {
    /// Its ID on the message's connection.
    pub(crate) id: u64,
    /// Which way it flows, seen from here.
    pub(crate) flow: Flow,
    /// How far ahead of the receiver the sender may be.
    pub(crate) window: u32,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The peer's result.
    Response(Response),
    /// The peer, or this side's own check, said why not.
    Failure(Failure),
    /// The session or the connection ended before the answer came.
    Disconnected {
        /// Why.
        reason: CloseReason,
        /// Whether the peer may have run the call.
        maybe_executed: bool,
    },
}

/// The good end of a call.
#[derive(Debug, Default)]
pub(crate) struct Response {
    /// The encoded result, with whatever precedes it.
    pub(crate) payload: Buffer,
    /// Where in `payload` the result begins.
    pub(crate) body: usize,
    /// What came along.
    pub(crate) attached: Option<Box<Attached>>,
}

/// What comes along with a message besides its body. Most have nothing.
#[derive(Debug, Default)]
pub(crate) struct Attached {
    /// What whoever sent it attached.
    pub(crate) metadata: Metadata,
    /// The channels that it declares.
    pub(crate) channels: Vec<Declared>,
    /// The descriptors that came with it.
    pub(crate) descriptors: Descriptors,
    /// When its caller stops waiting.
    pub(crate) deadline: Option<Instant>,
    /// How its caller has bound its method, on a connection whose calls are forwarded.
    pub(crate) binding: Option<Binding>,
}

impl Response {
    /// The encoded result.
    #[inline]
    pub(crate) fn result(&self) -> &[u8] {
        self.payload.get(self.body..).unwrap_or_default()
    }

    /// What whoever sent it attached.
    pub(crate) fn take_metadata(&mut self) -> Metadata {
        self.attached.as_mut().map_or_else(Metadata::new, |attached| std::mem::take(&mut attached.metadata))
    }

    /// The channels that it declares.
    #[cfg(any(fuzzing, test))]
    pub(crate) fn take_channels(&mut self) -> Vec<Declared> {
        self.attached.as_mut().map_or_else(Vec::new, |attached| std::mem::take(&mut attached.channels))
    }
}

/// A result to answer with.
#[derive(Clone, Copy)]
pub(crate) struct Outcome<'a> {
    /// The result.
    pub(crate) body: &'a dyn Body,
    /// What goes along.
    pub(crate) metadata: &'a Metadata,
    /// The channels that it declares.
    pub(crate) channels: &'a [Wish],
    /// The descriptors in it.
    pub(crate) descriptors: &'a [BorrowedFd<'a>],
}

impl<'a> Outcome<'a> {
    /// A result with nothing besides.
    pub(crate) fn plain(body: &'a dyn Body) -> Self {
        Self { body, metadata: Metadata::empty(), channels: &[], descriptors: &[] }
    }
}

/// A call that is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Started {
    /// Its ID.
    pub(crate) call: CallId,
    /// The ID of the first channel that it declares; every next one is two higher.
    pub(crate) first_channel: u64,
}

/// What became of the attempt to start a call.
#[derive(Debug)]
pub(crate) enum StartCall {
    /// It is on its way.
    Started(Started),
    /// Not now: [`Session::wait_turn`](super::Session::wait_turn), then try again.
    Busy,
    /// It never will be; nothing was sent.
    Refused(Answer),
}

/// A request that arrived whole and is to be handled.
#[derive(Debug)]
pub(crate) struct Inbound {
    /// To answer it by.
    pub(crate) call: CallId,
    /// Which method is called.
    pub(crate) method: u64,
    /// The encoded arguments, with whatever precedes them.
    pub(crate) payload: Buffer,
    /// Where in `payload` the arguments begin.
    pub(crate) body: usize,
    /// What came along.
    pub(crate) attached: Option<Box<Attached>>,
}

/// What is to be done for the peer.
#[derive(Debug)]
pub(crate) enum Work {
    /// Handle a request, and answer it.
    Serve(Inbound),
    /// Drop the handler of this request, if it still runs.
    Drop(CallId),
    /// Decide about a connection that the peer wants to open.
    Open(OpenRequest),
    /// Let go of what serves this connection: it is over.
    Closed(u32),
    /// Nothing, ever again: the session is over.
    Over,
}

/// A connection that the peer wants to open.
#[derive(Clone, Debug)]
pub(crate) struct OpenRequest {
    /// Its ID.
    pub(crate) id: u32,
    /// The service that the peer wants to call on it, if it said so.
    pub(crate) service: String,
    /// What it attached.
    pub(crate) metadata: Metadata,
    /// What it is willing to take.
    pub(crate) settings: ConnectionSettings,
}

/// The limits of one connection, each at most the session's. Both sides keep to the smaller of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionSettings {
    /// The most requests in flight, for each direction.
    pub requests: u32,
    /// The bytes that a channel's sender may send before it is granted more.
    pub window: u32,
    /// The most channels open at a time, of those that each side declares.
    pub channels: u32,
}

impl ConnectionSettings {
    /// The most requests in flight, the window of a channel, and the most channels. Neither of the first two may be zero:
    /// then they count as one.
    pub fn new(requests: u32, window: u32, channels: u32) -> Self {
        Self { requests: requests.max(1), window: window.max(1), channels }
    }
}
