//! One side of a segment: the words of its half, and how it sleeps and rings.

use loom::sync::atomic::AtomicU32;

use crate::bell::{Mode, Note, Ringer, Sleeper};
use crate::kernel::{Futex, Pipe};
use crate::sync::AtomicU64;
use crate::sync::Ordering::{Acquire, Release};
use crate::word::{BellLine, ConsumerLine, PeerWord, PeerWord32, ProducerLine, RingsLine};

/// One side of a segment.
#[derive(Debug)]
pub struct Side {
    /// How far it has published.
    pub producer: ProducerLine,
    /// How far it has given space back.
    pub consumer: ConsumerLine,
    /// How it sleeps.
    pub bell: BellLine,
    /// What its peer sleeps on.
    pub rings: RingsLine,
    /// Where its threads sleep.
    pub futex: Futex,
    /// Where its event loop sleeps.
    pub pipe: Pipe,
    ringer: Ringer,
    local: AtomicU32,
}

impl Default for Side {
    fn default() -> Self {
        Self::new(AtomicU64::new(0), AtomicU64::new(0))
    }
}

impl Side {
    /// A side with these words for its positions.
    pub fn new(tail: AtomicU64, head: AtomicU64) -> Self {
        Self {
            producer: ProducerLine { tail },
            consumer: ConsumerLine { head },
            bell: BellLine { sleep: AtomicU64::new(0), space: AtomicU64::new(0), cpu: AtomicU32::new(0) },
            rings: RingsLine { rings: AtomicU32::new(0) },
            futex: Futex::default(),
            pipe: Pipe::default(),
            ringer: Ringer::new(),
            local: AtomicU32::new(0),
        }
    }

    /// Wakes the peer if it sleeps and wants to hear of frames, or of this head.
    pub fn ring(&self, peer: &Self, frames: bool, head: u64) {
        let (sleep, space) = (PeerWord::new(&peer.bell.sleep), PeerWord::new(&peer.bell.space));
        match self.ringer.ring(sleep, space, &self.rings, frames, head) {
            None => {}
            Some(Mode::Futex) => peer.futex.wake(),
            Some(Mode::Descriptor) => peer.pipe.ring(),
        }
    }

    /// Whether the peer is awake, and finds by itself the frames that were published.
    pub fn is_heard(&self, peer: &Self) -> bool {
        self.ringer.is_heard(PeerWord::new(&peer.bell.sleep))
    }

    /// Announces a sleep of this side.
    pub fn announce(&self, sleeper: &mut Sleeper, peer: &Self, mode: Mode, space: u64) -> Note {
        sleeper.announce(&self.bell, PeerWord32::new(&peer.rings.rings), mode, space)
    }

    /// How often this side was woken for reasons of its own.
    pub fn local(&self) -> u32 {
        self.local.load(Acquire)
    }

    /// Wakes this side for a reason of its own.
    pub fn wake_local(&self) {
        self.local.fetch_add(1, Release);
        self.futex.wake();
    }

    /// Sleeps until the peer rings or, on the futex, this side has been woken since its count was `local`.
    pub fn wait(&self, peer: &Self, mode: Mode, Note(note): Note, local: u32) {
        match mode {
            Mode::Futex => self.futex.wait(&[(&peer.rings.rings, note), (&self.local, local)]),
            Mode::Descriptor => self.pipe.wait(),
        }
    }
}
