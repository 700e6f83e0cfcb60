//! Clients that outlive their sessions: when one has ended, the next call connects anew.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::{ConnectError, Connector};
use crate::driver::Calls;
use crate::service::{Renewal, Renewed, Renewing, Session};
use crate::session::CloseReason;

/// A connector, the session that it has opened last, and whoever waits for the next one.
pub(super) struct Reconnect {
    connector: Connector,
    state: Mutex<State>,
    /// Told when an attempt is over.
    over: Condvar,
}

struct State {
    session: Session,
    /// Whether somebody connects.
    connecting: bool,
    /// How many attempts have come to nothing.
    failed: u64,
    /// How the last of them ended, if one side refused.
    refused: Option<CloseReason>,
    waiting: Vec<Waker>,
}

impl State {
    /// What comes of an attempt that has failed.
    fn failure(&self) -> Renewed {
        self.refused.clone().map_or(Renewed::None, Renewed::Refused)
    }
}

/// What is to be done about a session that is spent.
enum Step {
    /// There is another one.
    Renewed(Arc<dyn Calls>),
    /// Connect, for everybody.
    Connect,
    /// Somebody connects; so many attempts have failed until now.
    Wait(u64),
}

impl Reconnect {
    /// Reconnects as `connector` connects, and waits so long for somebody to be there; `session` is its first.
    pub(super) fn new(connector: Connector, within: Duration, session: Session) -> Arc<Self> {
        let state = State { session, connecting: false, failed: 0, refused: None, waiting: Vec::new() };
        let connector = connector.wait_for_service(within);
        Arc::new(Self { connector, state: Mutex::new(state), over: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self, spent: &Arc<dyn Calls>) -> Step {
        let mut state = self.lock();
        let calls = state.session.shared_calls();
        if !Arc::ptr_eq(calls, spent) {
            return Step::Renewed(Arc::clone(calls));
        }
        if state.connecting {
            return Step::Wait(state.failed);
        }
        state.connecting = true;
        Step::Connect
    }

    /// Whether the attempt that was waited for is over, `failed` of them having come to nothing before it.
    fn is_over(state: &State, failed: u64) -> bool {
        !state.connecting || state.failed != failed
    }
}

/// An attempt under way. Given up half-way it counts for nothing, and whoever waits makes one of its own.
struct Attempt<'a>(&'a Reconnect);

impl Attempt<'_> {
    fn done(self, connected: Result<Session, ConnectError>) -> Renewed {
        let mut state = self.0.lock();
        match connected {
            Ok(session) => {
                let calls = Arc::clone(session.shared_calls());
                let spent = std::mem::replace(&mut state.session, session);
                drop(state);
                drop(spent);
                Renewed::Session(calls)
            }
            Err(error) => {
                state.failed += 1;
                state.refused = error.refused();
                let failure = state.failure();
                drop(state);
                tracing::warn!(target: "transom::endpoint", %error, "not connected again");
                failure
            }
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.0.lock();
            state.connecting = false;
            std::mem::take(&mut state.waiting)
        };
        self.0.over.notify_all();
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Renewal for Reconnect {
    fn current(&self) -> Arc<dyn Calls> {
        Arc::clone(self.lock().session.shared_calls())
    }

    #[cfg(feature = "tokio")]
    fn renew(&self, spent: Arc<dyn Calls>, until: Option<Instant>) -> Renewing<'_> {
        let renewed = async move {
            loop {
                match self.step(&spent) {
                    Step::Renewed(calls) => return Renewed::Session(calls),
                    Step::Connect => {
                        let attempt = Attempt(self);
                        return attempt.done(self.connector.open().await);
                    }
                    Step::Wait(failed) => {
                        std::future::poll_fn(|cx| {
                            let mut state = self.lock();
                            if Self::is_over(&state, failed) {
                                return std::task::Poll::Ready(());
                            }
                            state.waiting.push(cx.waker().clone());
                            std::task::Poll::Pending
                        })
                        .await;
                        let state = self.lock();
                        if state.failed != failed {
                            return state.failure();
                        }
                    }
                }
            }
        };
        Box::pin(async move {
            match until {
                Some(until) => tokio::time::timeout_at(until.into(), renewed).await.unwrap_or(Renewed::None),
                None => renewed.await,
            }
        })
    }

    #[cfg(not(feature = "tokio"))]
    fn renew(&self, spent: Arc<dyn Calls>, until: Option<Instant>) -> Renewing<'_> {
        // Without a runtime there is nothing that a task could wait with.
        Box::pin(async move { self.renew_blocking(&spent, until) })
    }

    fn renew_blocking(&self, spent: &Arc<dyn Calls>, until: Option<Instant>) -> Renewed {
        loop {
            match self.step(spent) {
                Step::Renewed(calls) => return Renewed::Session(calls),
                Step::Connect => {
                    let attempt = Attempt(self);
                    return attempt.done(self.connector.open_blocking(until));
                }
                Step::Wait(failed) => {
                    let mut state = self.lock();
                    while !Self::is_over(&state, failed) {
                        state = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                            Some(left) if left.is_zero() => return Renewed::None,
                            Some(left) => {
                                self.over.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                            }
                            None => self.over.wait(state).unwrap_or_else(PoisonError::into_inner),
                        };
                    }
                    if state.failed != failed {
                        return state.failure();
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Reconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnect").field("connector", &self.connector).finish_non_exhaustive()
    }
}
