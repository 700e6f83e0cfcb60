//! One connection of a session: its calls, its requests, its channels, and where it is in its life.

use std::task::{Poll, Waker};

use super::channels::Channels;
use super::incoming::Incoming;
use super::io::Io;
use super::outgoing::Outgoing;
use super::{CloseReason, Limits, Lookup, Metadata, Rejection, Role};

/// Finds what this side serves on a connection.
pub(crate) type Methods = Box<dyn Fn(u64) -> Lookup + Send>;

/// One connection of a session. Connection 0, the root, is there as long as the session; virtual ones come and go.
pub(super) struct Connection {
    pub(super) id: u32,
    /// Whoever opened the connection is its initiator: its IDs there are odd.
    pub(super) role: Role,
    pub(super) stage: Stage,
    /// The session's limits; requests, window and channels are this connection's own.
    pub(super) limits: Limits,
    pub(super) outgoing: Outgoing,
    pub(super) incoming: Incoming,
    pub(super) channels: Channels,
    /// What this side serves.
    pub(super) methods: Methods,
    /// What the peer said when it opened or accepted the connection.
    pub(super) metadata: Metadata,
    /// Whether somebody holds on to it, and may ask what became of it.
    pub(super) held: bool,
    /// Those that wait for the verdict or the end.
    pub(super) waiting: Vec<Waker>,
}

/// Where a connection is in its life.
#[derive(Debug)]
pub(super) enum Stage {
    /// This side has asked for it, or the session's handshake is not done.
    Opening,
    /// The peer has asked for it, and is to be answered.
    Asked,
    /// Calls may be made.
    Open,
    /// It is over.
    Over {
        /// Why.
        end: ConnectionEnd,
        /// The peer has yet to be told.
        untold: bool,
    },
}

/// Who says the last word on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// The peer has, or nothing can be said any more.
    Said,
    /// This side, after all that it has said before.
    Ours,
}

/// Why a connection is over.
#[derive(Clone, Debug)]
pub(crate) enum ConnectionEnd {
    /// It was open, and has ended.
    Closed(CloseReason),
    /// The peer did not take it.
    Rejected(Rejection),
}

impl Connection {
    pub(super) fn new(id: u32, role: Role, stage: Stage, limits: Limits, methods: Methods) -> Self {
        Self {
            id,
            role,
            stage,
            limits,
            outgoing: Outgoing::new(role),
            incoming: Incoming::default(),
            channels: Channels::new(id, role),
            methods,
            metadata: Metadata::new(),
            held: false,
            waiting: Vec::new(),
        }
    }

    #[inline]
    pub(super) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open)
    }

    /// Why it is over, if it is.
    pub(super) fn end(&self) -> Option<&ConnectionEnd> {
        match &self.stage {
            Stage::Over { end, .. } => Some(end),
            Stage::Opening | Stage::Asked | Stage::Open => None,
        }
    }

    /// It is over: every call has its answer, every handler is cancelled, every channel carries no more.
    pub(super) fn finish(&mut self, end: ConnectionEnd, last: Last, io: &mut Io) {
        if last == Last::Said {
            // Nobody listens to what waits here any more.
            io.outbox.take_back_connection(self.id);
        }
        if let Stage::Over { untold, .. } = &mut self.stage {
            *untold &= last == Last::Ours;
            return;
        }
        let reason = match &end {
            ConnectionEnd::Closed(reason) => reason.clone(),
            ConnectionEnd::Rejected(_) => CloseReason::Goodbye,
        };
        self.outgoing.end(self.id, &reason, last, io);
        let unhandled = self.incoming.end(self.id, io);
        self.channels.end(&reason, io);
        self.channels.forget(&unhandled, io);
        match self.stage {
            Stage::Asked => io.inbox.opens.retain(|request| request.id != self.id),
            _ if self.id != 0 && !io.inbox.unattended => io.inbox.closed.push(self.id),
            _ => {}
        }
        io.inbox.wake(&mut io.wakers);
        io.wakers.append(&mut self.waiting);
        self.stage = Stage::Over { end, untold: last == Last::Ours };
    }

    /// Whether nobody has anything to ask of it any more.
    pub(super) fn is_spent(&self) -> bool {
        matches!(self.stage, Stage::Over { untold: false, .. })
            && !self.held
            && self.outgoing.is_empty()
            && self.channels.is_empty()
    }

    /// Ready when it is over.
    pub(super) fn poll_over(&mut self, waker: &Waker) -> Poll<ConnectionEnd> {
        match self.end() {
            Some(end) => Poll::Ready(end.clone()),
            None => {
                self.wait(waker);
                Poll::Pending
            }
        }
    }

    pub(super) fn wait(&mut self, waker: &Waker) {
        if !self.waiting.iter().any(|known| known.will_wake(waker)) {
            self.waiting.push(waker.clone());
        }
    }
}
