//! The parts of a link: what sends, what receives, and what both sleep and wake by.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::Waker;
use std::time::Instant;

use transom_shm_layout::word::PeerWord;

use super::{Corrupt, FdError, Frame, Header, LinkError, MOST_DESCRIPTORS, NotPassed};

/// A carrier of frames, open and ready.
pub(crate) struct Link {
    /// Used by whoever may send.
    pub(crate) transmit: Box<dyn Transmit>,
    /// Used by whoever has the drain role.
    pub(crate) receive: Box<dyn Receive>,
    /// Shared by publishers and sleepers.
    pub(crate) signal: Arc<dyn Signal>,
}

/// The sending half of a link. One user at a time: whoever may send.
pub(crate) trait Transmit: Send {
    /// The most payload bytes that one frame may carry; what is larger goes in fragments.
    fn max_payload(&self) -> usize;

    /// Room for one frame of `length` payload bytes. Nothing of it is visible to the peer, and it is
    /// void at the next call of `reserve`. `length` is at most `max_payload`.
    ///
    /// # Errors
    /// [`Full`] when there is no room now; nothing has changed.
    fn reserve(&mut self, length: usize) -> Result<&mut [u8], Full>;

    /// Completes the reserved frame. `header.length` is what was reserved.
    fn commit(&mut self, header: &Header);

    /// Whether descriptors can go with frames.
    fn carries_descriptors(&self) -> bool {
        false
    }

    /// Whether so many descriptors can go with one frame.
    ///
    /// # Errors
    /// [`FdError`] says why they never can.
    fn check_descriptors(&self, count: usize) -> Result<(), FdError> {
        const LIMIT: u32 = MOST_DESCRIPTORS as u32;
        match count {
            0 => Ok(()),
            _ if !self.carries_descriptors() => Err(FdError::Unsupported),
            1..=MOST_DESCRIPTORS => Ok(()),
            _ => Err(FdError::TooMany { count: u32::try_from(count).unwrap_or(u32::MAX), limit: LIMIT }),
        }
    }

    /// The part of `commit_with` that is each link's own: there are descriptors, not too many, and they can go with
    /// frames.
    ///
    /// # Errors
    /// As there.
    fn commit_passing(&mut self, _header: &Header, _descriptors: &[BorrowedFd<'_>]) -> Result<(), NotPassed> {
        Err(FdError::Unsupported.into())
    }

    /// Whether so many descriptors could go with the next frame, as far as can be told. If not, a sleep that wants space, or
    /// until the kernel takes more where the link [is backed up](Self::is_backed_up), ends when they can.
    fn has_room_for(&mut self, _descriptors: usize) -> bool {
        true
    }

    /// Makes all committed frames visible to the peer; says whether there were any. Does not wake the
    /// peer: [`Signal::ring`] does.
    fn publish(&mut self) -> bool;

    /// What the peer wrote that its layout forbids, found while looking for room.
    fn fault(&self) -> Option<Corrupt> {
        None
    }

    /// Whether publishing has left all of the link's room free (stream links, whose kernel takes the bytes away).
    fn has_drained(&self) -> bool {
        false
    }

    /// Whether published bytes, or descriptors that were not passed, wait for the kernel to take more (stream links).
    fn is_backed_up(&self) -> bool {
        false
    }

    /// How many credit cells each side has: zero on links where grants travel as frames.
    fn cells(&self) -> u32 {
        0
    }

    /// A credit cell of this side's, which grants to the peer.
    fn own_cell(&self, _index: u32) -> Option<&AtomicU64> {
        None
    }

    /// A credit cell of the peer's, which grants to this side.
    fn peer_cell(&self, _index: u32) -> Option<PeerWord<'_>> {
        None
    }
}

impl dyn Transmit + '_ {
    /// Completes the reserved frame like [`commit`](Transmit::commit), and sends descriptors with it, if there are any.
    ///
    /// # Errors
    /// [`NotPassed`]: nothing has gone, and what was reserved is void. Whoever waits for room then asks
    /// [`has_room_for`](Transmit::has_room_for).
    #[inline]
    pub(crate) fn commit_with(
        &mut self,
        header: &Header,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), NotPassed> {
        if descriptors.is_empty() {
            self.commit(header);
            return Ok(());
        }
        self.check_descriptors(descriptors.len())?;
        self.commit_passing(header, descriptors)
    }
}

/// There is no room in the link now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// The receiving half of a link. Whoever uses it has the drain role. When both halves have been dropped the link has
/// ended: nothing of it is mapped or open any more, though its [`Signal`] is held on.
pub(crate) trait Receive: Send {
    /// Takes the next complete frame, its payload copied to private memory and its descriptors at hand; whether there was
    /// one. Descriptors that nobody took out of the last frame are closed.
    ///
    /// # Errors
    /// [`LinkError`]; the link is of no further use.
    fn next(&mut self, frame: &mut Frame) -> Result<bool, LinkError>;

    /// The most complete frames that can have arrived and wait to be taken: a bound, not a count.
    fn most_unread(&self) -> u64;

    /// Gives the space of every frame taken so far back to the peer. Before user code runs, before sleep.
    fn release(&mut self);

    /// Says that this side looks into its link and need not be woken. Costs nothing when it said so before.
    fn awake(&mut self);

    /// Says that this side is about to sleep, then looks once more. `None` when something has arrived
    /// meanwhile (stay awake); else the note that [`Signal::wait`] needs. `waker` makes the sleeper look again.
    ///
    /// # Errors
    /// [`LinkError`] if what the peer wrote breaks a rule.
    fn announce(&mut self, sleep: Sleep<'_>) -> Result<Option<Note>, LinkError>;
}

/// How a side is about to sleep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sleep<'a> {
    /// On a futex or in an event loop.
    pub(crate) mode: SleepMode,
    /// Whether room for sending is also worth a wake-up.
    pub(crate) want_space: bool,
    /// Whether so is that the kernel takes more, where the link [is backed up](Transmit::is_backed_up).
    pub(crate) to_write: bool,
    /// Wakes the sleeper for links that have neither futex nor descriptor.
    pub(crate) waker: &'a Waker,
}

/// Where a sleeper waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SleepMode {
    /// In [`Signal::wait`].
    Futex,
    /// In an event loop, for [`Signal::descriptor`] to become readable.
    Descriptor,
}

/// What a sleeper noted when it announced its sleep; good for that sleep only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// The peer's count of rings at the announcement; zero on links without a bell.
    pub(crate) rings: u32,
    /// Whether the sleeper waits for the kernel to take more.
    pub(crate) to_write: bool,
}

/// Waking and being woken; shared by every thread of a side.
pub(crate) trait Signal: Send + Sync {
    /// Wakes the peer if it sleeps and what was published is worth it. After `publish` or `release`, without any lock.
    fn ring(&self);

    /// How often this side has woken the peer; `None` where the kernel does.
    fn rings(&self) -> Option<u64>;

    /// After `publish`: whether the peer finds by itself what there is, so that it need not be rung. May be asked within a lock.
    fn is_heard(&self) -> bool {
        false
    }

    /// Makes a local sleeper in [`wait`](Self::wait) look again, for a reason of this side's own.
    fn wake_local(&self);

    /// How often this side was woken locally: to be read before looking at anything that `wake_local` tells of.
    fn local(&self) -> u32;

    /// Sleeps until rung, woken locally since `local` was read, the peer is gone, or `deadline`. May return
    /// early for no reason.
    fn wait(&self, note: Note, local: u32, deadline: Option<Instant>);

    /// What an event loop watches for reading; `None` for a link within one process, and for one that has ended.
    fn descriptor(&self) -> Option<Arc<OwnedFd>>;

    /// Consumes what made [`descriptor`](Self::descriptor) readable, where that is a bell and not the data itself.
    fn clear(&self);

    /// Whether [`descriptor`](Self::descriptor) is the stream of data itself, so that room to write shows there too.
    fn is_stream(&self) -> bool;

    /// What hangs up when the peer dies, where that is not [`descriptor`](Self::descriptor) itself. What comes on it is for
    /// the link alone: whoever watches it does so for its hang-up.
    fn lifeline(&self) -> Option<Arc<OwnedFd>>;

    /// Whether the lifeline has hung up. Never waits.
    fn has_hung_up(&self) -> bool;

    /// Shows the peer the end of the link, where that is this side's to show. Nothing is sent or taken in any more.
    fn hang_up(&self);

    /// Whether looking again before sleeping can pay: not when the peer runs on this very CPU.
    fn may_spin(&self) -> bool;
}
