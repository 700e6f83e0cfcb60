//! What the sources use of `core`, modelled, and a way to break it on purpose.

use std::sync::atomic::AtomicBool;

pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Small, so that a model wraps soon.
pub const MIN_RING: u64 = 64;

/// A mutation: no fence of the total order takes effect. A model that still passes proves nothing.
pub static WITHOUT_TOTAL_ORDER: AtomicBool = AtomicBool::new(false);

/// A fence, unless the mutation takes it away.
pub fn fence(ordering: Ordering) {
    if ordering == Ordering::SeqCst && WITHOUT_TOTAL_ORDER.load(Ordering::Relaxed) {
        return;
    }
    loom::sync::atomic::fence(ordering);
}

/// A cell whose every access loom checks for races.
#[derive(Debug)]
pub struct UnsafeCell<T>(loom::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    /// A cell with this value.
    pub fn new(value: T) -> Self {
        Self(loom::cell::UnsafeCell::new(value))
    }

    /// The address of the value; counts as an exclusive access now.
    pub fn get(&self) -> *mut T {
        self.0.with_mut(|value| value)
    }
}
