//! What the connections of a session share: the way out, the time, those who wait, and what is to be done for the peer.

use std::task::Waker;

use super::cells::Cells;
use super::machine::register;
use super::outbox::{Along, NotNow, Outbox};
use super::stats::Traffic;
use super::timers::Timers;
use super::{CallId, ChannelId, Inbound, OpenRequest, Role, Work};
use crate::link::Transmit;

/// What the connections of a session share.
pub(super) struct Io {
    pub(super) outbox: Outbox,
    pub(super) timers: Timers,
    /// Those to wake once the step is over.
    pub(super) wakers: Vec<Waker>,
    /// Wakers that are of no use any more. They are dropped once the step is over, too: that may run anything.
    pub(super) spent: Vec<Waker>,
    pub(super) room: Room,
    pub(super) inbox: Inbox,
    pub(super) cells: Cells,
    pub(super) in_flight: InFlight,
    /// What has come from the peer.
    pub(super) received: Traffic,
}

impl Io {
    pub(super) fn new(role: Role) -> Self {
        Self {
            outbox: Outbox::default(),
            timers: Timers::default(),
            wakers: Vec::new(),
            spent: Vec::new(),
            room: Room::default(),
            inbox: Inbox::default(),
            cells: Cells::new(role),
            in_flight: InFlight::default(),
            received: Traffic::default(),
        }
    }

    /// Has `waker` woken in place of whoever was to be.
    #[inline]
    pub(super) fn register(&mut self, known: &mut Option<Waker>, waker: Option<&Waker>) {
        self.spent.extend(register(known, waker));
    }
}

/// What is under way, on all connections together.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    /// Calls of this side that the peer has not answered.
    pub(super) calls: usize,
    /// Requests of the peer that are not wholly answered.
    pub(super) requests: usize,
    /// Channels whose last frame has not passed.
    pub(super) channels: usize,
}

impl InFlight {
    /// Whether nothing is under way.
    #[inline]
    pub(super) fn is_none(&self) -> bool {
        (self.calls, self.requests, self.channels) == (0, 0, 0)
    }
}

/// Who waits for room in the link.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// The least that somebody waits for.
    length: Option<usize>,
    /// The least that somebody waits for who is behind others, and the outbox's turn at that time. Before that has changed
    /// there is no use in waking anybody, however much room there is.
    behind: Option<(usize, u64)>,
    /// The fewest descriptors that somebody waits to send.
    descriptors: Option<usize>,
    /// Connections whose callers wait.
    pub(super) callers: Vec<u32>,
    /// Channels whose senders wait.
    pub(super) senders: Vec<ChannelId>,
}

impl Room {
    /// Somebody waits to send a message of this length, and what goes along with it.
    pub(super) fn wait_for(
        &mut self,
        length: usize,
        along: Along<'_>,
        why: NotNow,
        outbox: &Outbox,
        out: &dyn Transmit,
    ) {
        let length = length.min(out.max_payload());
        match why {
            NotNow::Behind => {
                let (least, turn) = self.behind.unwrap_or_else(|| (length, outbox.turns()));
                self.behind = Some((least.min(length), turn));
            }
            NotNow::NoRoom | NotNow::TooLong => self.waits_for(length),
            NotNow::NoPlace => {
                let count = along.descriptors.len();
                self.descriptors = Some(self.descriptors.map_or(count, |fewest| fewest.min(count)));
            }
            NotNow::Never(_) => {}
        }
    }

    fn waits_for(&mut self, length: usize) {
        self.length = Some(self.length.map_or(length, |least| least.min(length)));
    }

    #[inline]
    pub(super) fn is_waited_for(&self) -> bool {
        self.length.is_some() || self.behind.is_some() || self.descriptors.is_some()
    }

    /// Whether there is room again that somebody has waited for, for bytes or for descriptors. Then whoever waits is to be
    /// woken; who finds that it was not theirs waits for their own, so that nobody is woken again for the same.
    pub(super) fn is_there(&mut self, outbox: &Outbox, out: &mut dyn Transmit) -> bool {
        if let Some((length, _)) = self.behind.take_if(|(_, turn)| *turn != outbox.turns()) {
            self.waits_for(length);
        }
        let bytes = self.length.take_if(|length| outbox.has_room(*length, out)).is_some();
        let descriptors = self.descriptors.take_if(|fewest| out.has_room_for(*fewest)).is_some();
        bytes || descriptors
    }
}

/// What is to be done for the peer, in the order in which it came.
#[derive(Default)]
pub(super) struct Inbox {
    /// Requests to handle.
    pub(super) requests: std::collections::VecDeque<Inbound>,
    /// Connections that the peer wants to open.
    pub(super) opens: Vec<OpenRequest>,
    /// Requests that are being handled and are not wanted any more.
    pub(super) cancelled: Vec<CallId>,
    /// Connections that are over: whatever serves them may go.
    pub(super) closed: Vec<u32>,
    /// Nobody ever asks what is to be done.
    pub(super) unattended: bool,
    /// Whoever serves, and waits for something to do.
    server: Option<Waker>,
}

impl Inbox {
    /// Wakes whoever serves.
    #[inline]
    pub(super) fn wake(&mut self, wakers: &mut Vec<Waker>) {
        wakers.extend(self.server.take());
    }

    /// What is to be done next.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Work> {
        if let Some(id) = self.cancelled.pop() {
            return Some(Work::Drop(id));
        }
        if let Some(inbound) = self.requests.pop_front() {
            return Some(Work::Serve(inbound));
        }
        if !self.opens.is_empty() {
            return Some(Work::Open(self.opens.remove(0)));
        }
        self.closed.pop().map(Work::Closed)
    }

    /// Whom to wake when there is something to do; nobody, if whoever serves is awake.
    #[inline]
    pub(super) fn wait(&mut self, waker: Option<&Waker>) {
        // A driver's own.
        drop(register(&mut self.server, waker));
    }
}
