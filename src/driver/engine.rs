//! The engine: a session on its link, shared by callers, handlers and whoever looks after it.
//!
//! All of it is behind one lock, the core: the session, both halves of the link, and who waits how. Whoever holds it may
//! send, and may look into the link; it is held for one step at a time, and for as long as it pays to look on. Whoever
//! looks on gives way to those who want the core. So a small call costs its caller one lock: it is sent, and its answer found,
//! in one step, unless the peer must be woken first.
//!
//! # Invariants
//! - E1  The core is free and somebody waits ⇒ somebody sleeps on an announced bell, or is about to look.
//! - E2  User code runs without the core: wakers are called and dropped, handlers polled, and events logged, after it has
//!   been left.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;

use super::Dispatch;
use super::core::Core;
use super::frames::FrameLog;
use crate::link::{Link, Signal};
use crate::session::{CloseReason, Rejection, Session, SessionStats};

/// A session on its link.
pub(crate) struct Engine {
    core: Mutex<Core>,
    /// How many wait for the core: whoever looks into the link gives way.
    wanted: AtomicU32,
    pub(super) signal: Arc<dyn Signal>,
    pub(super) dispatch: Arc<dyn Dispatch>,
    /// What has gone over the link, where somebody wants to be told.
    frames: Option<FrameLog>,
}

/// Looks at `wanted` of one who gives way: by then whoever wanted the core has it, or has gone to sleep on it.
const GIVE_WAY: u32 = 64;

impl Engine {
    /// Joins a session and a link. The hello is on the link then, but not yet published.
    pub(super) fn new(mut session: Session, link: Link, dispatch: Arc<dyn Dispatch>) -> Arc<Self> {
        let (mut link, frames) = FrameLog::of(link);
        session.start(&mut *link.transmit);
        let core = Mutex::new(Core::new(session, link.transmit, link.receive));
        Arc::new(Self { core, wanted: AtomicU32::new(0), signal: link.signal, dispatch, frames })
    }

    /// One step in the core; then whatever it owes the peer and local waiters.
    #[inline]
    pub(super) fn with<R>(&self, step: impl FnOnce(&mut Core) -> R) -> R {
        self.step(self.lock(), step)
    }

    /// One step in the core, unless somebody else is in it.
    #[inline]
    pub(super) fn try_with<R>(&self, step: impl FnOnce(&mut Core) -> R) -> Option<R> {
        Some(self.step(self.try_lock()?, step))
    }

    #[inline]
    fn step<R>(&self, mut core: MutexGuard<'_, Core>, step: impl FnOnce(&mut Core) -> R) -> R {
        let result = step(&mut core);
        let owed = core.settle();
        drop(core);
        if let Some(frames) = &self.frames {
            frames.tell();
        }
        if owed.ring {
            self.signal.ring();
        }
        if owed.end {
            self.ended();
        }
        owed.wake();
        result
    }

    /// What serves a virtual connection.
    #[cold]
    pub(super) fn dispatch_of(&self, connection: u32) -> Option<Arc<dyn Dispatch>> {
        self.lock().dispatch_of(connection)
    }

    /// Looks into the session without changing what it owes anybody.
    pub(super) fn peek<R>(&self, look: impl FnOnce(&Session) -> R) -> R {
        look(&self.lock().session)
    }

    /// What the session has done so far, and how often this side has slept and woken its peer meanwhile.
    pub(super) fn snapshot(&self) -> SessionStats {
        let core = self.lock();
        SessionStats { sleeps: core.sleeps, rings: self.signal.rings(), ..core.session.stats() }
    }

    /// Whether somebody waits for the core.
    #[inline]
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) != 0
    }

    /// Lets those who want the core have it.
    #[cold]
    pub(super) fn give_way(&self) {
        let mut looks = 0;
        while self.is_wanted() && looks < GIVE_WAY {
            looks += 1;
            std::hint::spin_loop();
        }
    }

    // A panic elsewhere leaves the core whole, since user code never runs in it (E2).
    #[inline]
    fn try_lock(&self) -> Option<MutexGuard<'_, Core>> {
        match self.core.try_lock() {
            Ok(core) => Some(core),
            Err(TryLockError::Poisoned(core)) => Some(core.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    #[inline]
    fn lock(&self) -> MutexGuard<'_, Core> {
        self.try_lock().unwrap_or_else(|| self.lock_contended())
    }

    #[cold]
    fn lock_contended(&self) -> MutexGuard<'_, Core> {
        // A hint, on a line that is written here alone.
        self.wanted.fetch_add(1, Ordering::Relaxed);
        let core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        self.wanted.fetch_sub(1, Ordering::Relaxed);
        core
    }

    /// The session is over. The peer is shown so, and the link goes, whoever holds on to the session.
    #[cold]
    fn ended(&self) {
        // Somebody else may be about to, and would come too late.
        self.signal.ring();
        self.signal.hang_up();
        let link = self.lock().leave_link();
        drop(link);
        if let Some(CloseReason::Protocol(error)) = self.peek(|session| session.close_reason().cloned()) {
            tracing::warn!(target: "transom::session", "{error}");
        }
    }

    /// Lets a peer in that has introduced itself, or does not.
    #[cold]
    pub(crate) fn decide(&self, decided: Result<(), Rejection>) {
        self.with(|core| match decided {
            Ok(()) => core.session.admit(&mut *core.out, &Instant::now),
            Err(rejection) => core.session.refuse(rejection, &mut *core.out),
        });
    }

    /// The peer is gone: what it had completely sent is taken in, then the session ends.
    #[cold]
    pub(super) fn hung_up(&self) {
        self.with(Core::bury);
    }
}
