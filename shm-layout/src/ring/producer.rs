//! The producing side: reserve, write, commit, publish.

use super::{ALIGN, Capacity, Corrupt, HEADER, HEADER_LENGTH, PAD, ReserveError, frame_size, index};
use crate::sync::AtomicU64;
use crate::sync::Ordering::Release;
use crate::word::PeerWord;

/// Where a producer's words and bytes are.
pub trait ProducerSide {
    /// This side's position, in its own half.
    fn tail(&self) -> &AtomicU64;
    /// The consumer's position, in the peer's half.
    fn head(&self) -> PeerWord<'_>;
    /// Copies `bytes` to the offset `at` of the ring; the range is within the capacity.
    fn write(&mut self, at: usize, bytes: &[u8]);
}

/// The private positions of a producer.
#[derive(Debug)]
pub struct Producer {
    capacity: Capacity,
    /// Behind the last committed frame.
    written: u64,
    /// Behind the last published frame: what `tail` says.
    published: u64,
    /// The consumer's position when it was last loaded. Kept to spare the line while it suffices.
    head: u64,
}

/// Room for one frame. It is void once another has been reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Where the frame begins.
    position: u64,
    /// Where its payload goes, as an offset in the ring.
    pub at: usize,
    /// How long its payload is.
    pub length: usize,
}

impl Producer {
    /// The producer of an empty ring.
    pub fn new(capacity: Capacity) -> Self {
        Self { capacity, written: 0, published: 0, head: 0 }
    }

    /// Room for a frame with `length` bytes of payload.
    ///
    /// # Errors
    /// See [`ReserveError`]; nothing has changed that anybody can see.
    #[inline]
    pub fn reserve<S: ProducerSide>(&mut self, side: &S, length: usize) -> Result<Reservation, ReserveError> {
        if length > self.capacity.max_payload() {
            return Err(ReserveError::TooLarge);
        }
        let size = frame_size(length as u64);
        let to_end = self.capacity.to_end(self.written);
        let position = if size <= to_end { self.written } else { self.written + to_end };
        if position + size - self.head > self.capacity.bytes() {
            self.refresh(side).map_err(ReserveError::Corrupt)?;
            if position + size - self.head > self.capacity.bytes() {
                return Err(ReserveError::Full);
            }
        }
        Ok(Reservation { position, at: index(self.capacity.offset(position) + HEADER_LENGTH), length })
    }

    /// Completes the reserved frame, whose payload has been written. Only `publish` shows it to the peer.
    /// A reservation that is void changes nothing.
    #[inline]
    pub fn commit<S: ProducerSide>(&mut self, side: &mut S, frame: Reservation, header: &[u8; HEADER]) {
        let gap = frame.position.wrapping_sub(self.written);
        if gap != 0 {
            if gap != self.capacity.to_end(self.written) {
                debug_assert!(false, "a void reservation was committed");
                return;
            }
            self.pad(side, gap);
        }
        side.write(index(self.capacity.offset(frame.position)), header);
        self.written = frame.position + frame_size(frame.length as u64);
    }

    #[cold]
    fn pad<S: ProducerSide>(&self, side: &mut S, gap: u64) {
        // A gap shorter than a header has no room for one; the consumer skips it unasked.
        let Some(length) = gap.checked_sub(HEADER_LENGTH) else { return };
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        header[4] = PAD;
        side.write(index(self.capacity.offset(self.written)), &header);
    }

    /// Shows every committed frame to the peer; whether there was any that it did not see before.
    #[inline]
    pub fn publish<S: ProducerSide>(&mut self, side: &S) -> bool {
        if self.published == self.written {
            return false;
        }
        self.published = self.written;
        // sync: ring.tail (publish) -> Consumer::refresh
        side.tail().store(self.written, Release);
        true
    }

    /// Behind the last committed frame.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Whether the consumer has given back all up to `position`.
    ///
    /// # Errors
    /// [`Corrupt`] if its position is impossible.
    pub fn has_back<S: ProducerSide>(&mut self, side: &S, position: u64) -> Result<bool, Corrupt> {
        self.refresh(side)?;
        Ok(self.head >= position)
    }

    /// The consumer's position at which half of the ring is free: where a waiting producer wants to be rung. A frame
    /// that takes up at most a quarter fits then, whatever the gap before it; a longer one may have to wait again.
    pub fn space_goal(&self) -> u64 {
        self.written.saturating_sub(self.capacity.bytes() / 2).next_multiple_of(ALIGN)
    }

    /// Whether the consumer has come as far as [`space_goal`](Self::space_goal).
    ///
    /// # Errors
    /// [`Corrupt`] if its position is impossible.
    pub fn has_space<S: ProducerSide>(&mut self, side: &S) -> Result<bool, Corrupt> {
        self.has_back(side, self.space_goal())
    }

    fn refresh<S: ProducerSide>(&mut self, side: &S) -> Result<(), Corrupt> {
        // sync: ring.head (acquire) <- Consumer::release
        let head = side.head().load();
        if head < self.head || head > self.published {
            return Err(Corrupt::Position { position: head, from: self.head, to: self.published });
        }
        self.head = head;
        Ok(())
    }
}
