//! Words of shared memory: lines with one writer each, and the view of a word that the peer writes.

use crate::sync::Ordering::{Acquire, Relaxed};
use crate::sync::{AtomicU32, AtomicU64, fence};

/// A word that the peer writes, in memory that is mapped read-only here.
///
/// It can be loaded and nothing else. Rust guarantees only relaxed loads of read-only memory, so that the
/// acquiring is done by a fence behind the load.
#[derive(Clone, Copy, Debug)]
pub struct PeerWord<'a>(&'a AtomicU64);

impl<'a> PeerWord<'a> {
    /// The view of `word`.
    #[inline]
    pub fn new(word: &'a AtomicU64) -> Self {
        Self(word)
    }

    /// What the peer wrote last, as far as it shows here; whatever it wrote before shows too.
    #[inline]
    pub fn load(self) -> u64 {
        let value = self.0.load(Relaxed);
        // sync: pairs with the peer's Release store (ring.tail, ring.head, bell.sleep, credit.cell, board.state)
        fence(Acquire);
        value
    }

    /// What the peer wrote last, without a claim on what it wrote before.
    #[inline]
    pub fn glance(self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A 32-bit word that the peer writes, in memory that is mapped read-only here.
#[derive(Clone, Copy, Debug)]
pub struct PeerWord32<'a>(&'a AtomicU32);

impl<'a> PeerWord32<'a> {
    /// The view of `word`.
    #[inline]
    pub fn new(word: &'a AtomicU32) -> Self {
        Self(word)
    }

    /// What the peer wrote last, without a claim on what it wrote before.
    #[inline]
    pub fn glance(self) -> u32 {
        self.0.load(Relaxed)
    }

    /// The word itself, to sleep on.
    #[inline]
    pub fn word(self) -> &'a AtomicU32 {
        self.0
    }
}

/// The producer's line: how far it has published.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct ProducerLine {
    /// Position behind the last published frame.
    pub tail: AtomicU64,
}

/// The consumer's line: how far it has given space back.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct ConsumerLine {
    /// Position of the first byte still in use.
    pub head: AtomicU64,
}

/// The sleeper's line: whether and how this side sleeps, and what it wants to be woken for.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct BellLine {
    /// A [`SleepState`](crate::bell::SleepState) in its bits.
    pub sleep: AtomicU64,
    /// The position of the peer's `head` from which on this side wants to be rung for space; 0 for never.
    pub space: AtomicU64,
    /// The CPU that this side ran on when it last looked, plus one; 0 when unknown.
    pub cpu: AtomicU32,
}

/// The waker's line: what the peer sleeps on.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct RingsLine {
    /// How often this side has rung the peer, modulo 2^32.
    pub rings: AtomicU32,
}
