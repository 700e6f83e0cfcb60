//! What the two ends of a channel know of each other: that neither has been passed on, that one is on its way, and at last
//! the channel of the session that the one which stays here sends on or receives from.
//!
//! ```text
//!              claim                bind
//!   both here ───────> one claimed ──────> bound
//!       │                  │ lose            │
//!       │ leave            v                 │ leave
//!       └──────────────> over <──────────────┘      (in any state the end that stays may be left before it is bound)
//! ```

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};

use super::crowd::Crowd;
use crate::codec::HandleError;
use crate::driver::Calls;
use crate::service::Connection;
use crate::session::{ChannelId, Flow, Metadata, Wish};

/// What the two ends of a channel share. An end is known by the way that items flow at it: `Out` is the one to send on.
#[derive(Debug)]
pub(super) struct Pairing {
    window: Option<u32>,
    bound: OnceLock<Bound>,
    state: Mutex<State>,
    /// Those who wait until it is bound, or over.
    waiting: Crowd,
}

/// The channel of a session that an end here stands for.
#[derive(Debug)]
pub(super) struct Bound {
    connection: Connection,
    pub(super) channel: ChannelId,
    /// Which end is here.
    here: Flow,
    /// How many bytes of credit are given back at a time.
    pub(super) refund: u64,
    /// The most bytes of a message.
    pub(super) payload: u64,
}

/// What becomes of a pair before it is bound.
#[derive(Debug, Default)]
struct State {
    /// Which end is in a message, or came from the peer's: the one that is not here.
    away: Option<Flow>,
    /// The message was not sent.
    lost: bool,
    /// Which end was dropped while it was here, and how.
    left: Option<(Flow, Leave)>,
}

/// How an application lets go of an end.
#[derive(Clone, Debug)]
pub(super) enum Leave {
    /// All items were sent.
    Finish(Metadata),
    /// At once.
    Reset,
}

/// Why an end will never be bound.
#[derive(Debug)]
pub(super) enum Unbound {
    /// It is in a message, or with the peer.
    PassedOn,
    /// The other end was dropped before it was passed on.
    Finished(Metadata),
    /// The other end was dropped at once, or lost.
    Reset,
}

impl Pairing {
    /// A pair of which both ends are here. If the one that receives stays, the sender may be ahead by `window` bytes.
    pub(super) fn new(window: Option<u32>) -> Self {
        Self { window, bound: OnceLock::new(), state: Mutex::default(), waiting: Crowd::default() }
    }

    /// A pair of which one end has come in a message.
    pub(super) fn arriving(here: Flow) -> Self {
        let pairing = Self::new(None);
        pairing.lock().away = Some(here.other());
        pairing
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The channel that an end stands for, if it is bound.
    #[inline]
    pub(super) fn bound(&self, end: Flow) -> Option<&Bound> {
        self.bound.get().filter(|bound| bound.here == end)
    }

    /// Ready with the channel that an end stands for, once it is bound.
    #[inline]
    pub(super) fn poll_bound(&self, end: Flow, waker: &Waker) -> Poll<Result<&Bound, Unbound>> {
        self.bound(end).map_or_else(|| self.wait(end, waker), |bound| Poll::Ready(Ok(bound)))
    }

    #[cold]
    fn wait(&self, end: Flow, waker: &Waker) -> Poll<Result<&Bound, Unbound>> {
        // Whoever changes the state wakes the crowd after that.
        self.waiting.join(waker);
        let state = self.lock();
        if let Some(bound) = self.bound(end) {
            return Poll::Ready(Ok(bound));
        }
        state.outlook(end).map_or(Poll::Pending, |unbound| Poll::Ready(Err(unbound)))
    }

    /// Why an end that is not bound will never be, if it is known.
    pub(super) fn outlook(&self, end: Flow) -> Option<Unbound> {
        self.lock().outlook(end)
    }

    /// Takes an end away, for a message; what is to be declared for it.
    ///
    /// # Errors
    /// [`HandleError::InUse`] if the other one is away already.
    pub(super) fn claim(&self, end: Flow) -> Result<Wish, HandleError> {
        let mut state = self.lock();
        if state.away.is_some() {
            return Err(HandleError::InUse);
        }
        state.away = Some(end);
        Ok(Wish { flow: end.other(), window: self.window })
    }

    /// The message was sent, or has come: the end that is here stands for this channel.
    pub(super) fn bind(&self, connection: &Connection, channel: ChannelId) {
        let agreed = connection.session().negotiated();
        let (window, payload) = agreed.map_or((0, 0), |agreed| (agreed.limits.window, agreed.limits.payload));
        let refund = u64::from(self.window.unwrap_or(window) / 2).max(1);
        let state = self.lock();
        let Some(here) = state.away.map(Flow::other) else { return };
        let bound = Bound { connection: connection.clone(), channel, here, refund, payload };
        let left = state.left.clone();
        let unbound = match left {
            None => self.bound.set(bound).err(),
            Some(_) => Some(bound),
        };
        drop(state);
        if let (Some(bound), Some((_, leave))) = (unbound, left) {
            bound.leave(&leave);
        }
        self.waiting.disperse();
    }

    /// The message was not sent.
    pub(super) fn lose(&self) {
        self.lock().lost = true;
        self.waiting.disperse();
    }

    /// The application lets go of an end. That of one that was passed on means nothing.
    pub(super) fn leave(&self, end: Flow, leave: Leave) {
        let mut state = self.lock();
        if state.away == Some(end) {
            return;
        }
        let bound = self.bound.get();
        if bound.is_none() {
            state.left = Some((end, leave.clone()));
        }
        drop(state);
        match bound {
            Some(bound) => bound.leave(&leave),
            None => self.waiting.disperse(),
        }
    }
}

impl State {
    fn outlook(&self, end: Flow) -> Option<Unbound> {
        match &self.left {
            _ if self.away == Some(end) => Some(Unbound::PassedOn),
            _ if self.lost => Some(Unbound::Reset),
            Some((left, Leave::Finish(metadata))) if *left != end => {
                Some(Unbound::Finished(metadata.clone()))
            }
            Some((left, Leave::Reset)) if *left != end => Some(Unbound::Reset),
            _ => None,
        }
    }
}

impl Bound {
    #[inline]
    pub(super) fn calls(&self) -> &dyn Calls {
        self.connection.calls()
    }

    fn leave(&self, leave: &Leave) {
        match leave {
            Leave::Finish(metadata) => self.calls().finish(self.channel, metadata),
            Leave::Reset => self.calls().reset(self.channel),
        }
    }
}
