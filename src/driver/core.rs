//! What is behind an engine's lock: the session, the link's two halves, and who waits how.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use rustc_hash::FxHashMap;

use super::Dispatch;
use super::blocking::Waiter;
use super::owed::{Owed, Rest};
use crate::link::{Ended, Frame, LinkError, Note, Receive, Signal, Sleep, SleepMode, Transmit};
use crate::memory::{LOOKS, SpinPolicy, Watch};
use crate::session::{CloseReason, ConnectionSettings, Metadata, Methods, OpenRefused, Session};

/// Frames taken in before anything else is looked at: time, others' turn.
pub(super) const FRAMES_AT_A_TIME: u32 = 256;

/// What is behind an engine's lock.
pub(super) struct Core {
    pub(super) session: Session,
    pub(super) out: Box<dyn Transmit>,
    receive: Box<dyn Receive>,
    /// Where frames come to.
    frame: Frame,
    pub(super) spin: SpinPolicy,
    /// Tells a session without a runtime of its peer's death.
    watch: Option<Watch>,
    /// Nothing more comes in.
    ended: bool,
    /// The peer has been shown that the session is over.
    over: bool,
    /// Frames have been taken whose space the peer has not had back.
    owes_space: bool,
    /// Frames have been published for which the peer has not been rung.
    owes_ring: bool,
    /// The task that looks after this session, if one does.
    task: Option<Waker>,
    /// Who sleeps on the bell.
    sleeper: Option<Asleep>,
    /// How often a task or a thread has gone to sleep on the bell.
    pub(super) sleeps: u64,
    /// The session's task, asleep while a thread sleeps on the bell in its place.
    displaced: Option<Asleep>,
    /// The thread that looks into the link, while it gives way.
    looker: Option<Arc<Waiter>>,
    /// Threads that wait for the one that looks, or sleeps on the bell, to serve them.
    parked: Vec<Arc<Waiter>>,
    /// Whom to wake when the core has been left.
    wakers: Vec<Waker>,
    /// What serves on virtual connections.
    services: FxHashMap<u32, Arc<dyn Dispatch>>,
}

/// Who sleeps on the bell, and what for.
struct Asleep {
    who: Sleeper,
    /// Until when.
    until: Option<Instant>,
    /// Whether it is to be woken when there is room in the link.
    for_space: bool,
    /// Whether it is to be woken when the kernel takes more bytes.
    to_write: bool,
    /// Whether the peer knows. Whoever looks meanwhile says that this side is awake.
    announced: bool,
}

/// Who may sleep on the bell.
pub(super) enum Sleeper {
    /// The session's task, in its runtime's event loop.
    Task,
    /// A thread.
    Thread(Arc<Waiter>),
}

impl Core {
    pub(super) fn new(session: Session, out: Box<dyn Transmit>, receive: Box<dyn Receive>) -> Self {
        Self {
            session,
            out,
            receive,
            frame: Frame::default(),
            spin: SpinPolicy::new(),
            watch: None,
            ended: false,
            over: false,
            owes_space: false,
            owes_ring: false,
            task: None,
            sleeper: None,
            sleeps: 0,
            displaced: None,
            looker: None,
            parked: Vec::new(),
            wakers: Vec::new(),
            services: FxHashMap::default(),
        }
    }

    /// What serves on a virtual connection.
    pub(super) fn dispatch_of(&self, connection: u32) -> Option<Arc<dyn Dispatch>> {
        self.services.get(&connection).map(Arc::clone)
    }

    /// Asks the peer for a connection, on which `dispatch` serves.
    pub(super) fn open_connection(
        &mut self,
        service: &str,
        metadata: &Metadata,
        settings: Option<ConnectionSettings>,
        dispatch: Arc<dyn Dispatch>,
    ) -> Result<u32, OpenRefused> {
        let methods = methods(&dispatch);
        let id = self.session.open_connection(service, metadata, settings, methods, &mut *self.out)?;
        self.services.insert(id, dispatch);
        Ok(id)
    }

    /// Takes a connection that the peer has asked for; whether it is not over by now.
    pub(super) fn accept_connection(
        &mut self,
        id: u32,
        metadata: &Metadata,
        settings: Option<ConnectionSettings>,
        dispatch: Arc<dyn Dispatch>,
    ) -> bool {
        let methods = methods(&dispatch);
        let taken = self.session.accept_connection(id, metadata, settings, methods, &mut *self.out);
        if taken {
            self.services.insert(id, dispatch);
        }
        taken
    }

    /// Lets go of what serves on a connection, to be dropped when the core has been left.
    #[must_use]
    pub(super) fn forget(&mut self, connection: u32) -> Option<Arc<dyn Dispatch>> {
        self.services.remove(&connection)
    }

    /// Nobody asks any more what becomes of a connection. Gives what serves on it if nobody else would let go of that, to be
    /// dropped when the core has been left.
    #[must_use]
    pub(super) fn release_connection(&mut self, id: u32, closes: bool) -> Option<Arc<dyn Dispatch>> {
        self.session.release_connection(id, closes, &mut *self.out);
        if self.session.is_attended() { None } else { self.forget(id) }
    }

    /// Has the session watched until it ends. If it has ended, that is not worth while: gives the watch back.
    pub(super) fn keep(&mut self, watch: Watch) -> Option<Watch> {
        if self.ended {
            return Some(watch);
        }
        self.watch.replace(watch)
    }

    /// The session has ended: what it ran on, to be dropped when the core has been left.
    #[must_use]
    pub(super) fn leave_link(&mut self) -> impl Sized + use<> {
        self.ended = true;
        let out = std::mem::replace(&mut self.out, Box::new(Ended));
        let receive = std::mem::replace(&mut self.receive, Box::new(Ended));
        let services = std::mem::take(&mut self.services);
        (out, receive, self.watch.take(), services)
    }

    /// This side looks: the peer need not wake it.
    #[inline]
    pub(super) fn awake(&mut self) {
        self.receive.awake();
        if let Some(asleep) = &mut self.sleeper {
            asleep.announced = false;
        }
    }

    /// Whether to look once more after so many looks in vain: never while the peer runs on this CPU.
    #[inline]
    pub(super) fn looks_on(&mut self, looks: u32, signal: &dyn Signal) -> bool {
        self.spin.looks_on(looks, Instant::now) && (!looks.is_multiple_of(LOOKS) || signal.may_spin())
    }

    /// Takes one frame in or, if there is none, writes what waits for room; whether there was either.
    #[inline]
    pub(super) fn advance(&mut self) -> bool {
        self.take_frame() || self.session.wants_space() && self.write()
    }

    fn write(&mut self) -> bool {
        self.session.flush(&mut *self.out);
        self.publish()
    }

    /// Takes one frame in; whether there was one.
    #[inline]
    fn take_frame(&mut self) -> bool {
        if self.ended {
            return false;
        }
        match self.receive.next(&mut self.frame) {
            Ok(true) => {
                self.owes_space = true;
                self.spin.saw_message();
                self.session.handle(&mut self.frame, &mut *self.out, &Instant::now);
                self.frame.descriptors.close();
                true
            }
            Ok(false) => false,
            Err(error) => {
                self.link_failed(error);
                false
            }
        }
    }

    #[cold]
    fn link_failed(&mut self, error: LinkError) {
        self.ended = true;
        match error {
            LinkError::Corrupt(corrupt) => self.session.corrupt(corrupt, &mut *self.out),
            LinkError::Gone => self.session.link_lost(CloseReason::PeerDied),
            LinkError::Io(error) => self.session.link_lost(CloseReason::Transport(error.kind())),
        }
    }

    /// After the peer's death: what it had completely sent is taken in, then the session ends.
    pub(super) fn bury(&mut self) {
        // Another process may hold its link, and write on for ever.
        for _ in 0..self.receive.most_unread() {
            if !self.take_frame() {
                break;
            }
        }
        self.ended = true;
        self.session.link_lost(CloseReason::PeerDied);
    }

    /// Does what is due, if anything is.
    pub(super) fn expire(&mut self) {
        if let Some(at) = self.session.next_timeout() {
            let now = Instant::now();
            if at <= now {
                self.session.handle_timeout(now, &mut *self.out);
            }
        }
    }

    /// Shows the peer what has been written. False if it does not find that by itself: it is rung when the core is left, which
    /// must be before this side looks on.
    #[inline]
    pub(super) fn show(&mut self, signal: &dyn Signal) -> bool {
        self.publish();
        if self.owes_ring && signal.is_heard() {
            self.owes_ring = false;
        }
        !self.owes_ring
    }

    /// Shows the peer what has been written; whether there was anything, for which it is rung when the core is left.
    #[inline]
    fn publish(&mut self) -> bool {
        let news = self.out.publish();
        self.owes_ring |= news;
        news
    }

    /// What is owed once the core is left.
    #[inline]
    pub(super) fn settle(&mut self) -> Owed {
        if self.session.wants_space() {
            self.write_what_waits();
        } else {
            self.publish();
        }
        if self.owes_space {
            self.owes_space = false;
            self.receive.release();
        }
        let end = !self.session.takes_calls() && self.has_ended();
        if self.sleeper.is_some() {
            self.look_after_sleeper();
        }
        self.session.take_wakers(&mut self.wakers);
        let (ring, first) = (std::mem::take(&mut self.owes_ring), self.wakers.pop());
        let is_all = self.wakers.is_empty() && !self.session.has_spent();
        if is_all {
            return Owed { ring, end, first, rest: None };
        }
        let mut rest = Rest::empty();
        std::mem::swap(&mut self.wakers, &mut rest.wakers);
        self.session.take_spent(&mut rest.spent);
        Owed { ring, end, first, rest: Some(rest) }
    }

    #[cold]
    fn write_what_waits(&mut self) {
        loop {
            self.session.flush(&mut *self.out);
            if let Some(corrupt) = self.out.fault() {
                self.session.corrupt(corrupt, &mut *self.out);
            }
            self.publish();
            if !self.session.wants_space() || !self.out.has_drained() {
                break;
            }
        }
    }

    /// Whether the session is over since this was last asked.
    #[cold]
    fn has_ended(&mut self) -> bool {
        // What the kernel has not taken yet is not with the peer.
        if !self.out.is_backed_up() {
            self.session.end_if_done();
        }
        let over = self.session.is_over();
        over && !std::mem::replace(&mut self.over, over)
    }

    /// Announces the sleeper's sleep anew if somebody was awake meanwhile or it has more to be woken for; wakes it if
    /// it must look itself.
    fn look_after_sleeper(&mut self) {
        let Some(asleep) = &self.sleeper else { return };
        if self.misses_something(asleep) {
            return self.wake_sleeper();
        }
        if asleep.announced && (asleep.for_space || !self.session.wants_space()) {
            return;
        }
        if self.announce().is_none() {
            self.wake_sleeper();
        }
    }

    /// Whether a sleeper would sleep too long: something is due before it wakes, or it does not wait for the kernel.
    fn misses_something(&self, asleep: &Asleep) -> bool {
        let due = self.session.next_timeout();
        let sooner = due.is_some_and(|at| asleep.until.is_none_or(|until| at < until));
        sooner || self.out.is_backed_up() && !asleep.to_write
    }

    /// Whoever sleeps on the bell looks itself from here on.
    pub(super) fn wake_sleeper(&mut self) {
        match std::mem::replace(&mut self.sleeper, self.displaced.take()).map(|asleep| asleep.who) {
            None => {}
            Some(Sleeper::Task) => self.wakers.extend(self.task.clone()),
            Some(Sleeper::Thread(waiter)) => self.wakers.push(waiter.into()),
        }
    }

    /// A task's caller leaves the link: in a burst the session's task looks on for a while, since going to sleep and being
    /// woken would cost both sides more.
    #[inline]
    pub(super) fn look_on(&mut self) {
        if self.spin.pays() && matches!(&self.sleeper, Some(Asleep { who: Sleeper::Task, .. })) {
            self.wake_sleeper();
        }
    }

    /// The session's task sleeps from here on, on the bell unless a thread does: until `until`, and if `to_write` until
    /// the kernel takes more bytes. False if there is something to do instead.
    pub(super) fn task_falls_asleep(&mut self, until: Option<Instant>, to_write: bool) -> bool {
        let asleep = Asleep { who: Sleeper::Task, until, for_space: false, to_write, announced: false };
        match &mut self.sleeper {
            Some(thread) => {
                // The bell may have been rung for the thread, and the task have silenced it.
                thread.announced = false;
                self.displaced = Some(asleep);
                true
            }
            None => self.fall_asleep(asleep).is_some(),
        }
    }

    /// A thread sleeps on the bell from here on, in place of the session's task if that does; `None` if there is something
    /// to do instead.
    pub(super) fn thread_falls_asleep(&mut self, waiter: &Arc<Waiter>) -> Option<Note> {
        let who = Sleeper::Thread(Arc::clone(waiter));
        let (until, to_write) = (self.session.next_timeout(), self.out.is_backed_up());
        self.displaced = self.sleeper.take();
        self.fall_asleep(Asleep { who, until, for_space: false, to_write, announced: false })
    }

    fn fall_asleep(&mut self, asleep: Asleep) -> Option<Note> {
        let misses_something = self.misses_something(&asleep);
        self.sleeper = Some(asleep);
        let note = if misses_something { None } else { self.announce() };
        match note {
            Some(_) => self.sleeps += 1,
            None => self.sleeper = self.displaced.take(),
        }
        note
    }

    /// Announces the sleeper's sleep; `None` if there is something to do.
    fn announce(&mut self) -> Option<Note> {
        if self.ended {
            return None;
        }
        let want_space = self.session.wants_space();
        let asleep = self.sleeper.as_mut()?;
        (asleep.announced, asleep.for_space) = (true, want_space);
        let waker = match &asleep.who {
            Sleeper::Task => self.task.clone()?,
            Sleeper::Thread(waiter) => Arc::clone(waiter).into(),
        };
        let (mode, to_write) = (asleep.mode(), asleep.to_write);
        match self.receive.announce(Sleep { mode, want_space, to_write, waker: &waker }) {
            Ok(note) => note,
            Err(error) => {
                self.link_failed(error);
                None
            }
        }
    }

    /// The session's task looks, in place of whoever slept for it.
    pub(super) fn task_returned(&mut self, waker: &Waker) {
        match &mut self.task {
            Some(task) => task.clone_from(waker),
            None => self.task = Some(waker.clone()),
        }
        self.displaced = None;
        if matches!(&self.sleeper, Some(Asleep { who: Sleeper::Task, .. })) {
            self.sleeper = None;
        }
    }

    /// Whether a thread looks into the link and gives way at the moment.
    #[inline]
    pub(super) fn has_looker(&self) -> bool {
        self.looker.is_some()
    }

    /// Whether a thread sleeps on the bell. The session's task is not to be relied on by threads: its runtime may have no
    /// thread to run it, or just the one that calls.
    #[inline]
    pub(super) fn has_thread_asleep(&self) -> bool {
        matches!(&self.sleeper, Some(Asleep { who: Sleeper::Thread(_), .. }))
    }

    /// This thread looks into the link and gives way.
    pub(super) fn give_way(&mut self, waiter: &Arc<Waiter>) {
        self.looker = Some(Arc::clone(waiter));
    }

    /// This thread waits for the one that looks, or sleeps on the bell.
    pub(super) fn park(&mut self, waiter: &Arc<Waiter>) {
        self.parked.push(Arc::clone(waiter));
    }

    /// This thread is back from wherever it waited.
    pub(super) fn returned(&mut self, waiter: &Arc<Waiter>) {
        self.parked.retain(|parked| !Arc::ptr_eq(parked, waiter));
        if self.looker.as_ref().is_some_and(|looker| Arc::ptr_eq(looker, waiter)) {
            self.looker = None;
        }
        if let Some(Asleep { who: Sleeper::Thread(sleeper), .. }) = &self.sleeper
            && Arc::ptr_eq(sleeper, waiter)
        {
            self.sleeper = self.displaced.take();
        }
    }

    /// This thread leaves: one that waits for it looks in its place (E1). The session's task sleeps on the bell by now, or is
    /// awake.
    #[inline]
    pub(super) fn leave(&mut self) {
        if self.looker.is_none() && !self.has_thread_asleep() {
            self.wakers.extend(self.parked.pop().map(Waker::from));
        }
    }
}

/// Finds what a service does about calls.
pub(super) fn methods(dispatch: &Arc<dyn Dispatch>) -> Methods {
    let dispatch = Arc::clone(dispatch);
    Box::new(move |id| dispatch.lookup(id))
}

impl Asleep {
    fn mode(&self) -> SleepMode {
        match self.who {
            Sleeper::Task => SleepMode::Descriptor,
            Sleeper::Thread(_) => SleepMode::Futex,
        }
    }
}
