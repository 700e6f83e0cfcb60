//! A segment with one ring, whose bytes loom checks for races, and a producer and a consumer that sleep.

use std::sync::Arc;

use loom::cell::Cell;

use crate::bell::{Mode, Sleeper};
use crate::ring::{
    Capacity, Consumer, ConsumerSide, HEADER, Producer, ProducerSide, Reservation, ReserveError, Taken,
    Words, words,
};
use crate::side::Side;
use crate::sync::AtomicU64;
use crate::word::PeerWord;

const WORD: usize = 8;

/// Two sides, and the bytes of the ring from the one to the other.
#[derive(Debug)]
pub struct Segment {
    /// The side that produces.
    pub from: Side,
    /// The side that consumes.
    pub to: Side,
    capacity: Capacity,
    bytes: Vec<Cell<[u8; WORD]>>,
}

impl Segment {
    /// A segment with a ring of `capacity` bytes.
    pub fn new(capacity: u64) -> Arc<Self> {
        Self::with(capacity, AtomicU64::new(0), AtomicU64::new(0))
    }

    /// A segment with these words for the ring's positions.
    ///
    /// # Panics
    /// If that is no capacity.
    #[expect(
        clippy::arc_with_non_send_sync,
        reason = "one thread runs all of loom's, and checks every access"
    )]
    pub fn with(capacity: u64, tail: AtomicU64, head: AtomicU64) -> Arc<Self> {
        let capacity = Capacity::new(capacity).expect("a capacity");
        let words = usize::try_from(capacity.bytes()).expect("a small ring") / WORD;
        Arc::new(Self {
            from: Side::new(tail, AtomicU64::new(0)),
            to: Side::new(AtomicU64::new(0), head),
            capacity,
            bytes: (0..words).map(|_| Cell::new([0; WORD])).collect(),
        })
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        assert!(at.is_multiple_of(WORD) && bytes.len().is_multiple_of(WORD));
        for (cell, word) in self.bytes[at / WORD..].iter().zip(bytes.as_chunks().0) {
            cell.set(*word);
        }
    }

    fn read(&self, at: usize, into: &mut [u8]) {
        assert!(at.is_multiple_of(WORD) && into.len().is_multiple_of(WORD));
        for (cell, word) in self.bytes[at / WORD..].iter().zip(into.as_chunks_mut().0) {
            *word = cell.get();
        }
    }
}

/// The producing side's words and bytes.
#[derive(Debug)]
pub struct Outgoing(Arc<Segment>);

impl ProducerSide for Outgoing {
    fn tail(&self) -> &AtomicU64 {
        &self.0.from.producer.tail
    }

    fn head(&self) -> PeerWord<'_> {
        PeerWord::new(&self.0.to.consumer.head)
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        self.0.write(at, bytes);
    }
}

/// The consuming side's words and bytes.
#[derive(Debug)]
pub struct Incoming(Arc<Segment>);

impl ConsumerSide for Incoming {
    fn head(&self) -> &AtomicU64 {
        &self.0.to.consumer.head
    }

    fn tail(&self) -> PeerWord<'_> {
        PeerWord::new(&self.0.from.producer.tail)
    }

    fn header(&self, at: usize) -> Words {
        let mut header = [0; HEADER];
        self.0.read(at, &mut header);
        words(&header)
    }
}

/// What every word of a frame's payload says.
fn content(id: u64) -> [u8; WORD] {
    (id * 0x0101_0101).to_le_bytes()
}

/// A producer of frames, which are numbered from 0.
#[derive(Debug)]
pub struct Transmit {
    /// Its words and bytes.
    pub side: Outgoing,
    /// Its positions.
    pub producer: Producer,
    sleeper: Sleeper,
    sent: u64,
}

impl Transmit {
    /// The producer of this segment's ring.
    pub fn new(segment: &Arc<Segment>) -> Self {
        let producer = Producer::new(segment.capacity);
        Self { side: Outgoing(Arc::clone(segment)), producer, sleeper: Sleeper::new(), sent: 0 }
    }

    /// Commits a frame with so many words of payload; whether there was room.
    ///
    /// # Panics
    /// If the consumer's position is impossible.
    pub fn try_send(&mut self, words: usize) -> bool {
        match self.producer.reserve(&self.side, words * WORD) {
            Ok(frame) => {
                self.fill(frame);
                self.commit(frame);
                true
            }
            Err(ReserveError::Full) => false,
            Err(error) => panic!("the model's assertion: {error}"),
        }
    }

    /// Writes the payload of the next frame.
    pub fn fill(&self, frame: Reservation) {
        self.side.0.write(frame.at, &content(self.sent).repeat(frame.length / WORD));
    }

    /// Commits the next frame.
    pub fn commit(&mut self, frame: Reservation) {
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(&u32::try_from(frame.length).expect("a short frame").to_le_bytes());
        header[4] = 1;
        header[16..24].copy_from_slice(&self.sent.to_le_bytes());
        self.producer.commit(&mut self.side, frame, &header);
        self.sent += 1;
    }

    /// Publishes, and rings if there was anything to publish.
    pub fn publish(&mut self) {
        if self.producer.publish(&self.side) {
            let Segment { from, to, .. } = &*self.side.0;
            from.ring(to, true, 0);
        }
    }

    /// Sends a frame of its own publication, asleep while there is no room for it.
    ///
    /// # Panics
    /// If the consumer's position is impossible.
    pub fn send(&mut self, words: usize, mode: Mode) {
        while !self.try_send(words) {
            let Segment { from, to, .. } = &*self.side.0;
            let local = from.local();
            let goal = self.producer.space_goal();
            let note = from.announce(&mut self.sleeper, to, mode, goal);
            if !self.producer.has_space(&self.side).expect("the model's assertion: a possible position") {
                from.wait(to, mode, note, local);
            }
            self.sleeper.awake(&from.bell);
        }
        self.publish();
    }
}

/// A consumer of frames.
#[derive(Debug)]
pub struct Receive {
    /// Its words and bytes.
    pub side: Incoming,
    /// Its positions.
    pub consumer: Consumer,
    sleeper: Sleeper,
    received: u64,
    looked_for_space: u64,
}

impl Receive {
    /// The consumer of this segment's ring.
    pub fn new(segment: &Arc<Segment>) -> Self {
        let consumer = Consumer::new(segment.capacity);
        let side = Incoming(Arc::clone(segment));
        Self { side, consumer, sleeper: Sleeper::new(), received: 0, looked_for_space: 0 }
    }

    /// Takes the next frame, if there is one, and checks that it is the next; whether there was one.
    ///
    /// # Panics
    /// If it is not the frame that was sent.
    pub fn try_receive(&mut self) -> bool {
        let taken = self.consumer.take(&self.side).expect("the model's assertion: a frame");
        if let Some(frame) = &taken {
            self.check(frame);
        }
        taken.is_some()
    }

    /// Copies a frame out and checks that it is the next.
    ///
    /// # Panics
    /// If it is not.
    pub fn check(&mut self, frame: &Taken) {
        let mut payload = vec![0; frame.length];
        self.side.0.read(frame.at, &mut payload);
        assert_eq!(frame.header[2], self.received, "the model's assertion: the next frame");
        let whole = payload.as_chunks().0.iter().all(|word| *word == content(self.received));
        assert!(whole, "the model's assertion: a whole frame");
        self.received += 1;
    }

    /// Gives space back, and rings for it once every quarter ring, as the link does.
    pub fn release(&mut self) {
        if self.consumer.release(&self.side) {
            let Segment { from, to, capacity, .. } = &*self.side.0;
            let head = self.consumer.released();
            if head - self.looked_for_space >= capacity.bytes() / 4 {
                self.looked_for_space = head;
                to.ring(from, false, head);
            }
        }
    }

    /// Receives a frame, asleep while there is none, with everything given back.
    ///
    /// # Panics
    /// If it is not the next frame that was sent.
    pub fn receive(&mut self, mode: Mode) {
        while !self.try_receive() {
            self.release();
            let Segment { from, to, .. } = &*self.side.0;
            let local = to.local();
            let note = to.announce(&mut self.sleeper, from, mode, 0);
            if self.consumer.is_empty(&self.side).expect("the model's assertion: a possible position") {
                to.wait(from, mode, note, local);
            }
            self.sleeper.awake(&to.bell);
        }
        if self.consumer.owes_release() {
            self.release();
        }
    }
}
