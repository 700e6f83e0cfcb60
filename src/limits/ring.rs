//! The two rings of a segment without anything above them: no session, no bell, no lock.

use std::io;
use std::os::unix::net::UnixStream;

use transom_shm_layout::half::HalfConfig;
use transom_shm_layout::ring::{Consumer, HEADER, Producer};

use super::{give, take};
use crate::link::Corrupt;
use crate::memory::{RingReader, RingWriter, attach, create, split};

/// The kind of the frames here: any but that of a pad frame.
const KIND: u8 = 1;

/// One side's outgoing and incoming ring.
#[derive(Debug)]
pub struct Ring {
    writer: RingWriter,
    producer: Producer,
    reader: RingReader,
    consumer: Consumer,
}

impl Ring {
    /// Exchanges halves of the default size with the peer, who does the same.
    ///
    /// # Errors
    /// When the system has no memory for a half, the peer is gone, or its half cannot be used.
    pub fn exchange(peer: &UnixStream) -> io::Result<Self> {
        let own = create(HalfConfig::default()).map_err(io::Error::other)?;
        give(peer, &own.descriptor)?;
        let size = own.region.plan().size() as u64;
        let theirs = attach(take(peer)?, size, size).map_err(io::Error::other)?;
        let (outgoing, incoming) = (own.region.plan().capacity(), theirs.plan().capacity());
        let (writer, reader, _, _) = split(own.region, theirs);
        Ok(Self { writer, producer: Producer::new(outgoing), reader, consumer: Consumer::new(incoming) })
    }

    /// Writes a frame, to be published; `false` when there is no room for it.
    #[inline]
    pub fn push(&mut self, payload: &[u8]) -> bool {
        let Ok(room) = self.producer.reserve(&self.writer, payload.len()) else { return false };
        self.writer.bytes(room.at, room.length).copy_from_slice(payload);
        let mut header = [0; HEADER];
        // Reserved, so that it is shorter than half a ring.
        header[..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        header[4] = KIND;
        self.producer.commit(&mut self.writer, room, &header);
        true
    }

    /// Shows the peer what was written.
    #[inline]
    pub fn publish(&mut self) {
        let _anything_new: bool = self.producer.publish(&self.writer);
    }

    /// The payload of the next frame, in place of what `into` holds; `false` when there is none.
    ///
    /// # Errors
    /// [`Corrupt`] if what the peer wrote breaks a rule.
    #[inline]
    pub fn pop(&mut self, into: &mut Vec<u8>) -> Result<bool, Corrupt> {
        let Some(taken) = self.consumer.take(&self.reader)? else { return Ok(false) };
        into.clear();
        self.reader.copy_out(taken.at, taken.length, into);
        if self.consumer.owes_release() {
            self.release();
        }
        Ok(true)
    }

    /// Gives back the space of what was taken.
    #[inline]
    pub fn release(&mut self) {
        let _any: bool = self.consumer.release(&self.reader);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_go_both_ways_until_the_ring_is_full() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let other = std::thread::spawn(move || Ring::exchange(&theirs).unwrap());
        let mut ring = Ring::exchange(&ours).unwrap();
        let mut other = other.join().unwrap();
        let mut payload = Vec::new();
        let mut sent = 0_u32;
        while ring.push(&sent.to_le_bytes()) {
            sent += 1;
        }
        assert!(!other.pop(&mut payload).unwrap(), "nothing is published yet");
        ring.publish();
        for expected in 0..sent {
            assert!(other.pop(&mut payload).unwrap());
            assert_eq!(payload, expected.to_le_bytes());
        }
        assert!(!other.pop(&mut payload).unwrap());
        other.release();
        assert!(ring.push(b"room again"));
        assert!(other.push(b"back"));
        other.publish();
        assert!(ring.pop(&mut payload).unwrap());
        assert_eq!(payload, b"back");
    }
}
