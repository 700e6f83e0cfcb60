//! The rings of a segment: where a producer and a consumer find their words and bytes.
//!
//! When they are dropped, so is what is mapped of their halves (M3).
//!
//! # Safety
//! Makes `&mut [u8]` of outgoing ring bytes: one `RingWriter` exists for each half (M2), and it is borrowed mutably.
#![allow(unsafe_code)]

use std::sync::Arc;

use transom_shm_layout::ring::{ConsumerSide, ProducerSide, Words};
use transom_shm_layout::sync::AtomicU64;
use transom_shm_layout::word::PeerWord;

use super::{OwnRegion, PeerRegion};

/// The outgoing ring of this side.
#[derive(Debug)]
pub(crate) struct RingWriter {
    own: Arc<OwnRegion>,
    peer: Arc<PeerRegion>,
}

/// The incoming ring of this side.
#[derive(Debug)]
pub(crate) struct RingReader {
    own: Arc<OwnRegion>,
    peer: Arc<PeerRegion>,
}

/// Joins the two halves of a segment: its two rings, and the halves for the bell.
pub(crate) fn split(
    own: OwnRegion,
    peer: PeerRegion,
) -> (RingWriter, RingReader, Arc<OwnRegion>, Arc<PeerRegion>) {
    let (own, peer) = (Arc::new(own), Arc::new(peer));
    let writer = RingWriter { own: Arc::clone(&own), peer: Arc::clone(&peer) };
    let reader = RingReader { own: Arc::clone(&own), peer: Arc::clone(&peer) };
    (writer, reader, own, peer)
}

impl RingWriter {
    /// The bytes `at..at + length` of the ring.
    ///
    /// # Panics
    /// If they are not within the ring; offsets come from this side's own producer.
    #[inline]
    pub(crate) fn bytes(&mut self, at: usize, length: usize) -> &mut [u8] {
        // SAFETY: no other reference exists: ring bytes are reached through the one writer alone (M2).
        let bytes = unsafe { self.own.ring_bytes(at, length) };
        // SAFETY: valid and within the map, as `ring_bytes` checked; unique as long as `self` is borrowed mutably; the
        // peer's mapping is read-only and of another process.
        unsafe { &mut *bytes }
    }
}

impl Drop for RingWriter {
    fn drop(&mut self) {
        // SAFETY: ring bytes are reached through the one writer alone (M2), which nobody borrows any more.
        unsafe { self.own.vacate() };
    }
}

impl Drop for RingReader {
    fn drop(&mut self) {
        self.peer.vacate();
    }
}

impl ProducerSide for RingWriter {
    #[inline]
    fn tail(&self) -> &AtomicU64 {
        &self.own.producer().tail
    }

    #[inline]
    fn head(&self) -> PeerWord<'_> {
        self.peer.head()
    }

    #[inline]
    fn write(&mut self, at: usize, bytes: &[u8]) {
        self.bytes(at, bytes.len()).copy_from_slice(bytes);
    }
}

impl RingReader {
    /// Appends the bytes `at..at + length` of the ring to `into`.
    #[inline]
    pub(crate) fn copy_out(&self, at: usize, length: usize, into: &mut Vec<u8>) {
        self.peer.copy_out(at, length, into);
    }
}

impl ConsumerSide for RingReader {
    #[inline]
    fn head(&self) -> &AtomicU64 {
        &self.own.consumer().head
    }

    #[inline]
    fn tail(&self) -> PeerWord<'_> {
        self.peer.tail()
    }

    #[inline]
    fn header(&self, at: usize) -> Words {
        self.peer.words(at)
    }

    #[inline]
    fn expect(&self, at: usize) {
        self.peer.prefetch(at);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use transom_shm_layout::half::HalfConfig;

    use super::*;
    use crate::memory::{attach, create};

    #[test]
    fn a_half_goes_with_its_writer_or_reader_and_its_lines_stay() {
        let (one, other) = (create(HalfConfig::default()).unwrap(), create(HalfConfig::default()).unwrap());
        let size = one.region.plan().size() as u64;
        let seen = attach(&one.descriptor, size, size).unwrap();
        let (mut writer, reader, own, peer) =
            split(one.region, attach(&other.descriptor, size, size).unwrap());
        other.region.rings().rings.store(7, Relaxed);
        writer.write(0, b"bytes");
        writer.tail().store(64, Relaxed);
        let (tail, rings) = (&own.producer().tail, peer.rings());
        assert_eq!((tail.load(Relaxed), rings.glance()), (64, 7));
        drop(writer);
        drop(reader);
        assert_eq!((tail.load(Relaxed), rings.glance()), (0, 0));
        // What is written now, the other side does not see; what was, it has.
        tail.store(128, Relaxed);
        other.region.rings().rings.store(8, Relaxed);
        assert_eq!((seen.tail().glance(), rings.glance()), (64, 0));
        let mut bytes = Vec::new();
        seen.copy_out(0, 5, &mut bytes);
        assert_eq!(bytes, b"bytes");
    }
}
