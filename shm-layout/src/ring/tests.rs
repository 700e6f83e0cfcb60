//! The ring against an oracle, and against peers that lie.

use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

use super::*;
use crate::sync::AtomicU64;
use crate::sync::Ordering::Relaxed;
use crate::word::PeerWord;

struct Shared {
    tail: AtomicU64,
    head: AtomicU64,
    bytes: Vec<u8>,
}

impl Shared {
    fn new(capacity: Capacity) -> Self {
        let length = usize::try_from(capacity.bytes()).unwrap();
        Self { tail: AtomicU64::new(0), head: AtomicU64::new(0), bytes: vec![0; length] }
    }
}

impl ProducerSide for Shared {
    fn tail(&self) -> &AtomicU64 {
        &self.tail
    }
    fn head(&self) -> PeerWord<'_> {
        PeerWord::new(&self.head)
    }
    fn write(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

impl ConsumerSide for Shared {
    fn head(&self) -> &AtomicU64 {
        &self.head
    }
    fn tail(&self) -> PeerWord<'_> {
        PeerWord::new(&self.tail)
    }
    fn header(&self, at: usize) -> Words {
        words(self.bytes[at..].first_chunk().unwrap())
    }
}

/// How often a test repeats itself: Miri is some hundred times slower.
fn scaled(times: u64) -> u64 {
    if cfg!(miri) { times / 100 + 1 } else { times }
}

/// A small generator of numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn send(producer: &mut Producer, shared: &mut Shared, payload: &[u8]) -> Result<(), ReserveError> {
    let frame = producer.reserve(shared, payload.len())?;
    shared.bytes[frame.at..frame.at + payload.len()].copy_from_slice(payload);
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
    header[4] = 1;
    producer.commit(shared, frame, &header);
    Ok(())
}

fn receive(consumer: &mut Consumer, shared: &Shared) -> Option<Vec<u8>> {
    let taken = consumer.take(shared).unwrap()?;
    Some(shared.bytes[taken.at..taken.at + taken.length].to_vec())
}

#[test]
fn frames_arrive_whole_and_in_order() {
    for seed in 1..scaled(200) {
        let mut random = Random(seed * 0x9E37_79B9);
        let capacity = Capacity::new(4096 << random.below(3)).unwrap();
        let (mut shared, mut oracle) = (Shared::new(capacity), VecDeque::new());
        let (mut producer, mut consumer) = (Producer::new(capacity), Consumer::new(capacity));
        let mut unpublished = Vec::new();
        let (mut sent, mut full) = (0_u32, 0);
        for _ in 0..if cfg!(miri) { 500 } else { 2_000 } {
            match random.below(8) {
                0..4 => {
                    let most = if random.below(4) == 0 { capacity.max_payload() as u64 + 1 } else { 100 };
                    let length = usize::try_from(random.below(most)).unwrap();
                    let payload: Vec<u8> =
                        (0..length).map(|at| (at as u8).wrapping_add(sent as u8)).collect();
                    match send(&mut producer, &mut shared, &payload) {
                        Ok(()) => {
                            unpublished.push(payload);
                            sent += 1;
                        }
                        Err(error) => {
                            assert_eq!(error, ReserveError::Full);
                            full += 1;
                        }
                    }
                }
                4 => {
                    assert_eq!(producer.publish(&shared), !unpublished.is_empty());
                    oracle.extend(unpublished.drain(..));
                }
                5..7 => assert_eq!(receive(&mut consumer, &shared), oracle.pop_front()),
                _ => {
                    consumer.release(&shared);
                }
            }
        }
        assert!(sent > 100 && full > 0, "seed {seed}: {sent} sent, {full} times full");
    }
}

#[test]
fn the_largest_frame_fits_whatever_the_offset() {
    let capacity = Capacity::new(4096).unwrap();
    for small in (0..140).step_by(if cfg!(miri) { 23 } else { 1 }) {
        let mut shared = Shared::new(capacity);
        let (mut producer, mut consumer) = (Producer::new(capacity), Consumer::new(capacity));
        for _ in 0..small {
            send(&mut producer, &mut shared, &[7; 9]).unwrap();
            producer.publish(&shared);
            receive(&mut consumer, &shared).unwrap();
            consumer.release(&shared);
        }
        send(&mut producer, &mut shared, &vec![9; capacity.max_payload()]).unwrap();
        producer.publish(&shared);
        assert_eq!(receive(&mut consumer, &shared).unwrap().len(), capacity.max_payload());
    }
    let (mut producer, shared) = (Producer::new(capacity), Shared::new(capacity));
    assert_eq!(producer.reserve(&shared, capacity.max_payload() + 1), Err(ReserveError::TooLarge));
}

#[test]
fn a_quarter_fits_once_the_goal_is_reached() {
    let capacity = Capacity::new(4096).unwrap();
    let quarter = 1024 - HEADER;
    let (mut random, mut waits) = (Random(0x1234_5678_9ABC_DEF1), 0);
    let mut shared = Shared::new(capacity);
    let (mut producer, mut consumer) = (Producer::new(capacity), Consumer::new(capacity));
    for _ in 0..scaled(20_000) {
        let length = usize::try_from(random.below(quarter as u64 + 1)).unwrap();
        if send(&mut producer, &mut shared, &vec![1; length]) == Err(ReserveError::Full) {
            waits += 1;
            producer.publish(&shared);
            assert_eq!(producer.has_space(&shared), Ok(false));
            while consumer.released() < producer.space_goal() {
                receive(&mut consumer, &shared).unwrap();
                consumer.release(&shared);
            }
            assert_eq!(producer.has_space(&shared), Ok(true));
            send(&mut producer, &mut shared, &vec![1; quarter]).unwrap();
        }
    }
    assert!(waits > scaled(1_000), "{waits} waits");
}

#[test]
fn a_consumer_survives_a_producer_that_writes_anything() {
    let capacity = Capacity::new(4096).unwrap();
    let (mut frames, mut refusals) = (0, 0);
    for seed in 1..scaled(3_000) {
        let mut random = Random(seed * 0x2545_F491);
        let mut shared = Shared::new(capacity);
        // An empty frame at every offset, until it is overwritten.
        shared.bytes.iter_mut().skip(4).step_by(usize::try_from(ALIGN).unwrap()).for_each(|kind| *kind = 1);
        let mut consumer = Consumer::new(capacity);
        for _ in 0..50 {
            for _ in 0..random.below(32) {
                let at = usize::try_from(random.below(4096)).unwrap();
                shared.bytes[at] = if random.below(2) == 0 { 0 } else { random.below(256) as u8 };
            }
            let tail = shared.tail.load(Relaxed);
            let tail = match random.below(6) {
                0 => random.below(u64::MAX),
                1 => tail.wrapping_sub(8),
                _ => tail + random.below(16) * ALIGN,
            };
            shared.tail.store(tail, Relaxed);
            match consumer.take(&shared) {
                Ok(Some(taken)) => {
                    frames += 1;
                    assert!(taken.at >= HEADER && taken.at + taken.length <= 4096);
                    consumer.release(&shared);
                }
                Ok(None) => {}
                Err(_) => {
                    refusals += 1;
                    break;
                }
            }
        }
    }
    assert!(frames > scaled(1_000) && refusals > scaled(1_000), "{frames} frames, {refusals} refusals");
}

#[test]
fn a_producer_refuses_an_impossible_consumer() {
    let capacity = Capacity::new(4096).unwrap();
    let mut shared = Shared::new(capacity);
    let mut producer = Producer::new(capacity);
    while send(&mut producer, &mut shared, &[1; 500]).is_ok() {}
    producer.publish(&shared);
    let published = shared.tail.load(Relaxed);
    for head in [published + 8, u64::MAX] {
        shared.head.store(head, Relaxed);
        let refused = Corrupt::Position { position: head, from: 0, to: published };
        assert_eq!(producer.reserve(&shared, 500), Err(ReserveError::Corrupt(refused)));
        assert_eq!(producer.has_space(&shared), Err(refused));
    }
    shared.head.store(published, Relaxed);
    producer.reserve(&shared, 500).unwrap();
    shared.head.store(published - 8, Relaxed);
    assert!(matches!(producer.has_space(&shared), Err(Corrupt::Position { .. })));
}

#[test]
fn a_lying_frame_is_named() {
    let capacity = Capacity::new(4096).unwrap();
    let lie = |at: usize, length: u32, kind: u8, tail: u64| {
        let mut shared = Shared::new(capacity);
        shared.bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
        shared.bytes[at + 4] = kind;
        shared.tail.store(tail, Relaxed);
        Consumer::new(capacity).take(&shared)
    };
    assert_eq!(lie(0, 33, 1, 64), Err(Corrupt::Length { length: 33, limit: 32 }));
    assert_eq!(lie(0, u32::MAX, 1, 4096), Err(Corrupt::Length { length: u32::MAX, limit: 2016 }));
    assert_eq!(lie(0, 8, PAD, 64), Err(Corrupt::Length { length: 8, limit: 4064 }));
    assert_eq!(lie(0, 0, 1, 12), Err(Corrupt::Position { position: 12, from: 0, to: 4096 }));
    assert!(matches!(lie(0, 0, 1, ALIGN), Ok(Some(_))));
    // A pad that fills the gap, of which only the beginning was published.
    assert!(lie(0, 4064, PAD, 64).is_err());
}
