//! The `shm` link: a ring in each direction, a bell for each side, and the socket of the hand-over as lifeline.
//!
//! Space is worth a ring only when the peer waits for half of its ring. The consumer looks for that whenever it has
//! given back a quarter since it last looked, which is enough: a waiting producer's goal lies half a ring behind
//! its last frame, so that of the looks on the way to that frame at least one is past the goal. One that waits with
//! descriptors has the last frame with such as its goal, and the consumer looks after each of these (`lifeline.rs`).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use transom_shm_layout::bell::{self, Mode, Ringer, Sleeper};
use transom_shm_layout::half::HalfPlan;
use transom_shm_layout::ring::{self, Consumer, Producer, Reservation, ReserveError};
use transom_shm_layout::word::PeerWord;

use super::empty_wakes::EmptyWakes;
use super::ended::UntilEnd;
use super::lifeline::{self, Outgoing};
use super::wake::Wakes;
use super::{
    Corrupt, Flags, Frame, Full, Header, Link, LinkError, NotPassed, Note, Receive, Signal, Sleep, SleepMode,
    Transmit,
};
use crate::memory::{OwnRegion, PeerRegion, RingReader, RingWriter, split};
use crate::sys;
use crate::sys::futex::Waited;

/// What a hand-over ends with: all that a link in shared memory needs.
pub(crate) struct Parts {
    /// This side's half.
    pub(crate) own: OwnRegion,
    /// The peer's half.
    pub(crate) peer: PeerRegion,
    /// What becomes readable when the peer rings.
    pub(crate) bell: OwnedFd,
    /// What rings the peer.
    pub(crate) peer_bell: OwnedFd,
    /// What hangs up when the peer dies.
    pub(crate) lifeline: OwnedFd,
    /// Whether the end of the lifeline means more than the end of this session: it is not shut down then.
    pub(crate) inherited: bool,
}

/// A link over a segment whose halves have been checked.
pub(crate) fn link(parts: Parts) -> Link {
    let (outgoing, incoming) = (parts.own.plan().capacity(), parts.peer.plan().capacity());
    let (writer, reader, own, peer) = split(parts.own, parts.peer);
    let held =
        Held { bell: Arc::new(parts.bell), peer_bell: parts.peer_bell, lifeline: Arc::new(parts.lifeline) };
    let shared = Arc::new(Shared {
        own,
        peer,
        ringer: Ringer::new(),
        rings: AtomicU64::new(0),
        space_goal: AtomicU64::new(0),
        wakes: Wakes::default(),
        woken: AtomicU32::new(0),
        futex: sys::futex::can_wait_for_two(),
        held: UntilEnd::new(Arc::new(held)),
        inherited: parts.inherited,
    });
    // A quarter of a ring, with its header: several frames are on their way at once, and none fills the ring.
    let max_payload = outgoing.bytes() / 4 - Header::LEN as u64;
    Link {
        transmit: Box::new(Sender {
            shared: Arc::clone(&shared),
            writer,
            producer: Producer::new(outgoing),
            reserved: None,
            lifeline: Outgoing::default(),
            max_payload: usize::try_from(max_payload).unwrap_or(usize::MAX),
            fault: None,
        }),
        receive: Box::new(Receiver {
            shared: Arc::clone(&shared),
            reader,
            consumer: Consumer::new(incoming),
            sleeper: Sleeper::new(),
            empty_wakes: EmptyWakes::default(),
            looked_for_space: 0,
            quarter: incoming.bytes() / 4,
        }),
        signal: shared,
    }
}

struct Shared {
    own: Arc<OwnRegion>,
    peer: Arc<PeerRegion>,
    ringer: Ringer,
    /// How often it has been rung for.
    rings: AtomicU64,
    /// The position of the peer's head from which on there is room for what did not find any.
    space_goal: AtomicU64,
    wakes: Wakes,
    /// How often the peer has woken this side since the last announcement.
    woken: AtomicU32,
    /// Whether a thread can sleep on two futexes at once here.
    futex: bool,
    held: UntilEnd<Held>,
    inherited: bool,
}

/// What is open until the link ends.
struct Held {
    bell: Arc<OwnedFd>,
    peer_bell: OwnedFd,
    lifeline: Arc<OwnedFd>,
}

impl Shared {
    /// Wakes the peer if it sleeps and wants to hear of frames, or of this head.
    #[inline]
    fn ring_for(&self, frames: bool, head: u64) {
        let bell = self.ringer.ring(self.peer.sleep(), self.peer.space(), self.own.rings(), frames, head);
        let Some(mode) = bell else { return };
        self.rings.fetch_add(1, Ordering::Relaxed);
        match mode {
            Mode::Futex => sys::futex::wake_all(&self.own.rings().rings),
            Mode::Descriptor => {
                if let Some(held) = self.held.get() {
                    sys::pipe::ring(held.peer_bell.as_fd());
                }
            }
        }
    }
}

struct Sender {
    shared: Arc<Shared>,
    writer: RingWriter,
    producer: Producer,
    reserved: Option<Reservation>,
    lifeline: Outgoing,
    max_payload: usize,
    fault: Option<Corrupt>,
}

impl Transmit for Sender {
    fn max_payload(&self) -> usize {
        self.max_payload
    }

    #[inline]
    fn reserve(&mut self, length: usize) -> Result<&mut [u8], Full> {
        match self.producer.reserve(&self.writer, length) {
            Ok(reservation) => {
                self.reserved = Some(reservation);
                Ok(self.writer.bytes(reservation.at, reservation.length))
            }
            Err(error) => {
                if let ReserveError::Corrupt(corrupt) = error {
                    self.fault = Some(corrupt.into());
                }
                self.wait_for(self.producer.space_goal());
                Err(Full)
            }
        }
    }

    #[inline]
    fn commit(&mut self, header: &Header) {
        if let Some(reservation) = self.reserved.take() {
            self.producer.commit(&mut self.writer, reservation, &header.encode());
        }
    }

    fn carries_descriptors(&self) -> bool {
        true
    }

    fn commit_passing(&mut self, header: &Header, descriptors: &[BorrowedFd<'_>]) -> Result<(), NotPassed> {
        let (Some(reservation), Some(held)) = (self.reserved.take(), self.shared.held.get()) else {
            return Ok(());
        };
        let header = header.announcing(descriptors.len(), self.lifeline.next());
        for _ in 0..2 {
            if !self.has_room_for(descriptors.len()) {
                return Err(NotPassed::Full);
            }
            match self.lifeline.send(&held.lifeline, descriptors) {
                Ok(()) => {
                    self.producer.commit(&mut self.writer, reservation, &header.encode());
                    self.lifeline.committed(self.producer.written());
                    return Ok(());
                }
                // Next time there is room only if the peer has taken all.
                Err(NotPassed::Full) => {}
                Err(refused) => return Err(refused),
            }
        }
        self.fault = Some(Corrupt::Lifeline);
        Err(NotPassed::Full)
    }

    fn has_room_for(&mut self, descriptors: usize) -> bool {
        if self.lifeline.has_room_for(descriptors) {
            return true;
        }
        let last = self.lifeline.last();
        match self.producer.has_back(&self.writer, last) {
            Ok(true) => {
                self.lifeline.all_taken();
                return true;
            }
            Ok(false) => {}
            Err(corrupt) => self.fault = Some(corrupt.into()),
        }
        self.wait_for(last);
        false
    }

    #[inline]
    fn publish(&mut self) -> bool {
        self.producer.publish(&self.writer)
    }

    fn fault(&self) -> Option<Corrupt> {
        self.fault
    }

    fn cells(&self) -> u32 {
        let cells = |plan: &HalfPlan| plan.config().credit_cells;
        cells(self.shared.own.plan()).min(cells(self.shared.peer.plan()))
    }

    #[inline]
    fn own_cell(&self, index: u32) -> Option<&AtomicU64> {
        self.shared.own.credit_cell(index)
    }

    #[inline]
    fn peer_cell(&self, index: u32) -> Option<PeerWord<'_>> {
        self.shared.peer.credit_cell(index)
    }
}

impl Sender {
    /// Whoever sleeps from here on is woken when the peer has come to this position.
    fn wait_for(&self, head: u64) {
        // Read by `announce`, which the driver calls after this step and under another lock.
        self.shared.space_goal.store(head, Ordering::Relaxed);
    }
}

struct Receiver {
    shared: Arc<Shared>,
    reader: RingReader,
    consumer: Consumer,
    sleeper: Sleeper,
    empty_wakes: EmptyWakes,
    /// The head at which the peer was last asked whether it waits for space.
    looked_for_space: u64,
    quarter: u64,
}

impl Receive for Receiver {
    #[inline]
    fn next(&mut self, frame: &mut Frame) -> Result<bool, LinkError> {
        let Some(taken) = self.consumer.take(&self.reader).map_err(Corrupt::from)? else { return Ok(false) };
        frame.header = Header::decode(taken.header).map_err(Corrupt::Header)?;
        frame.payload.renew();
        self.reader.copy_out(taken.at, taken.length, &mut frame.payload);
        frame.descriptors.close();
        if frame.header.flags.contains(Flags::DESCRIPTORS) {
            self.take_descriptors(frame)?;
        }
        if self.consumer.owes_release() {
            self.release();
        }
        Ok(true)
    }

    fn most_unread(&self) -> u64 {
        4 * self.quarter / Header::LEN as u64
    }

    #[inline]
    fn release(&mut self) {
        if self.consumer.release(&self.reader) {
            let head = self.consumer.released();
            if head - self.looked_for_space >= self.quarter {
                self.look_for_space(head);
            }
        }
    }

    #[inline]
    fn awake(&mut self) {
        self.sleeper.awake(self.shared.own.bell());
    }

    fn announce(&mut self, sleep: Sleep<'_>) -> Result<Option<Note>, LinkError> {
        self.release();
        self.shared.show_cpu();
        let mode = match sleep.mode {
            SleepMode::Futex if self.shared.futex => Mode::Futex,
            SleepMode::Futex | SleepMode::Descriptor => Mode::Descriptor,
        };
        let space = if sleep.want_space { self.shared.space_goal.load(Ordering::Relaxed) } else { 0 };
        let woken = self.shared.woken.swap(0, Ordering::Relaxed);
        self.empty_wakes.sleeps(woken, self.consumer.released(), space)?;
        let bell::Note(rings) =
            self.sleeper.announce(self.shared.own.bell(), self.shared.peer.rings(), mode, space);
        let frames = !self.consumer.is_empty(&self.reader).map_err(Corrupt::from)?;
        // An impossible head is found by the one who reserves.
        let room = sleep.want_space && self.shared.peer.head().load() >= space;
        if frames || room {
            self.awake();
            return Ok(None);
        }
        Ok(Some(Note { rings, to_write: false }))
    }
}

impl Receiver {
    #[cold]
    fn take_descriptors(&mut self, frame: &mut Frame) -> Result<(), LinkError> {
        let lifeline = self.shared.lifeline().ok_or(LinkError::Gone)?;
        frame.descriptors = lifeline::receive(lifeline, &frame.header)?;
        frame.header = frame.header.announcing_none();
        self.release();
        self.look_for_space(self.consumer.released());
        Ok(())
    }

    /// Wakes the peer if it waits for this head.
    fn look_for_space(&mut self, head: u64) {
        self.looked_for_space = head;
        self.shared.ring_for(false, head);
    }
}

/// The memory goes with the ring's reader and writer.
impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.held.end();
    }
}

impl Signal for Shared {
    #[inline]
    fn ring(&self) {
        self.ring_for(true, 0);
    }

    fn rings(&self) -> Option<u64> {
        Some(self.rings.load(Ordering::Relaxed))
    }

    #[inline]
    fn is_heard(&self) -> bool {
        self.ringer.is_heard(self.peer.sleep())
    }

    fn wake_local(&self) {
        if self.futex {
            self.wakes.bump();
            sys::futex::wake_all(self.wakes.word());
        } else {
            self.wakes.wake();
        }
    }

    #[inline]
    fn local(&self) -> u32 {
        self.wakes.count()
    }

    fn wait(&self, note: Note, local: u32, deadline: Option<Instant>) {
        if self.futex {
            let words = [(self.peer.rings().word(), note.rings), (self.wakes.word(), local)];
            match sys::futex::wait_two(words, deadline) {
                Waited::Woken(0) => self.woken(),
                Waited::Changed if self.wakes.count() == local => self.woken(),
                // Asked for at the start; should it be gone now, every wait returns at once and the caller looks again.
                Waited::Woken(_) | Waited::Changed | Waited::Ended | Waited::Unsupported => {}
            }
            return;
        }
        let Some(held) = self.held.get() else { return };
        let watched = [(held.bell.as_fd(), true, false), (held.lifeline.as_fd(), false, false)];
        self.wakes.sleep(local, &watched, deadline);
        self.clear();
    }

    fn descriptor(&self) -> Option<Arc<OwnedFd>> {
        self.held.get().map(|held| Arc::clone(&held.bell))
    }

    fn clear(&self) {
        if self.descriptor().is_some_and(|bell| sys::pipe::clear(bell.as_fd())) {
            self.woken();
        }
    }

    fn is_stream(&self) -> bool {
        false
    }

    fn lifeline(&self) -> Option<Arc<OwnedFd>> {
        self.held.get().map(|held| Arc::clone(&held.lifeline))
    }

    fn has_hung_up(&self) -> bool {
        self.lifeline().is_none_or(sys::poll::has_hung_up)
    }

    fn hang_up(&self) {
        if !self.inherited
            && let Some(lifeline) = self.lifeline()
        {
            sys::socket::shut_down(lifeline);
        }
    }

    #[inline]
    fn may_spin(&self) -> bool {
        let own = self.show_cpu();
        let peer = self.peer.cpu();
        peer != 0 && peer != own
    }
}

impl Shared {
    /// The peer has woken this side.
    fn woken(&self) {
        // Who sleeps next counts it; that one has been in the core since.
        self.woken.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells the peer which CPU this thread runs on, plus one.
    #[inline]
    fn show_cpu(&self) -> u32 {
        let cpu = sys::cpu::current().wrapping_add(1);
        let shown = &self.own.bell().cpu;
        if shown.load(Ordering::Relaxed) != cpu {
            shown.store(cpu, Ordering::Relaxed);
        }
        cpu
    }
}

impl From<ring::Corrupt> for Corrupt {
    fn from(corrupt: ring::Corrupt) -> Self {
        match corrupt {
            ring::Corrupt::Position { position, from, to } => Self::Position { position, from, to },
            ring::Corrupt::Length { length, limit } => Self::Length { length, limit },
        }
    }
}
