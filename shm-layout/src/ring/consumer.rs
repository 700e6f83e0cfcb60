//! The consuming side: take, copy out, release.

use super::{ALIGN, Capacity, Corrupt, HEADER_LENGTH, PAD, Words, frame_size, index};
use crate::sync::AtomicU64;
use crate::sync::Ordering::Release;
use crate::word::PeerWord;

/// Where a consumer's words and bytes are.
pub trait ConsumerSide {
    /// This side's position, in its own half.
    fn head(&self) -> &AtomicU64;
    /// The producer's position, in the peer's half.
    fn tail(&self) -> PeerWord<'_>;
    /// The words of the header at the offset `at` of the ring, which the peer may be writing. It is within the capacity, and
    /// aligned like a frame.
    fn header(&self, at: usize) -> Words;
    /// The next frame will begin at the offset `at`: a hint, while there is none, to have it near.
    #[inline]
    fn expect(&self, at: usize) {
        let _unused = at;
    }
}

/// The private positions of a consumer.
#[derive(Debug)]
pub struct Consumer {
    capacity: Capacity,
    /// Behind the last frame taken.
    taken: u64,
    /// What has been given back: what `head` says.
    released: u64,
    /// The producer's position when it was last loaded. Kept to spare the line while it suffices.
    tail: u64,
}

/// One frame, its header copied and checked, its payload still in the ring until the release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The header, in private memory.
    pub header: Words,
    /// Where the payload is, as an offset in the ring.
    pub at: usize,
    /// How long it is.
    pub length: usize,
}

impl Consumer {
    /// The consumer of an empty ring.
    pub fn new(capacity: Capacity) -> Self {
        Self { capacity, taken: 0, released: 0, tail: 0 }
    }

    /// The next frame, if one has been published.
    ///
    /// # Errors
    /// [`Corrupt`] if what the peer wrote breaks a rule.
    #[inline]
    pub fn take<S: ConsumerSide>(&mut self, side: &S) -> Result<Option<Taken>, Corrupt> {
        loop {
            if self.is_empty(side)? {
                return Ok(None);
            }
            let to_end = self.capacity.to_end(self.taken);
            if to_end < HEADER_LENGTH {
                self.skip(to_end)?;
                continue;
            }
            let offset = self.capacity.offset(self.taken);
            let header = side.header(index(offset));
            let (length, kind) = (header[0] as u32, (header[0] >> 32) as u8);
            if kind == PAD {
                // A pad fills the gap to the end, and nothing else.
                let fills = to_end - HEADER_LENGTH;
                if u64::from(length) != fills {
                    return Err(too_long(length, fills));
                }
                self.skip(to_end)?;
                continue;
            }
            let size = frame_size(u64::from(length));
            let room = to_end.min(self.tail - self.taken).min(self.capacity.bytes() / 2);
            if size > room {
                return Err(too_long(length, room.saturating_sub(HEADER_LENGTH)));
            }
            self.taken += size;
            let length = index(u64::from(length));
            return Ok(Some(Taken { header, at: index(offset + HEADER_LENGTH), length }));
        }
    }

    fn skip(&mut self, gap: u64) -> Result<(), Corrupt> {
        if gap > self.tail - self.taken {
            return Err(too_long(u32::try_from(gap).unwrap_or(u32::MAX), self.tail - self.taken));
        }
        self.taken += gap;
        Ok(())
    }

    /// Whether no published frame is left to take.
    ///
    /// # Errors
    /// [`Corrupt`] if the producer's position breaks a rule.
    #[inline]
    pub fn is_empty<S: ConsumerSide>(&mut self, side: &S) -> Result<bool, Corrupt> {
        if self.taken == self.tail {
            self.refresh(side)?;
            if self.taken == self.tail {
                side.expect(index(self.capacity.offset(self.taken)));
                return Ok(true);
            }
        }
        Ok(false)
    }

    #[inline]
    fn refresh<S: ConsumerSide>(&mut self, side: &S) -> Result<(), Corrupt> {
        // sync: ring.tail (acquire) <- Producer::publish
        let tail = side.tail().load();
        let most = self.released + self.capacity.bytes();
        if tail < self.tail || tail > most || !tail.is_multiple_of(ALIGN) {
            return Err(Corrupt::Position { position: tail, from: self.tail, to: most });
        }
        self.tail = tail;
        Ok(())
    }

    /// Gives back the space of every frame taken, of which nothing is read any more; whether there was any.
    #[inline]
    pub fn release<S: ConsumerSide>(&mut self, side: &S) -> bool {
        if self.released == self.taken {
            return false;
        }
        self.released = self.taken;
        // sync: ring.head (publish) -> Producer::refresh
        side.head().store(self.taken, Release);
        true
    }

    /// Whether so much has been taken since the last release that the producer should have it back now.
    #[inline]
    pub fn owes_release(&self) -> bool {
        self.taken - self.released >= self.capacity.bytes() / 4
    }

    /// This side's position as its peer knows it.
    #[inline]
    pub fn released(&self) -> u64 {
        self.released
    }
}

#[cold]
fn too_long(length: u32, limit: u64) -> Corrupt {
    Corrupt::Length { length, limit: u32::try_from(limit).unwrap_or(u32::MAX) }
}
