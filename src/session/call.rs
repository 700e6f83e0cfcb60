//! A call as its caller sees it: what is asked, and how it ended.

use std::time::Instant;

use super::{CloseReason, Failure, Metadata, Method};
use crate::codec::Body;
use crate::link::Buffer;

/// A call to be made.
pub(crate) struct CallRequest<'a> {
    /// Which method.
    pub(crate) method: &'static Method,
    /// Its arguments.
    pub(crate) body: &'a dyn Body,
    /// What goes along.
    pub(crate) metadata: &'a Metadata,
    /// When the caller stops waiting.
    pub(crate) deadline: Option<Instant>,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The encoded result.
    Response(Buffer),
    /// The peer, or this side's own check, said why not.
    Failure(Failure),
    /// The session ended before the answer came.
    Disconnected {
        /// Why.
        reason: CloseReason,
        /// Whether the peer may have run the call.
        maybe_executed: bool,
    },
}

/// What became of the attempt to start a call.
#[derive(Debug)]
pub(crate) enum StartCall {
    /// It is on its way under this ID.
    Started(u64),
    /// Not now: [`Session::wait_turn`](super::Session::wait_turn), then try again.
    Busy,
    /// It never will be; nothing was sent.
    Refused(Answer),
}

/// A request that arrived whole and is to be handled.
#[derive(Debug)]
pub(crate) struct Inbound {
    /// To answer it by.
    pub(crate) id: u64,
    /// Which method is called.
    pub(crate) method: u64,
    /// The encoded arguments, with whatever precedes them.
    pub(crate) payload: Buffer,
    /// Where in `payload` the arguments begin.
    pub(crate) body: usize,
    /// What the caller attached.
    pub(crate) metadata: Metadata,
    /// When the caller stops waiting.
    pub(crate) deadline: Option<Instant>,
}

/// What is to be done for the peer's requests.
#[derive(Debug)]
pub(crate) enum Work {
    /// Handle a request, and answer it.
    Serve(Inbound),
    /// Drop the handler of the request with this ID, if it still runs.
    Drop(u64),
    /// Nothing, ever again: the session is over.
    Over,
}
