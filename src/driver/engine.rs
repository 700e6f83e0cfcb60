//! The engine: a session on its link, shared by callers, handlers and whoever looks after it.
//!
//! Three things are shared, each with one rule:
//! - `core` (the session and the sending half of the link) is the producer lock: held for one state
//!   transition and the frames it writes, never across user code or a system call that can wait.
//! - `intake` (the receiving half) is the drain role: held by whoever looks into the link, never asleep.
//! - `sleeper` says who, if anyone, sleeps on the bell. It is set under the role; whoever gives the role up
//!   while somebody sleeps announces a new epoch on the sleeper's behalf.
//!
//! # Invariants
//! - E1  The role is free and calls wait ⇒ somebody sleeps on an announced bell, or is scheduled to look.
//! - E2  User code runs without the lock and without the role.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

use transom_shm_layout::role::{Held, Role};

use super::{Dispatch, Reply, Request};
use crate::link::{Frame, Link, LinkError, Receive, Signal, Sleep, SleepMode, Transmit};
use crate::memory::SpinPolicy;
use crate::session::{CloseReason, Session};

/// A session on its link.
pub(crate) struct Engine {
    core: Mutex<Core>,
    pub(super) intake: Role<Intake>,
    pub(super) signal: Arc<dyn Signal>,
    pub(super) dispatch: Arc<dyn Dispatch>,
    pub(super) local: Arc<Local>,
    local_waker: Waker,
    /// Who sleeps on the bell: [`NOBODY`], [`RESIDENT`], or the ticket of a calling thread.
    sleeper: AtomicU64,
    /// Threads that wait for the role or for whoever holds it to complete their call.
    parked: Mutex<Vec<(u64, Thread)>>,
    tickets: AtomicU64,
    /// How the resident sleeps: a task in its runtime's event loop, or a thread on the futex.
    pub(super) resident: Resident,
    pub(super) lost: AtomicBool,
    me: Weak<Self>,
}

/// What the producer lock protects.
pub(super) struct Core {
    pub(super) session: Session,
    pub(super) out: Box<dyn Transmit>,
    /// Whether the sleeper knows that bytes wait for the kernel, and waits for room to write.
    backed_up: bool,
}

/// What the drain role protects.
pub(super) struct Intake {
    pub(super) receive: Box<dyn Receive>,
    pub(super) spin: SpinPolicy,
    ended: bool,
    /// Once the peer is known to be dead: how many more frames can be its.
    remaining: Option<u64>,
}

impl Intake {
    /// After the peer's death, whether one more frame can be of those that it had completely sent by then. Another
    /// process may hold its link, and go on writing for ever.
    #[cold]
    fn one_remains(&mut self) -> bool {
        let remaining = self.remaining.get_or_insert_with(|| self.receive.most_unread());
        let one = *remaining > 0;
        *remaining = remaining.saturating_sub(1);
        one
    }
}

/// Who looks after a session when no caller does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resident {
    /// A task of a runtime.
    Task,
    /// A thread of the session's own.
    Thread,
    /// Nobody: the session only calls, from threads that drain for themselves.
    None,
}

/// Nobody sleeps on the bell.
pub(super) const NOBODY: u64 = 0;
/// The resident sleeps on the bell.
pub(super) const RESIDENT: u64 = 1;

/// Makes the resident look again, for a reason of this side's own.
pub(super) struct Local {
    pub(super) task: Mutex<Option<Waker>>,
    signal: Arc<dyn Signal>,
}

impl Local {
    /// Registers the task to wake.
    pub(super) fn register(&self, waker: &Waker) {
        let mut task = lock(&self.task);
        if !task.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *task = Some(waker.clone());
        }
    }
}

impl Wake for Local {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let task = lock(&self.task).clone();
        match task {
            Some(task) => task.wake(),
            None => self.signal.wake_local(),
        }
    }
}

/// Locks; a panic elsewhere leaves a state machine whole, since user code never runs under these locks.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// Joins a session and a link.
    pub(super) fn new(
        session: Session,
        link: Link,
        dispatch: Arc<dyn Dispatch>,
        resident: Resident,
    ) -> Arc<Self> {
        let local = Arc::new(Local { task: Mutex::new(None), signal: Arc::clone(&link.signal) });
        Arc::new_cyclic(|me| Self {
            core: Mutex::new(Core { session, out: link.transmit, backed_up: false }),
            intake: Role::new(Intake {
                receive: link.receive,
                spin: SpinPolicy::new(),
                ended: false,
                remaining: None,
            }),
            signal: link.signal,
            dispatch,
            local_waker: Waker::from(Arc::clone(&local)),
            local,
            sleeper: AtomicU64::new(NOBODY),
            parked: Mutex::new(Vec::new()),
            tickets: AtomicU64::new(RESIDENT + 1),
            resident,
            lost: AtomicBool::new(false),
            me: Weak::clone(me),
        })
    }

    /// One transition of the session: under the producer lock, then whatever it owes the peer and local waiters.
    #[inline]
    pub(super) fn with<R>(&self, step: impl FnOnce(&mut Session, &mut dyn Transmit) -> R) -> R {
        let mut wakers = Vec::new();
        let mut core = lock(&self.core);
        let Core { session, out, backed_up } = &mut *core;
        let result = step(session, &mut **out);
        let mut published = false;
        loop {
            if session.wants_space() {
                session.flush(&mut **out);
                if let Some(corrupt) = out.fault() {
                    session.corrupt(corrupt, &mut **out);
                }
            }
            published |= out.publish();
            if !session.wants_space() || !out.has_drained() {
                break;
            }
        }
        session.take_wakers(&mut wakers);
        if out.is_backed_up() != *backed_up {
            *backed_up = !*backed_up;
            if *backed_up {
                wakers.push(self.local_waker.clone());
            }
        }
        drop(core);
        if published {
            self.signal.ring();
        }
        for waker in wakers {
            waker.wake();
        }
        result
    }

    /// Looks into the session without changing what it owes anybody.
    #[inline]
    pub(super) fn peek<R>(&self, look: impl FnOnce(&mut Session) -> R) -> R {
        look(&mut lock(&self.core).session)
    }

    /// The role, if nobody holds it; the peer need not wake this side from here on.
    #[inline]
    pub(super) fn take_role(&self) -> Option<Held<'_, Intake>> {
        let mut intake = self.intake.try_take()?;
        intake.receive.awake();
        Some(intake)
    }

    /// Takes one frame in and then looks at the session; `None` when there is no frame now.
    #[inline]
    pub(super) fn take_frame<R>(
        &self,
        intake: &mut Intake,
        then: impl FnOnce(&mut Session) -> R,
    ) -> Option<R> {
        let frame = self.next_frame(intake)?;
        intake.spin.saw_message();
        Some(self.with(|session, out| {
            session.handle(frame, out, &Instant::now);
            then(session)
        }))
    }

    fn next_frame(&self, intake: &mut Intake) -> Option<Frame> {
        if intake.ended {
            return None;
        }
        if self.is_lost() && !intake.one_remains() {
            self.link_failed(intake, LinkError::Gone);
            return None;
        }
        match intake.receive.next() {
            Ok(frame) => frame,
            Err(error) => {
                self.link_failed(intake, error);
                None
            }
        }
    }

    #[cold]
    fn link_failed(&self, intake: &mut Intake, error: LinkError) {
        intake.ended = true;
        self.with(|session, out| match error {
            LinkError::Corrupt(corrupt) => session.corrupt(corrupt, out),
            LinkError::Gone => session.link_lost(CloseReason::PeerDied),
            LinkError::Io(error) => session.link_lost(CloseReason::Transport(error.kind())),
        });
    }

    /// After the peer's death: what it had completely sent is taken in, then the session ends.
    #[cold]
    pub(super) fn bury(&self, intake: &mut Intake) {
        while self.take_frame(intake, |_| ()).is_some() {}
        intake.ended = true;
        self.with(|session, _| session.link_lost(CloseReason::PeerDied));
    }

    /// Gives the role up. `look_on` has the resident go on looking instead of sleeping on.
    pub(super) fn leave(&self, mut intake: Held<'_, Intake>, look_on: bool) {
        intake.receive.release();
        let sleeper = self.sleeper.load(Ordering::Acquire); // sync: engine.sleeper (read) -> Engine::leave_bell
        if sleeper == NOBODY {
            if intake.release().wanted() {
                self.nominate();
            }
            return;
        }
        let looks_on = look_on && self.resident == Resident::Task;
        let asleep = !looks_on && self.announce(&mut intake, self.mode_of(sleeper)).is_some();
        if !asleep {
            self.sleeper.store(NOBODY, Ordering::Relaxed);
        }
        // The one who wanted it may be the very sleeper, who has just woken and finds the role taken.
        if intake.release().wanted() {
            self.nominate();
        }
        if !asleep {
            self.local_waker.wake_by_ref();
        }
    }

    /// Announces sleep, for this thread or on behalf of the sleeper; `None` if there is something to do.
    pub(super) fn announce(&self, intake: &mut Intake, mode: SleepMode) -> Option<crate::link::Note> {
        if intake.ended {
            return None;
        }
        let want_space = self.peek(|session| session.wants_space());
        match intake.receive.announce(Sleep { mode, want_space, waker: &self.local_waker }) {
            Ok(note) => note,
            Err(error) => {
                self.link_failed(intake, error);
                None
            }
        }
    }

    fn mode_of(&self, sleeper: u64) -> SleepMode {
        if sleeper == RESIDENT && self.resident == Resident::Task {
            SleepMode::Descriptor
        } else {
            SleepMode::Futex
        }
    }

    /// The caller, who holds the role, is about to sleep on the bell.
    pub(super) fn enter_bell(&self, who: u64) {
        self.sleeper.store(who, Ordering::Relaxed);
    }

    /// Whether somebody sleeps on the bell.
    pub(super) fn has_sleeper(&self) -> bool {
        self.sleeper.load(Ordering::Acquire) != NOBODY // sync: engine.sleeper (read) -> Engine::leave_bell
    }

    /// The sleeper is awake again; whoever holds the role need not announce for it any more.
    pub(super) fn leave_bell(&self, who: u64) {
        // sync: engine.sleeper (left) -> Engine::leave. Failure means that somebody else woke and unseated it.
        let _unseated = self.sleeper.compare_exchange(who, NOBODY, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Wakes one parked thread, or the resident task, to take the role.
    pub(super) fn nominate(&self) {
        let parked = lock(&self.parked).pop();
        match parked {
            Some((_, thread)) => thread.unpark(),
            None if self.resident == Resident::Task => self.local_waker.wake_by_ref(),
            None => {}
        }
    }

    /// A ticket that nobody else has.
    pub(super) fn ticket(&self) -> u64 {
        self.tickets.fetch_add(1, Ordering::Relaxed)
    }

    /// Lists this thread as one that waits.
    pub(super) fn park_as(&self, ticket: u64) {
        let mut parked = lock(&self.parked);
        if !parked.iter().any(|(known, _)| *known == ticket) {
            parked.push((ticket, std::thread::current()));
        }
    }

    /// This thread waits no more.
    pub(super) fn unpark_as(&self, ticket: u64) {
        lock(&self.parked).retain(|(known, _)| *known != ticket);
    }

    /// Wakes everybody who could be waiting for anything.
    #[cold]
    pub(super) fn wake_all(&self) {
        self.signal.wake_local();
        self.local_waker.wake_by_ref();
        for (_, thread) in lock(&self.parked).drain(..) {
            thread.unpark();
        }
    }

    /// The peer's lifeline hung up.
    #[cold]
    pub(super) fn hung_up(&self) {
        // sync: engine.lost (set) -> Engine::is_lost
        self.lost.store(true, Ordering::Release);
        self.wake_all();
    }

    /// Whether the peer's lifeline hung up.
    #[inline]
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire) // sync: engine.lost (read) -> Engine::hung_up
    }

    /// The next request to serve, with the duty to answer it.
    pub(super) fn next_request(&self) -> Option<(u64, Request)> {
        let inbound = self.peek(Session::next_request)?;
        let reply = Reply::new(self.shared()?, inbound.id);
        Some((
            inbound.id,
            Request {
                method: inbound.method,
                payload: inbound.payload,
                body: inbound.body,
                metadata: inbound.metadata,
                deadline: inbound.deadline,
                reply,
            },
        ))
    }

    /// This engine, shared.
    pub(super) fn shared(&self) -> Option<Arc<Self>> {
        self.me.upgrade()
    }

    /// Has the resident look: a timer changed, or requests wait.
    pub(super) fn wake_resident(&self) {
        self.local_waker.wake_by_ref();
    }
}
