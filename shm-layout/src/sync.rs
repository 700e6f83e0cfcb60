//! The one place that names atomics, so that models can put others in their stead.

pub use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// The least ring capacity: a page. Models use less, to reach every wrap within few steps.
pub const MIN_RING: u64 = 4096;

/// Frames begin at multiples of this: at a cache line of their own, so that a small one crosses as one line, and its
/// neighbours are left alone. Models use less.
pub const ALIGN: u64 = 64;
