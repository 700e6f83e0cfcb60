//! Mapped halves, and the one place where an offset becomes a view.
//!
//! # Safety
//! Turns offsets into references to atomics, and copies bytes that another process may be writing. Every offset is a
//! constant of the layout or checked against the plan; a region is at least as long as its plan (M1).
#![allow(unsafe_code)]

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use memmap2::{Advice, MmapOptions, MmapRaw};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
use transom_shm_layout::half::{BELL, HEAD, HEADER_LEN, HalfPlan, RINGS, TAIL, VerifyError};
use transom_shm_layout::word::{BellLine, ConsumerLine, PeerWord, PeerWord32, ProducerLine, RingsLine};

use super::AttachError;

/// The half that this side owns, mapped writable.
#[derive(Debug)]
pub(crate) struct OwnRegion {
    map: MmapRaw,
    plan: HalfPlan,
}

/// The half that the peer owns, mapped read-only. Whatever is in it may change at any time.
#[derive(Debug)]
pub(crate) struct PeerRegion {
    map: MmapRaw,
    plan: HalfPlan,
}

/// A view of the line at a constant offset of a map.
macro_rules! line {
    ($map:expr, $offset:expr, $line:ty) => {{
        const { assert!($offset % align_of::<$line>() == 0 && $offset + size_of::<$line>() <= 2 * 4096) };
        let address = $map.as_mut_ptr().wrapping_add($offset).cast::<$line>();
        // SAFETY:
        // - valid: the offset is within the first two pages, and a mapped half has more (M1).
        // - aligned: maps begin at a page; the offset's alignment is asserted above.
        // - initialised: every bit pattern is a value of a line of atomics.
        // - shared: lines consist of atomics, and nothing else here points at them.
        unsafe { &*address }
    }};
}

/// A view of the word at an offset that was checked against the plan of its map.
macro_rules! cell {
    ($map:expr, $offset:expr) => {{
        let address = $map.as_mut_ptr().wrapping_add($offset).cast::<AtomicU64>();
        debug_assert!(address.is_aligned());
        // SAFETY:
        // - valid: the plan against which the offset was checked was computed for a map of this size (M1).
        // - aligned: maps begin at a page, and the offset is a multiple of eight.
        // - initialised: every bit pattern is a value of an atomic.
        // - shared: only atomics are made of these words; ring bytes of the peer are copied by their value besides.
        unsafe { &*address }
    }};
}

impl OwnRegion {
    /// Maps a new half writable and writes its header.
    pub(super) fn map(memory: impl AsFd, plan: HalfPlan) -> std::io::Result<Self> {
        let map = MmapOptions::new().len(plan.size()).map_raw(&memory.as_fd())?;
        map.advise(Advice::DontFork)?;
        let region = Self { map, plan };
        let header = plan.header();
        // SAFETY: the map is longer than a header and writable; nobody else has it yet; the ranges are distinct.
        unsafe { std::ptr::copy_nonoverlapping(header.as_ptr(), region.map.as_mut_ptr(), header.len()) };
        Ok(region)
    }

    /// Where everything is.
    pub(crate) fn plan(&self) -> &HalfPlan {
        &self.plan
    }

    /// How far this side has published.
    #[inline]
    pub(super) fn producer(&self) -> &ProducerLine {
        line!(self.map, TAIL, ProducerLine)
    }

    /// How far this side has given space back.
    #[inline]
    pub(crate) fn consumer(&self) -> &ConsumerLine {
        line!(self.map, HEAD, ConsumerLine)
    }

    /// How this side sleeps.
    #[inline]
    pub(crate) fn bell(&self) -> &BellLine {
        line!(self.map, BELL, BellLine)
    }

    /// What the peer sleeps on.
    #[inline]
    pub(crate) fn rings(&self) -> &RingsLine {
        line!(self.map, RINGS, RingsLine)
    }

    /// The credit cell with this index, if there is one.
    #[inline]
    pub(crate) fn credit_cell(&self, index: u32) -> Option<&AtomicU64> {
        self.plan.credit_cell(index).map(|offset| cell!(self.map, offset))
    }

    /// The bytes `at..at + length` of the outgoing ring, to be written.
    ///
    /// # Panics
    /// If they are not within the ring; offsets come from this side's own producer.
    ///
    /// # Safety
    /// No other reference to these bytes may exist in this process while the result lives.
    #[inline]
    pub(super) unsafe fn ring_bytes(&self, at: usize, length: usize) -> *mut [u8] {
        let capacity = self.plan.size() - self.plan.ring();
        assert!(at <= capacity && length <= capacity - at, "a range outside the ring");
        std::ptr::slice_from_raw_parts_mut(self.map.as_mut_ptr().wrapping_add(self.plan.ring() + at), length)
    }

    /// Gives the memory back: there are zeros in its place, which are this process's own.
    ///
    /// # Safety
    /// No reference to bytes of the ring may exist.
    pub(super) unsafe fn vacate(&self) {
        // SAFETY: as the caller promises; and all other references are to lines of atomics.
        unsafe { replace(&self.map, ProtFlags::READ | ProtFlags::WRITE) };
    }
}

impl PeerRegion {
    /// Maps `size` bytes read-only; `verify` turns a private copy of the header into the plan.
    pub(super) fn map(
        memory: impl AsFd,
        size: u64,
        verify: impl FnOnce(&[u8; HEADER_LEN]) -> Result<HalfPlan, VerifyError>,
    ) -> Result<Self, AttachError> {
        let length =
            usize::try_from(size).map_err(|_| AttachError::OverCap { announced: size, cap: u64::MAX })?;
        if length < HEADER_LEN {
            return Err(VerifyError::Magic.into());
        }
        let map = MmapOptions::new().len(length).map_raw_read_only(&memory.as_fd())?;
        map.advise(Advice::DontFork)?;
        let mut header = Vec::with_capacity(HEADER_LEN);
        append(&map, 0, HEADER_LEN, &mut header);
        let header: &[u8; HEADER_LEN] = header.as_slice().try_into().map_err(|_| VerifyError::Magic)?;
        let plan = verify(header)?;
        if plan.size() != length {
            return Err(VerifyError::Mapped { header: plan.size() as u64, mapped: size }.into());
        }
        Ok(Self { map, plan })
    }

    /// Where everything is.
    pub(crate) fn plan(&self) -> &HalfPlan {
        &self.plan
    }

    /// How far the peer has published.
    #[inline]
    pub(super) fn tail(&self) -> PeerWord<'_> {
        PeerWord::new(&line!(self.map, TAIL, ProducerLine).tail)
    }

    /// How far the peer has given space back.
    #[inline]
    pub(crate) fn head(&self) -> PeerWord<'_> {
        PeerWord::new(&line!(self.map, HEAD, ConsumerLine).head)
    }

    /// How the peer sleeps.
    #[inline]
    pub(crate) fn sleep(&self) -> PeerWord<'_> {
        PeerWord::new(&line!(self.map, BELL, BellLine).sleep)
    }

    /// From where on the peer wants to hear of space.
    #[inline]
    pub(crate) fn space(&self) -> PeerWord<'_> {
        PeerWord::new(&line!(self.map, BELL, BellLine).space)
    }

    /// The CPU that the peer ran on when it last looked, plus one.
    #[inline]
    pub(crate) fn cpu(&self) -> u32 {
        PeerWord32::new(&line!(self.map, BELL, BellLine).cpu).glance()
    }

    /// What this side sleeps on.
    #[inline]
    pub(crate) fn rings(&self) -> PeerWord32<'_> {
        PeerWord32::new(&line!(self.map, RINGS, RingsLine).rings)
    }

    /// The peer's credit cell with this index, if there is one.
    #[inline]
    pub(crate) fn credit_cell(&self, index: u32) -> Option<PeerWord<'_>> {
        self.plan.credit_cell(index).map(|offset| PeerWord::new(cell!(self.map, offset)))
    }

    /// Appends `length` bytes at the offset `at` of the incoming ring to `into`; nothing if they are not within it.
    #[inline]
    pub(super) fn copy_out(&self, at: usize, length: usize, into: &mut Vec<u8>) {
        let capacity = self.plan.size() - self.plan.ring();
        if at <= capacity && length <= capacity - at {
            append(&self.map, self.plan.ring() + at, length, into);
        }
    }

    /// The words at the offset `at` of the incoming ring, a multiple of eight; zeros if they are not within it.
    #[inline]
    pub(super) fn words<const N: usize>(&self, at: usize) -> [u64; N] {
        let capacity = self.plan.size() - self.plan.ring();
        if at > capacity || 8 * N > capacity - at || !at.is_multiple_of(8) {
            return [0; N];
        }
        let from = self.plan.ring() + at;
        std::array::from_fn(|word| cell!(self.map, from + 8 * word).load(Ordering::Relaxed))
    }
}

impl PeerRegion {
    /// Gives the memory back: there are zeros in its place.
    pub(super) fn vacate(&self) {
        // SAFETY: references are made to lines of atomics alone; all else is copied, by the byte.
        unsafe { replace(&self.map, ProtFlags::READ) };
    }

    /// Has the line at the offset `at` of the incoming ring near when it is read: the frame that a looking consumer
    /// waits for then crosses over together with the position that tells of it, and not after it.
    #[inline]
    pub(super) fn prefetch(&self, at: usize) {
        let line = self.map.as_ptr().wrapping_add(self.plan.ring() + at);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch is a hint that reads nothing and never faults, whatever the address; every x86-64 has it.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(line.cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _no_such_hint = line;
    }
}

/// Puts private zeros in the place of a map, at the same addresses: what refers to it goes on referring to memory, though
/// others sleep on it or look at it at this moment. The map still unmaps whatever is there when it is dropped.
///
/// # Safety
/// There may be references to atomics in the map, and no others.
unsafe fn replace(map: &MmapRaw, protection: ProtFlags) {
    let flags = MapFlags::FIXED | MapFlags::PRIVATE | MapFlags::NORESERVE;
    // SAFETY:
    // - aligned, and valid to change: the range is exactly the map's, which began at a page and is its own until it is dropped.
    // - references: only to atomics, as the caller promises; their values change, as they may at any time.
    let replaced = unsafe { mmap_anonymous(map.as_mut_ptr().cast(), map.len(), protection, flags) };
    if let Err(error) = replaced {
        // It goes with the last who refers to it.
        tracing::debug!(target: "transom::memory", %error, "memory is kept for longer than it is used");
    }
}

/// Appends bytes of a map, which its owner may be writing, to private memory. The range is within the map.
#[inline]
fn append(map: &MmapRaw, at: usize, length: usize, into: &mut Vec<u8>) {
    into.reserve(length);
    let start = into.len();
    let to = into.spare_capacity_mut().as_mut_ptr().cast::<u8>();
    // SAFETY: the source is within the map, as the callers check; the destination has `length` bytes to spare.
    unsafe { copy_racing(map.as_ptr().wrapping_add(at), to, length) };
    // SAFETY: the bytes up to there have just been written, and the capacity was reserved.
    unsafe { into.set_len(start + length) };
}

/// From this length on the processor's own copy is faster than a loop of words.
const STRING_COPY: usize = 256;

/// The one copy out of memory that another process may be writing at the same time: every byte of the destination is
/// some byte that was at its place in the source at some time, and that is all that is promised.
///
/// # Safety
/// `from` is valid for reads of `length` bytes, and `to` for writes; the two do not overlap, and only the source may
/// be written by others meanwhile.
#[inline]
unsafe fn copy_racing(from: *const u8, to: *mut u8, length: usize) {
    #[cfg(target_arch = "x86_64")]
    if length >= STRING_COPY {
        // SAFETY: copies `length` bytes from `from` to `to`, both valid as the caller promises. What assembly reads is
        // outside the language's memory model: a racing write gives other bytes and nothing worse. The direction
        // flag is clear by the ABI.
        unsafe {
            std::arch::asm!("rep movsb", inout("rcx") length => _, inout("rsi") from => _, inout("rdi") to => _, options(nostack, preserves_flags));
        }
        return;
    }
    let mut at = 0;
    if from.addr().is_multiple_of(8) {
        while length - at >= 8 {
            // SAFETY: eight bytes are left; the address is a multiple of eight, as a start and a multiple of it are.
            let word = unsafe { AtomicU64::from_ptr(from.wrapping_add(at).cast_mut().cast()) };
            let word = word.load(Ordering::Relaxed);
            // SAFETY: eight bytes are left of the destination, too; it need not be aligned.
            unsafe { to.wrapping_add(at).cast::<u64>().write_unaligned(word) };
            at += 8;
        }
    }
    while at < length {
        // SAFETY: at least one byte is left.
        let byte = unsafe { AtomicU8::from_ptr(from.wrapping_add(at).cast_mut()) };
        let byte = byte.load(Ordering::Relaxed);
        // SAFETY: at least one byte is left of the destination, too.
        unsafe { to.wrapping_add(at).write(byte) };
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_racing_copy_copies_every_length_and_alignment() {
        let source: Vec<u8> = (0..2_000).map(|at| (at * 7 % 251) as u8).collect();
        for length in (0..80).chain([255, 256, 257, 1000]) {
            for offset in 0..9 {
                let mut copy = vec![0xEE; length + 1];
                // SAFETY: both are vectors of sufficient length.
                unsafe { copy_racing(source[offset..].as_ptr(), copy.as_mut_ptr(), length) };
                assert_eq!(copy[..length], source[offset..offset + length]);
                assert_eq!(copy[length], 0xEE);
            }
        }
    }
}
