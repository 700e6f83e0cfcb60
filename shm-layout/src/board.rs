//! The status board: what a side is about, for an inspector to read from outside.
//!
//! The slots lie in the half of the side that they tell of. It shows the calls that last; an inspector maps the half
//! read-only, and so does the peer, which still has it when the side has died. Nobody is asked, so that a side that
//! hangs can be read as well. What is read is untrusted: good to be shown to people, and to decide nothing.
//!
//! ```text
//!  offset  word
//!   0      state     63..32 connection   31..2 sequence   1..0 phase: free, calling, serving, writing
//!   8      request   ID of the request
//!  16      method    ID of its method
//!  24      since     when it began, in nanoseconds of the machine's monotonic clock
//! ```
//!
//! # Why an entry is read whole or not at all
//!
//! ```text
//! the writer                          a reader
//!   1  state := writing                 5  look at state; free or writing => nothing
//!   2  fence(Release)                   6  read the other words
//!   3  write the other words            7  fence(Acquire)
//!   4  state := the new state           8  look at state again; changed => nothing
//! ```
//!
//! If 6 reads a word of an entry newer than the state seen at 5, the fences 2 and 7 pair, and 8 sees the
//! `writing` of that entry or something later: not what 5 saw, since every entry has a sequence number of its own. If
//! 6 reads no newer word it reads those of the state seen at 5, which 4 has released. Only 2^30 entries during one
//! look can bring a sequence number back.
//!
//! # Edges
//! | edge        | released by    | acquired by      | makes visible                                |
//! |-------------|----------------|------------------|----------------------------------------------|
//! | board.state | `Writer::show` | `PeerSlot::read` | the entry's words                            |
//! | board.words | `Writer::show` | `PeerSlot::read` | that the entry seen before is being replaced |

use crate::sync::Ordering::{Acquire, Relaxed, Release};
use crate::sync::{AtomicU64, fence};
use crate::word::PeerWord;

/// One slot: four words, written by the side that owns the half.
#[derive(Debug)]
#[repr(C, align(32))]
pub struct Slot {
    /// A [`SlotState`] in its bits.
    pub state: AtomicU64,
    /// The request's ID.
    pub request: AtomicU64,
    /// The method's ID.
    pub method: AtomicU64,
    /// Nanoseconds of the machine's monotonic clock.
    pub since: AtomicU64,
}

/// The bits of a slot's `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotState(u64);

impl SlotState {
    const PHASE: u64 = 3;
    const SEQUENCE_SHIFT: u32 = 2;
    const CONNECTION_SHIFT: u32 = 32;
    /// There is no entry. All zero, so that a new half shows none.
    const FREE: Self = Self(0);
    /// The side waits for an answer.
    const CALLING: u64 = 1;
    /// A handler runs.
    const SERVING: u64 = 2;
    /// The words are being written.
    const WRITING: u64 = 3;

    fn new(connection: u32, sequence: u32, phase: u64) -> Self {
        let sequence = u64::from(sequence << Self::SEQUENCE_SHIFT);
        Self(u64::from(connection) << Self::CONNECTION_SHIFT | sequence | phase)
    }

    fn activity(self) -> Option<Activity> {
        match self.0 & Self::PHASE {
            Self::CALLING => Some(Activity::Calling),
            Self::SERVING => Some(Activity::Serving),
            _ => None,
        }
    }

    fn connection(self) -> u32 {
        (self.0 >> Self::CONNECTION_SHIFT) as u32
    }
}

/// What a side does for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It waits for the answer.
    Calling,
    /// It runs the handler.
    Serving,
}

/// What a slot tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What the side does for the request.
    pub activity: Activity,
    /// The connection that the request is of.
    pub connection: u32,
    /// The request's ID.
    pub request: u64,
    /// The method's ID.
    pub method: u64,
    /// When it began, in nanoseconds of the machine's monotonic clock.
    pub since: u64,
}

/// The one who writes a board.
#[derive(Debug, Default)]
pub struct Writer {
    /// Of the latest entry in any slot.
    sequence: u32,
}

impl Writer {
    /// The writer of a board that shows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Shows `entry` in `slot`, in place of what it showed before.
    #[inline]
    pub fn show(&mut self, slot: &Slot, entry: &Entry) {
        self.sequence = self.sequence.wrapping_add(1);
        let phase = match entry.activity {
            Activity::Calling => SlotState::CALLING,
            Activity::Serving => SlotState::SERVING,
        };
        let state = |phase| SlotState::new(entry.connection, self.sequence, phase).0;
        slot.state.store(state(SlotState::WRITING), Relaxed);
        // sync: board.words (publish) -> PeerSlot::read. Whoever reads a word of below sees `writing` too.
        fence(Release);
        slot.request.store(entry.request, Relaxed);
        slot.method.store(entry.method, Relaxed);
        slot.since.store(entry.since, Relaxed);
        // sync: board.state (publish) -> PeerSlot::read
        slot.state.store(state(phase), Release);
    }

    /// Shows nothing in `slot`.
    #[inline]
    pub fn clear(&mut self, slot: &Slot) {
        // Relaxed: the words stay; who reads the entry a little longer reads it whole.
        slot.state.store(SlotState::FREE.0, Relaxed);
    }
}

/// A slot of another side's board, in memory that is mapped read-only here.
#[derive(Clone, Copy, Debug)]
pub struct PeerSlot<'a>(&'a Slot);

impl<'a> PeerSlot<'a> {
    /// The view of `slot`.
    #[inline]
    pub fn new(slot: &'a Slot) -> Self {
        Self(slot)
    }

    /// The entry; `None` if there is none, or if it changed during the look. Never waits.
    pub fn read(self) -> Option<Entry> {
        let state = PeerWord::new(&self.0.state);
        let before = SlotState(state.load()); // sync: board.state (acquire) <- Writer::show
        let activity = before.activity()?;
        let entry = Entry {
            activity,
            connection: before.connection(),
            request: PeerWord::new(&self.0.request).glance(),
            method: PeerWord::new(&self.0.method).glance(),
            since: PeerWord::new(&self.0.since).glance(),
        };
        // sync: board.words (acquire) <- Writer::show
        fence(Acquire);
        (SlotState(state.glance()) == before).then_some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Ordering::Relaxed;

    fn slot() -> Slot {
        let [state, request, method, since] = [(); 4].map(|()| AtomicU64::new(0));
        Slot { state, request, method, since }
    }

    fn entry(number: u32) -> Entry {
        let activity = if number.is_multiple_of(2) { Activity::Calling } else { Activity::Serving };
        let words = u64::from(number) << 32 | u64::from(number);
        Entry { activity, connection: number, request: words, method: !words, since: words }
    }

    #[test]
    fn a_slot_shows_the_latest_entry_until_it_is_cleared() {
        let (slot, mut writer) = (slot(), Writer::new());
        assert_eq!(PeerSlot::new(&slot).read(), None);
        for number in [1, 2, u32::MAX] {
            writer.show(&slot, &entry(number));
            assert_eq!(PeerSlot::new(&slot).read(), Some(entry(number)));
        }
        writer.clear(&slot);
        assert_eq!(PeerSlot::new(&slot).read(), None);
    }

    #[test]
    fn the_same_entry_shown_again_is_another_state() {
        let (slot, mut writer) = (slot(), Writer::new());
        writer.show(&slot, &entry(1));
        let before = slot.state.load(Relaxed);
        writer.show(&slot, &entry(1));
        assert_ne!(slot.state.load(Relaxed), before);
        // The sequence number turns over into nothing else.
        writer.sequence = u32::MAX;
        writer.show(&slot, &entry(4));
        assert_eq!(PeerSlot::new(&slot).read(), Some(entry(4)));
    }

    #[test]
    fn any_words_are_read_as_an_entry_or_none() {
        let slot = slot();
        for (state, shows) in [(3, false), (u64::MAX, false), (u64::MAX - 1, true), (4, false), (5, true)] {
            slot.state.store(state, Relaxed);
            assert_eq!(PeerSlot::new(&slot).read().is_some(), shows, "state {state:#x}");
        }
    }

    #[test]
    fn a_reader_beside_the_writer_sees_whole_entries_in_order() {
        let slot = slot();
        let last = if cfg!(miri) { 300 } else { 300_000 };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut writer = Writer::new();
                for number in 1..=last {
                    if number % 16 == 0 {
                        writer.clear(&slot);
                    }
                    writer.show(&slot, &entry(number));
                }
            });
            let (mut seen, mut latest) = (0, 0);
            while latest < last {
                let Some(read) = PeerSlot::new(&slot).read() else {
                    std::thread::yield_now();
                    continue;
                };
                assert_eq!(read, entry(read.connection));
                assert!(read.connection >= latest);
                latest = read.connection;
                seen += 1;
            }
            assert!(seen > 0);
        });
    }
}
