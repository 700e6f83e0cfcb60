//! A link that a test breaks on demand: frames are held back, let through one by one or slowly, and the link is cut.
//!
//! Nothing is queued here, so that nothing can be reordered. A side whose incoming frames are held does not see them: they
//! are on the link, which fills up behind them. One whose outgoing frames are held finds no room: they wait where they
//! would on a full link. Credit that is granted in shared memory is no frame, and is not held.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use transom_shm_layout::word::PeerWord;

use super::{
    Corrupt, Frame, Full, Header, Link, LinkError, NotPassed, Note, Receive, Signal, Sleep, SleepMode,
    Transmit,
};

/// How long a thread sleeps at a time while its incoming frames are held: the link itself would not let it.
const NAP: Duration = Duration::from_millis(1);

/// Which way frames go, seen from the side whose link can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the peer.
    Incoming,
    /// To the peer.
    Outgoing,
}

/// What a cut looks like to the side whose link can be broken. Its peer sees the end of the link, as after a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The peer's death.
    Death,
    /// An error of the operating system.
    Io(io::ErrorKind),
}

/// Breaks the links of the sessions that are opened with it. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Breaker(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    incoming: Pass,
    outgoing: Pass,
    links: Vec<Weak<Shared>>,
}

/// How many more frames may pass; `None` for as many as there are.
type Pass = Option<u64>;

/// Frames pass slowly until this is dropped; then they do as they like.
#[derive(Debug)]
#[must_use = "frames are slow as long as this is held"]
pub struct Slow {
    breaker: Breaker,
    direction: Direction,
    ticking: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

impl Breaker {
    /// One whose links are whole.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Holds back every frame that goes this way. The peer's death may overtake what is held.
    pub fn hold(&self, direction: Direction) {
        self.pass(direction, 0);
    }

    /// Lets through so many more frames that go this way, and holds back what follows.
    pub fn pass(&self, direction: Direction, frames: u64) {
        self.set(direction, Some(frames));
    }

    /// Lets go what was held back, in order, and whatever follows.
    pub fn let_go(&self, direction: Direction) {
        self.set(direction, None);
    }

    /// Lets through one frame at most in each `interval`.
    ///
    /// # Panics
    /// If the system has no thread left to count the time.
    pub fn slow(&self, direction: Direction, interval: Duration) -> Slow {
        let (stop, stopped) = mpsc::channel();
        let breaker = self.clone();
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                breaker.pass(direction, 1);
            }
        });
        self.hold(direction);
        Slow { breaker: self.clone(), direction, ticking: Some((stop, thread)) }
    }

    /// Cuts the links that are there, both ways and for good: what is on its way to this side is lost. Links that are made
    /// later are whole.
    pub fn cut(&self, cut: Cut) {
        let links = std::mem::take(&mut lock(&self.0).links);
        for link in links.iter().filter_map(Weak::upgrade) {
            link.cut(cut);
        }
    }

    /// A link that this breaks.
    pub(crate) fn breakable(&self, link: Link) -> Link {
        let shared = Arc::new(Shared {
            breaker: self.clone(),
            signal: link.signal,
            cut: OnceLock::new(),
            sleeper: Mutex::default(),
            is_apart: AtomicBool::new(false),
        });
        let links = &mut lock(&self.0).links;
        links.retain(|link| link.strong_count() > 0);
        links.push(Arc::downgrade(&shared));
        Link {
            transmit: Box::new(Sender { transmit: link.transmit, shared: Arc::clone(&shared) }),
            receive: Box::new(Receiver { receive: link.receive, shared: Arc::clone(&shared) }),
            signal: shared,
        }
    }

    fn set(&self, direction: Direction, pass: Pass) {
        let links: Vec<_> = {
            let mut state = lock(&self.0);
            *state.pass(direction) = pass;
            state.links.iter().filter_map(Weak::upgrade).collect()
        };
        links.iter().for_each(|link| link.wake_sleeper());
    }
}

impl State {
    fn pass(&mut self, direction: Direction) -> &mut Pass {
        match direction {
            Direction::Incoming => &mut self.incoming,
            Direction::Outgoing => &mut self.outgoing,
        }
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.ticking.take() {
            drop(stop);
            // It does nothing that could panic.
            let (Ok(()) | Err(_)) = thread.join();
        }
        self.breaker.let_go(self.direction);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the parts of a breakable link share; its signal.
struct Shared {
    breaker: Breaker,
    signal: Arc<dyn Signal>,
    cut: OnceLock<Cut>,
    /// Who sleeps, to be woken when something has changed here.
    sleeper: Mutex<Option<Waker>>,
    /// Whether a sleep was announced while frames were held: the link itself knows nothing of it.
    is_apart: AtomicBool,
}

impl Shared {
    fn cut(&self, cut: Cut) {
        // The first cut counts.
        let (Ok(()) | Err(_)) = self.cut.set(cut);
        self.signal.hang_up();
        self.wake_sleeper();
    }

    fn wake_sleeper(&self) {
        let sleeper = lock(&self.sleeper).take();
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    fn check(&self) -> Result<(), LinkError> {
        match self.cut.get() {
            None => Ok(()),
            Some(Cut::Death) => Err(LinkError::Gone),
            Some(Cut::Io(kind)) => Err(LinkError::Io((*kind).into())),
        }
    }

    fn is_cut(&self) -> bool {
        self.cut.get().is_some()
    }

    /// Whether a frame may pass.
    fn passes(&self, direction: Direction) -> bool {
        !self.is_cut() && *lock(&self.breaker.0).pass(direction) != Some(0)
    }

    /// A frame has passed.
    fn passed(&self, direction: Direction) {
        if let Some(more) = lock(&self.breaker.0).pass(direction) {
            *more = more.saturating_sub(1);
        }
    }
}

struct Sender {
    transmit: Box<dyn Transmit>,
    shared: Arc<Shared>,
}

impl Transmit for Sender {
    fn max_payload(&self) -> usize {
        self.transmit.max_payload()
    }

    fn reserve(&mut self, length: usize) -> Result<&mut [u8], Full> {
        if self.shared.passes(Direction::Outgoing) { self.transmit.reserve(length) } else { Err(Full) }
    }

    fn commit(&mut self, header: &Header) {
        self.transmit.commit(header);
        self.shared.passed(Direction::Outgoing);
    }

    fn carries_descriptors(&self) -> bool {
        self.transmit.carries_descriptors()
    }

    fn commit_passing(&mut self, header: &Header, descriptors: &[BorrowedFd<'_>]) -> Result<(), NotPassed> {
        self.transmit.commit_passing(header, descriptors)?;
        self.shared.passed(Direction::Outgoing);
        Ok(())
    }

    fn has_room_for(&mut self, descriptors: usize) -> bool {
        self.transmit.has_room_for(descriptors) && self.shared.passes(Direction::Outgoing)
    }

    fn publish(&mut self) -> bool {
        !self.shared.is_cut() && self.transmit.publish()
    }

    fn fault(&self) -> Option<Corrupt> {
        self.transmit.fault()
    }

    fn has_drained(&self) -> bool {
        // Not for who is not let through.
        self.transmit.has_drained() && self.shared.passes(Direction::Outgoing)
    }

    fn is_backed_up(&self) -> bool {
        self.transmit.is_backed_up() && !self.shared.is_cut()
    }

    fn cells(&self) -> u32 {
        self.transmit.cells()
    }

    fn own_cell(&self, index: u32) -> Option<&AtomicU64> {
        self.transmit.own_cell(index)
    }

    fn peer_cell(&self, index: u32) -> Option<PeerWord<'_>> {
        self.transmit.peer_cell(index)
    }
}

struct Receiver {
    receive: Box<dyn Receive>,
    shared: Arc<Shared>,
}

impl Receive for Receiver {
    fn next(&mut self, frame: &mut Frame) -> Result<bool, LinkError> {
        self.shared.check()?;
        let any = self.shared.passes(Direction::Incoming) && self.receive.next(frame)?;
        if any {
            self.shared.passed(Direction::Incoming);
        }
        Ok(any)
    }

    fn most_unread(&self) -> u64 {
        // Who buries the peer is to find a cut.
        self.receive.most_unread().max(1)
    }

    fn release(&mut self) {
        self.receive.release();
    }

    fn awake(&mut self) {
        self.receive.awake();
    }

    fn announce(&mut self, sleep: Sleep<'_>) -> Result<Option<Note>, LinkError> {
        // First: whatever changes from here on wakes the sleeper.
        *lock(&self.shared.sleeper) = Some(sleep.waker.clone());
        self.shared.check()?;
        let want_space = sleep.want_space && self.shared.passes(Direction::Outgoing);
        let is_apart = !self.shared.passes(Direction::Incoming);
        // The sleeper reads this itself, or has been woken since.
        self.shared.is_apart.store(is_apart, Ordering::Relaxed);
        match is_apart {
            false => self.receive.announce(Sleep { want_space, ..sleep }),
            // Asked for space the link would find what is held. A thread looks for it after each nap, a task all the time.
            true if want_space && sleep.mode == SleepMode::Descriptor => Ok(None),
            true => Ok(Some(Note { rings: 0, to_write: false })),
        }
    }
}

impl Signal for Shared {
    fn ring(&self) {
        self.signal.ring();
    }

    fn rings(&self) -> Option<u64> {
        self.signal.rings()
    }

    fn wake_local(&self) {
        self.signal.wake_local();
    }

    fn local(&self) -> u32 {
        self.signal.local()
    }

    fn wait(&self, note: Note, local: u32, deadline: Option<Instant>) {
        if !self.is_apart.load(Ordering::Relaxed) {
            return self.signal.wait(note, local, deadline);
        }
        let left = deadline.map_or(NAP, |at| at.saturating_duration_since(Instant::now()));
        std::thread::sleep(left.min(NAP));
    }

    fn descriptor(&self) -> Option<Arc<OwnedFd>> {
        self.signal.descriptor()
    }

    fn clear(&self) {
        self.signal.clear();
    }

    fn is_stream(&self) -> bool {
        self.signal.is_stream()
    }

    fn lifeline(&self) -> Option<Arc<OwnedFd>> {
        self.signal.lifeline()
    }

    fn has_hung_up(&self) -> bool {
        self.is_cut() || self.signal.has_hung_up()
    }

    fn hang_up(&self) {
        self.signal.hang_up();
    }

    fn may_spin(&self) -> bool {
        self.signal.may_spin()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::AtomicU32;
    use std::task::Wake;

    use super::*;
    use crate::link::{Kind, SleepMode, mem_pair, stream_link};

    fn links() -> [(Link, Link); 2] {
        let (one, other) = UnixStream::pair().unwrap();
        [mem_pair(), (stream_link(one, false).unwrap(), stream_link(other, false).unwrap())]
    }

    fn send(link: &mut Link, id: u64) -> Result<(), Full> {
        link.transmit.reserve(8)?.copy_from_slice(&id.to_le_bytes());
        link.transmit.commit(&Header { length: 8, id, ..Header::new(Kind::Cancel) });
        link.transmit.publish();
        Ok(())
    }

    /// The IDs of the frames that come.
    fn receive(link: &mut Link) -> Vec<u64> {
        let mut frame = Frame::default();
        std::iter::from_fn(|| link.receive.next(&mut frame).unwrap().then_some(frame.header.id)).collect()
    }

    #[derive(Default)]
    struct Woken(AtomicU32);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn as_many_frames_pass_as_may_and_all_in_order() {
        for (link, mut peer) in links() {
            let breaker = Breaker::new();
            let mut link = breaker.breakable(link);
            (0..10).for_each(|id| send(&mut peer, id).unwrap());
            breaker.pass(Direction::Incoming, 3);
            assert_eq!(receive(&mut link), [0, 1, 2]);
            breaker.pass(Direction::Incoming, 2);
            assert_eq!(receive(&mut link), [3, 4]);
            breaker.let_go(Direction::Incoming);
            assert_eq!(receive(&mut link), [5, 6, 7, 8, 9]);

            breaker.pass(Direction::Outgoing, 2);
            assert_eq!([0, 1, 2].map(|id| send(&mut link, id)), [Ok(()), Ok(()), Err(Full)]);
            breaker.let_go(Direction::Outgoing);
            send(&mut link, 3).unwrap();
            assert_eq!(receive(&mut peer), [0, 1, 3]);
        }
    }

    #[test]
    fn who_waits_for_what_is_held_sleeps_and_is_woken() {
        for (link, mut peer) in links() {
            let breaker = Breaker::new();
            let mut link = breaker.breakable(link);
            let woken = Arc::new(Woken::default());
            let waker = Waker::from(Arc::clone(&woken));
            let sleep =
                Sleep { mode: SleepMode::Descriptor, want_space: false, to_write: false, waker: &waker };
            breaker.hold(Direction::Incoming);
            send(&mut peer, 1).unwrap();
            assert!(link.receive.announce(sleep).unwrap().is_some());
            breaker.hold(Direction::Outgoing);
            assert_eq!(woken.0.load(Ordering::Relaxed), 1);
            let sleep = Sleep { want_space: true, ..sleep };
            assert!(link.receive.announce(sleep).unwrap().is_some());
            breaker.let_go(Direction::Incoming);
            assert_eq!(woken.0.load(Ordering::Relaxed), 2);
            assert!(link.receive.announce(sleep).unwrap().is_none());
            assert_eq!(receive(&mut link), [1]);
            assert!(link.receive.announce(sleep).unwrap().is_some());
            breaker.cut(Cut::Death);
            assert_eq!(woken.0.load(Ordering::Relaxed), 3);
        }
    }

    #[test]
    fn a_cut_link_loses_what_comes_and_takes_nothing() {
        for (link, mut peer) in links() {
            let breaker = Breaker::new();
            let mut link = breaker.breakable(link);
            send(&mut peer, 1).unwrap();
            send(&mut link, 2).unwrap();
            breaker.cut(Cut::Io(io::ErrorKind::TimedOut));
            breaker.cut(Cut::Death);
            let mut frame = Frame::default();
            match link.receive.next(&mut frame) {
                Err(LinkError::Io(error)) => assert_eq!(error.kind(), io::ErrorKind::TimedOut),
                other => panic!("{other:?}"),
            }
            assert_eq!(send(&mut link, 3), Err(Full));
            assert!(link.signal.has_hung_up());
            // What was on its way there arrives, and then the end.
            assert!(peer.receive.next(&mut frame).unwrap());
            assert_eq!(frame.header.id, 2);
            assert!(matches!(peer.receive.next(&mut frame), Err(LinkError::Gone)));
        }
    }
}
