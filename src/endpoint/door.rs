//! The door of a listener: who has come in through it, and whether anybody still may.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::driver::Calls;
use crate::service::Session;

/// The fewest sessions among which those that are over are looked for.
const FEW: usize = 64;

/// Who has come in through a listener, and whether anybody still may.
#[derive(Default)]
pub(super) struct Door(Mutex<State>);

#[derive(Default)]
struct State {
    /// Nobody comes in any more.
    closing: Option<Closing>,
    /// The sessions that have been opened. Some may be over.
    sessions: Vec<Weak<dyn Calls>>,
    /// How many there may be before those that are over are taken out.
    room: usize,
    /// Whoever waits until nobody comes in any more.
    waiting: Option<Waker>,
}

/// How long sessions have until they end.
#[derive(Clone, Copy)]
struct Closing {
    /// Unless that is longer than clocks count.
    until: Option<Instant>,
}

impl Closing {
    fn sooner(self, until: Option<Instant>) -> Self {
        Self { until: self.until.into_iter().chain(until).min() }
    }

    fn goodbye(self, calls: &dyn Calls) {
        calls.goodbye(self.until.map(|until| until.saturating_duration_since(Instant::now())));
    }
}

impl Door {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody comes in any more.
    pub(super) fn is_closing(&self) -> bool {
        self.lock().closing.is_some()
    }

    /// A session has been opened. If nobody was to come in any more it was almost too late, and has to leave again.
    pub(super) fn entered(&self, session: &Session) {
        let calls = session.shared_calls();
        let closing = {
            let mut state = self.lock();
            if state.sessions.len() >= state.room {
                state.sessions.retain(|session| session.strong_count() > 0);
                state.room = FEW.max(2 * state.sessions.len());
            }
            state.sessions.push(Arc::downgrade(calls));
            state.closing
        };
        if let Some(closing) = closing {
            closing.goodbye(&**calls);
        }
    }

    /// Nobody comes in any more, and whoever has has this long to leave.
    fn close(&self, patience: Duration) {
        let until = Instant::now().checked_add(patience);
        let (closing, sessions, waiting) = {
            let mut state = self.lock();
            let closing = state.closing.map_or(Closing { until }, |closing| closing.sooner(until));
            state.closing = Some(closing);
            (closing, state.sessions.clone(), state.waiting.take())
        };
        // None of it under the lock: ending a session may wake anybody.
        sessions.iter().filter_map(Weak::upgrade).for_each(|calls| closing.goodbye(&*calls));
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Ready when nobody comes in any more.
    pub(super) fn poll_closing(&self, cx: &mut Context<'_>) -> Poll<()> {
        let (_spent, closing) = {
            let mut state = self.lock();
            (state.waiting.replace(cx.waker().clone()), state.closing)
        };
        if closing.is_some() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Ready when everybody is gone who has come in.
    pub(super) fn poll_empty(&self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let last = self.lock().sessions.last().cloned();
            let Some(last) = last else { return Poll::Ready(()) };
            // One at a time: whoever waits for all is woken for each but once.
            if last.upgrade().is_some_and(|calls| calls.poll_closed(cx).is_pending()) {
                return Poll::Pending;
            }
            let sessions = &mut self.lock().sessions;
            if let Some(at) = sessions.iter().rposition(|session| session.ptr_eq(&last)) {
                sessions.swap_remove(at);
            }
        }
    }
}

/// Ends a listener politely, from anywhere: what a listener's `shutdown_handle` gives. Clones do the same.
#[derive(Clone)]
pub struct ShutdownHandle(Arc<Door>);

impl ShutdownHandle {
    pub(super) fn new(door: &Arc<Door>) -> Self {
        Self(Arc::clone(door))
    }

    /// Has the listener let nobody in any more: whoever comes is refused as
    /// [`Draining`](crate::RejectReason::Draining), which passes for those who wait for a service or reconnect. The sessions
    /// that it has opened say goodbye: calls in flight have so long to finish. When the last of them is over, a listener that
    /// [runs](crate::Listener::run) is done, and its address is free. Until then it goes on refusing, as long as it runs or
    /// [accepts](crate::Listener::accept).
    ///
    /// Told again, sessions end at the earlier of both times.
    pub fn shutdown_within(&self, patience: Duration) {
        self.0.close(patience);
    }
}

impl std::fmt::Debug for ShutdownHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShutdownHandle").field("shuts_down", &self.0.is_closing()).finish()
    }
}

#[cfg(all(test, feature = "tokio"))]
mod tests {
    use super::*;
    use crate::endpoint::{Connector, Server};

    #[tokio::test]
    async fn sessions_that_are_over_are_forgotten() {
        let mut listener = Server::new("mem:door::over", ()).bind().unwrap();
        let (door, mut stays) = (Door::default(), Vec::new());
        for round in 0..5 * FEW {
            let (one, other) = tokio::join!(Connector::new("mem:door::over").session(), listener.accept());
            let (one, other) = (one.unwrap(), other.unwrap());
            door.entered(&other);
            if round % 50 == 0 {
                stays.push((one, other));
            } else {
                drop(one);
                other.closed().await;
            }
            assert!(door.lock().sessions.len() <= FEW);
        }
        // Not those that are not.
        let handle = ShutdownHandle(Arc::new(door));
        handle.shutdown_within(Duration::ZERO);
        for (one, other) in stays {
            assert!(!one.closed().await.is_final() && !other.is_open());
        }
    }

    #[tokio::test]
    async fn the_earlier_end_counts_for_who_is_late_too() {
        let mut listener = Server::new("mem:door::late", ()).bind().unwrap();
        let (one, other) = tokio::join!(Connector::new("mem:door::late").session(), listener.accept());
        let (_one, other) = (one.unwrap(), other.unwrap());
        let (door, cx) = (Arc::new(Door::default()), &mut Context::from_waker(Waker::noop()));
        assert!(door.poll_closing(cx).is_pending() && !door.is_closing());
        for patience in [Duration::MAX, Duration::ZERO, Duration::from_secs(3600)] {
            ShutdownHandle(Arc::clone(&door)).shutdown_within(patience);
        }
        assert!(door.poll_closing(cx).is_ready() && door.poll_empty(cx).is_ready());
        let until = door.lock().closing.unwrap().until;
        assert!(until.is_some_and(|until| until <= Instant::now()));
        door.entered(&other);
        assert!(door.poll_empty(cx).is_pending(), "it has not left yet");
        std::future::poll_fn(|cx| door.poll_empty(cx)).await;
        assert!(!other.is_open());
    }
}
