//! The bell: how a sleeping side is woken, and an awake one is not.
//!
//! Two sides, A and B. B sleeps; A publishes. B's half holds `sleep` (an epoch and how B sleeps) and `space` (the
//! position of A's `head` from which B wants to hear of it); A's half holds `rings`, a counter that B sleeps on.
//!
//! # Why no wake-up is lost
//!
//! ```text
//! B, to sleep                              A, to wake
//!   1  note := rings                         5  publish: tail := .. or head := ..
//!   2  sleep := (epoch + 1, mode)            6  fence(SeqCst)
//!   3  fence(SeqCst)                         7  look at sleep; awake => done
//!   4  anything there? => sleep := awake     8  claim the epoch; rings += 1; wake all
//!      else wait while rings == note
//! ```
//!
//! The two fences are in one total order. If 3 comes before 6, the look at 7 sees the store at 2 (or a later
//! one), so A claims that epoch and rings. If 6 comes before 3, the check at 4 sees what 5 published, so B does
//! not sleep. Without either fence both could look before the other's store shows, on x86 as well: a store may
//! be passed by a later load of another word.
//!
//! If A rings (8), B must not sleep through it, and an epoch is rung for once only. So the note must not contain a bump
//! that answers its own epoch, whatever that ring was for. It cannot: it is taken (1) before the epoch shows (2), and
//! A bumps (8) after it has seen the epoch (7). A note taken after 2 could: a publisher whose frame B has long taken
//! may be late in looking, answer the new epoch, and be noted; then the epoch is spent, and the next publisher
//! does not ring.
//!
//! A bump that answers an older epoch may come after the note; the wait then returns early, once. After a wait that
//! returned for no reason B may wait again with the same note, or announce a new epoch. If another thread of B
//! announces a *newer* epoch on behalf of a sleeper that waits with an older note, every ring of every epoch bumps
//! `rings`, so that the sleeper's comparison fails all the sooner.
//!
//! # At most one ring for each sleep
//!
//! Publishers of A claim an epoch by moving a private word from something lower to it. A hostile B can show any
//! epoch at any time; that costs A at most one system call for each publication, and only B's wake-ups.
//!
//! # Edges
//! | edge       | released by         | acquired by    | makes visible                                          |
//! |------------|---------------------|----------------|--------------------------------------------------------|
//! | bell.sleep | `Sleeper::announce` | `Ringer::ring` | `space`, as wanted in this sleep; that the note is taken |

use crate::sync::Ordering::{Relaxed, Release, SeqCst};
use crate::sync::{AtomicU64, fence};
use crate::word::{BellLine, PeerWord, PeerWord32, RingsLine};

/// How a side sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// On the futex under the peer's `rings`.
    Futex,
    /// In an event loop, until its bell descriptor becomes readable.
    Descriptor,
}

/// The bits of a `sleep` word: an epoch, and how its side sleeps in it.
///
/// ```text
///  63                                2 1    0
///  |              epoch               | mode |     mode: 0 awake, 1 futex, 2 descriptor
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SleepState(u64);

impl SleepState {
    const MODE_BITS: u32 = 2;
    const AWAKE: Self = Self(0);
    const FUTEX: u64 = 1;
    const DESCRIPTOR: u64 = 2;

    fn asleep(epoch: u64, mode: Mode) -> Self {
        let mode = match mode {
            Mode::Futex => Self::FUTEX,
            Mode::Descriptor => Self::DESCRIPTOR,
        };
        Self(epoch << Self::MODE_BITS | mode)
    }

    /// How the side sleeps; `None` if it is awake, or says what this version does not know.
    fn mode(self) -> Option<Mode> {
        match self.0 & ((1 << Self::MODE_BITS) - 1) {
            Self::FUTEX => Some(Mode::Futex),
            Self::DESCRIPTOR => Some(Mode::Descriptor),
            _ => None,
        }
    }

    fn epoch(self) -> u64 {
        self.0 >> Self::MODE_BITS
    }
}

/// What a sleeper read of the peer's `rings` when it announced; good for that epoch only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note(pub u32);

/// The sleeping side of a bell. Used by whoever holds the drain role.
#[derive(Debug, Default)]
pub struct Sleeper {
    epoch: u64,
    announced: bool,
}

impl Sleeper {
    /// A sleeper that is awake.
    pub fn new() -> Self {
        Self::default()
    }

    /// This side is awake: the peer need not ring. Touches nothing if it was awake before.
    #[inline]
    pub fn awake(&mut self, own: &BellLine) {
        if self.announced {
            self.announced = false;
            // Relaxed: a peer that still sees the sleep rings once in vain.
            own.sleep.store(SleepState::AWAKE.0, Relaxed);
        }
    }

    /// Announces a new sleep. The caller must now check everything it could be waiting for, and wait with the
    /// note only if nothing is there. `space` is the position of the peer's `head` worth a ring, or 0.
    pub fn announce(&mut self, own: &BellLine, peer_rings: PeerWord32<'_>, mode: Mode, space: u64) -> Note {
        self.epoch += 1;
        self.announced = true;
        // Before the epoch shows: no ring that answers it can be in here.
        let note = Note(peer_rings.glance());
        own.space.store(space, Relaxed);
        // sync: bell.sleep (announce) -> Ringer::ring. With less than Release the load of the note could be passed by
        // this store, and the note contain the bump that answers it.
        own.sleep.store(SleepState::asleep(self.epoch, mode).0, Release);
        // Pairs with the fence in `Ringer::ring`: one of the two sees what the other stored before its fence.
        fence(SeqCst);
        note
    }
}

/// The waking side of a bell. Shared by all publishers of a side.
#[derive(Debug)]
pub struct Ringer {
    /// The latest epoch of the peer that somebody here has rung for.
    claimed: AtomicU64,
}

impl Default for Ringer {
    fn default() -> Self {
        Self::new()
    }
}

impl Ringer {
    /// A ringer that has never rung.
    pub fn new() -> Self {
        Self { claimed: AtomicU64::new(0) }
    }

    /// After something was published: whether the peer sleeps and must be woken by the caller, and how.
    /// `head` is this side's position as consumer, `frames` whether frames were published.
    #[inline]
    pub fn ring(
        &self,
        peer_sleep: PeerWord<'_>,
        peer_space: PeerWord<'_>,
        own: &RingsLine,
        frames: bool,
        head: u64,
    ) -> Option<Mode> {
        // Pairs with the fence in `Sleeper::announce`: see the module's proof.
        fence(SeqCst);
        let state = SleepState(peer_sleep.load()); // sync: bell.sleep (look) <- Sleeper::announce
        let mode = state.mode()?;
        let space = peer_space.glance();
        if !frames && (space == 0 || head < space) {
            return None;
        }
        self.claim(state.epoch(), own).then_some(mode)
    }

    /// After frames were published: whether the peer is awake and finds them by itself. If not, [`ring`](Self::ring).
    #[inline]
    pub fn is_heard(&self, peer_sleep: PeerWord<'_>) -> bool {
        // As in `ring`, which does nothing more where this is true.
        fence(SeqCst);
        SleepState(peer_sleep.load()).mode().is_none() // sync: bell.sleep (look) <- Sleeper::announce
    }

    #[cold]
    fn claim(&self, epoch: u64, own: &RingsLine) -> bool {
        let mut claimed = self.claimed.load(Relaxed);
        // Bounded: every failure means that another publisher of this side moved the word up.
        while claimed < epoch {
            match self.claimed.compare_exchange(claimed, epoch, Relaxed, Relaxed) {
                Ok(_) => {
                    // Relaxed: the sleeper compares it, and looks at what was published by words of their own.
                    own.rings.fetch_add(1, Relaxed);
                    return true;
                }
                Err(now) => claimed = now,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::AtomicU32;

    fn bell() -> BellLine {
        BellLine { sleep: AtomicU64::new(0), space: AtomicU64::new(0), cpu: AtomicU32::new(0) }
    }

    fn ring(ringer: &Ringer, peer: &BellLine, rings: &RingsLine, frames: bool, head: u64) -> Option<Mode> {
        ringer.ring(PeerWord::new(&peer.sleep), PeerWord::new(&peer.space), rings, frames, head)
    }

    #[test]
    fn a_sleep_is_rung_once_and_an_awake_side_never() {
        let (line, rings) = (bell(), RingsLine { rings: AtomicU32::new(0) });
        let (mut sleeper, ringer) = (Sleeper::new(), Ringer::new());
        assert_eq!(ring(&ringer, &line, &rings, true, 0), None);
        assert!(ringer.is_heard(PeerWord::new(&line.sleep)));
        for (turn, mode) in [(0, Mode::Futex), (1, Mode::Descriptor)] {
            let note = sleeper.announce(&line, PeerWord32::new(&rings.rings), mode, 0);
            assert_eq!(note, Note(turn));
            assert!(!ringer.is_heard(PeerWord::new(&line.sleep)));
            assert_eq!(ring(&ringer, &line, &rings, false, 0), None);
            assert_eq!(ring(&ringer, &line, &rings, true, 0), Some(mode));
            assert_eq!(ring(&ringer, &line, &rings, true, 0), None);
        }
        sleeper.awake(&line);
        assert_eq!(ring(&ringer, &line, &rings, true, 0), None);
    }

    #[test]
    fn space_is_rung_for_from_the_wanted_position() {
        let (line, rings) = (bell(), RingsLine { rings: AtomicU32::new(0) });
        let (mut sleeper, ringer) = (Sleeper::new(), Ringer::new());
        sleeper.announce(&line, PeerWord32::new(&rings.rings), Mode::Futex, 64);
        assert_eq!(ring(&ringer, &line, &rings, false, 56), None);
        assert_eq!(ring(&ringer, &line, &rings, false, 64), Some(Mode::Futex));
    }

    #[test]
    fn a_lying_sleeper_gains_nothing() {
        let (line, rings) = (bell(), RingsLine { rings: AtomicU32::new(0) });
        let ringer = Ringer::new();
        for state in [3, u64::MAX, u64::MAX - 1, 1, 2, 6] {
            line.sleep.store(state, Relaxed);
            let before = rings.rings.load(Relaxed);
            let rung = ring(&ringer, &line, &rings, true, 0);
            assert_eq!(rings.rings.load(Relaxed) - before, u32::from(rung.is_some()));
        }
        // It showed the last epoch there is: it is never rung again, and only it suffers.
        assert_eq!(rings.rings.load(Relaxed), 1);
    }
}
