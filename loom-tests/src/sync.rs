//! What the sources use of `core`, modelled, and ways to break it on purpose.

use std::sync::atomic::AtomicU8;

pub use loom::sync::atomic::{AtomicU32, Ordering};

/// Small, so that a model wraps soon.
pub const MIN_RING: u64 = 64;

/// Small, so that gaps shorter than a header come about.
pub const ALIGN: u64 = 8;

/// A mutation of this process's fences. A model that still passes proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mutation {
    /// Fences are as the sources have them.
    None,
    /// Fences of the total order are gone.
    TotalOrderRemoved,
    /// Fences of the total order acquire and release, and are in no total order.
    TotalOrderWeakened,
    /// Acquire fences are gone.
    AcquireRemoved,
    /// Release fences are gone.
    ReleaseRemoved,
}

static MUTATION: AtomicU8 = AtomicU8::new(Mutation::None as u8);

impl Mutation {
    /// From here on this process has the mutation.
    pub fn apply(self) {
        MUTATION.store(self as u8, Ordering::Relaxed);
    }

    fn is_applied(self) -> bool {
        MUTATION.load(Ordering::Relaxed) == self as u8
    }
}

/// A fence, unless the mutation changes it.
pub fn fence(ordering: Ordering) {
    let removed = match ordering {
        Ordering::SeqCst if Mutation::TotalOrderWeakened.is_applied() => {
            return loom::sync::atomic::fence(Ordering::AcqRel);
        }
        Ordering::SeqCst => Mutation::TotalOrderRemoved,
        Ordering::Acquire => Mutation::AcquireRemoved,
        _ => Mutation::ReleaseRemoved,
    };
    if !removed.is_applied() {
        loom::sync::atomic::fence(ordering);
    }
}

/// A word, which may be a broken one.
#[derive(Debug)]
pub struct AtomicU64 {
    word: loom::sync::atomic::AtomicU64,
    relaxed: bool,
}

impl AtomicU64 {
    /// A word with this value.
    pub fn new(value: u64) -> Self {
        Self { word: loom::sync::atomic::AtomicU64::new(value), relaxed: false }
    }

    /// A mutation: a word whose stores are Relaxed, whatever the sources ask for.
    pub fn relaxed(value: u64) -> Self {
        Self { relaxed: true, ..Self::new(value) }
    }

    /// As of `core`.
    pub fn load(&self, ordering: Ordering) -> u64 {
        self.word.load(ordering)
    }

    /// As of `core`.
    pub fn store(&self, value: u64, ordering: Ordering) {
        self.word.store(value, if self.relaxed { Ordering::Relaxed } else { ordering });
    }

    /// As of `core`.
    ///
    /// # Errors
    /// The value that was found instead of `current`.
    pub fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.word.compare_exchange(current, new, success, failure)
    }
}
