//! What a session has done so far, and has under way: plain counters within what is locked anyway.

use super::Session;
use super::io::Io;
use crate::link::{Flags, Header, Kind, Transport};

/// What a session has done so far, and what it has under way, all of one moment: what
/// [`Session::stats`](crate::Session::stats) gives. Taking it is cheap, and counting costs a call next to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionStats {
    /// What carries the frames.
    pub transport: Transport,
    /// The calls that this side has made.
    pub calls: CallStats,
    /// The calls that the peer has made, for this side to answer.
    pub served: CallStats,
    /// Virtual connections that are open now.
    pub connections: u64,
    /// Channels that are open now: their sender's last word has not passed.
    pub channels: u64,
    /// What this side has sent.
    pub sent: TrafficStats,
    /// What has come from the peer.
    pub received: TrafficStats,
    /// How often this side has woken the peer because it slept; `None` where the kernel does that, on sockets.
    pub rings: Option<u64>,
    /// How often a task or a thread of this side has gone to sleep until the peer sends something.
    pub sleeps: u64,
}

/// Calls of one direction. They count from when all of their arguments are in the link: those that fail before, and those
/// that wait for their turn, do not.
///
/// Each call that has started ends as answered or as failed, on both sides alike, unless its connection ends before that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallStats {
    /// Calls that have been made.
    pub started: u64,
    /// Results that were answered.
    pub answered: u64,
    /// Errors that were answered, the methods' own among them.
    pub failed: u64,
    /// Calls for whose answer nobody waited any more, because they were dropped or out of time, and whose callee was told so.
    /// They are answered all the same, as failed if the handler was not done.
    pub cancelled: u64,
    /// Calls that are under way now: of those that have been made, or are about to be, the answer has not passed.
    pub in_flight: u64,
}

/// What has gone one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrafficStats {
    /// Frames. A message is one, or several if it is large.
    pub frames: u64,
    /// The bytes of the frames, with the 32 of each header. What a link needs besides is not counted.
    pub bytes: u64,
    /// Items of channels. Those that come after their receiver has gone do not count as received.
    pub items: u64,
}

/// What has gone one way, as it is counted.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    bytes: u64,
    frames: u64,
    pub(super) items: u64,
    /// Messages, by the number of their kind; fewer kinds than there are places.
    messages: [u64; 32],
}

impl Traffic {
    /// A frame has gone this way.
    #[inline]
    pub(super) fn count(&mut self, kind: Kind, flags: Flags, length: usize) {
        self.frames += 1;
        self.bytes += (Header::LEN + length) as u64;
        // The last frame of a message stands for it.
        let last = !flags.contains(Flags::MORE);
        self.messages[kind as usize % 32] += u64::from(last);
    }

    fn messages(&self, kind: Kind) -> u64 {
        self.messages[kind as usize % 32]
    }

    fn stats(&self) -> TrafficStats {
        TrafficStats { frames: self.frames, bytes: self.bytes, items: self.items }
    }
}

impl CallStats {
    /// Calls that have gone the way of `there`, and their answers the other.
    fn new(there: &Traffic, back: &Traffic, in_flight: usize) -> Self {
        Self {
            started: there.messages(Kind::Call),
            answered: back.messages(Kind::Response),
            failed: back.messages(Kind::Failure),
            cancelled: there.messages(Kind::Cancel),
            in_flight: in_flight as u64,
        }
    }
}

impl Session {
    /// What it has done so far, and has under way, as far as it knows: how often this side slept and rang is the driver's to
    /// say.
    pub(crate) fn stats(&self) -> SessionStats {
        let Io { in_flight, received, .. } = &self.io;
        let sent = &self.io.outbox.sent;
        SessionStats {
            transport: self.settings.transport.clone(),
            calls: CallStats::new(sent, received, in_flight.calls),
            served: CallStats::new(received, sent, in_flight.requests),
            connections: self.connections.count_open(),
            channels: in_flight.channels as u64,
            sent: sent.stats(),
            received: received.stats(),
            rings: None,
            sleeps: 0,
        }
    }
}
