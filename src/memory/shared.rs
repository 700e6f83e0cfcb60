//! Memory that two processes map writable. No link uses it: it is for measuring what a machine can do at best.
//!
//! # Safety
//! Turns an offset into a reference to an atomic, and copies bytes that another process may be writing. Offsets are
//! constants or checked against the size, which is sealed.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::AtomicU32;

use memmap2::{Advice, MmapOptions, MmapRaw};

use crate::sys::memfd;

/// Where the payloads begin; the page before holds the word.
const PAYLOADS: usize = 4096;
/// Payloads begin on lines of their own.
const LINE: usize = 128;

/// A word on a line of its own, and room for one payload in each direction.
#[derive(Debug)]
pub(crate) struct SharedMap {
    map: MmapRaw,
    /// Bytes of room in each direction.
    room: usize,
}

impl SharedMap {
    /// New memory with room for payloads of `payload` bytes, and the descriptor by which the peer maps it.
    pub(crate) fn create(payload: usize) -> io::Result<(Self, OwnedFd)> {
        let size = PAYLOADS + 2 * room(payload)?;
        let memory = memfd::create("transom-limit", size as u64)?;
        memfd::seal_size(&memory)?;
        Ok((Self::map(&memory, payload)?, memory))
    }

    /// Maps what the peer created for the same `payload`.
    ///
    /// # Errors
    /// `InvalidData` if it is of another size, or the size is not sealed.
    pub(crate) fn map(memory: impl AsFd, payload: usize) -> io::Result<Self> {
        let memory = memory.as_fd();
        let room = room(payload)?;
        let size = PAYLOADS + 2 * room;
        if memfd::size(memory)? != size as u64 || !memfd::seals(memory)?.contains(memfd::SIZE_SEALS) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let map = MmapOptions::new().len(size).map_raw(&memory)?;
        map.advise(Advice::DontFork)?;
        Ok(Self { map, room })
    }

    /// The word.
    #[inline]
    pub(crate) fn word(&self) -> &AtomicU32 {
        let address = self.map.as_mut_ptr().cast::<AtomicU32>();
        // SAFETY: the map is longer than a word and begins at a page; every bit pattern is a value of an atomic; nothing
        // but atomics is ever made of these bytes; the map lives as long as `self`.
        unsafe { &*address }
    }

    /// Copies `bytes` into the room of one `direction`, 0 or 1.
    ///
    /// # Panics
    /// If the room is smaller, or there is no such direction.
    #[inline]
    pub(crate) fn write(&self, direction: usize, bytes: &[u8]) {
        let to = self.payload(direction, bytes.len());
        // SAFETY: the destination is within the map, as just checked; the source is a slice, and private.
        unsafe { copy(bytes.as_ptr(), to, bytes.len()) };
    }

    /// Fills `into` from the room of one `direction`, 0 or 1.
    ///
    /// # Panics
    /// If the room is smaller, or there is no such direction.
    #[inline]
    pub(crate) fn read(&self, direction: usize, into: &mut [u8]) {
        let from = self.payload(direction, into.len());
        // SAFETY: the source is within the map, as just checked; the destination is a slice, and private.
        unsafe { copy(from, into.as_mut_ptr(), into.len()) };
    }

    #[inline]
    fn payload(&self, direction: usize, length: usize) -> *mut u8 {
        assert!(direction < 2 && length <= self.room, "a payload outside its room");
        self.map.as_mut_ptr().wrapping_add(PAYLOADS + direction * self.room)
    }
}

fn room(payload: usize) -> io::Result<usize> {
    if payload > 1 << 30 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(payload.next_multiple_of(LINE))
}

/// Copies bytes of which the shared end may be written by another process meanwhile.
///
/// # Safety
/// `from` is valid for reads of `length` bytes and `to` for writes, and the two do not overlap.
#[inline]
unsafe fn copy(from: *const u8, to: *mut u8, length: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: copies `length` bytes between what the caller promises to be valid. What assembly does is outside the
    // language's memory model: a race gives other bytes and nothing worse. The direction flag is clear by the ABI.
    unsafe {
        std::arch::asm!("rep movsb", inout("rcx") length => _, inout("rsi") from => _, inout("rdi") to => _, options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: valid as the caller promises. Whoever has the turn copies, so that nothing changes meanwhile; a peer that
    // breaks this does so from outside of this program, which hardware answers with other bytes.
    unsafe {
        std::ptr::copy_nonoverlapping(from, to, length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_maps_show_the_same_bytes() {
        let (one, memory) = SharedMap::create(1000).unwrap();
        let other = SharedMap::map(&memory, 1000).unwrap();
        let bytes: Vec<u8> = (0..1000).map(|at| (at % 251) as u8).collect();
        one.write(0, &bytes);
        one.write(1, &[7; 1000]);
        let mut copy = vec![0; 1000];
        other.read(0, &mut copy);
        assert_eq!(copy, bytes);
        other.word().store(5, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(one.word().load(std::sync::atomic::Ordering::Relaxed), 5);
    }

    #[test]
    fn memory_of_another_size_or_that_could_shrink_is_refused() {
        let (_, memory) = SharedMap::create(1000).unwrap();
        assert_eq!(SharedMap::map(&memory, 2000).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let loose = memfd::create("loose", PAYLOADS as u64).unwrap();
        assert_eq!(SharedMap::map(&loose, 0).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    #[should_panic(expected = "outside its room")]
    fn nothing_is_written_past_the_room() {
        let (map, _memory) = SharedMap::create(128).unwrap();
        map.write(1, &[0; 129]);
    }
}
