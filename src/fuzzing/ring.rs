//! The consumer of a ring whose producer does as it likes.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};

use transom_shm_layout::ring::{ALIGN, Capacity, Consumer, ConsumerSide, HEADER, PAD, Taken, Words, words};
use transom_shm_layout::sync::MIN_RING;
use transom_shm_layout::word::PeerWord;

use super::script::Script;

/// A ring's consumer, over memory that changes between any two looks. Gives back how many frames it took.
pub fn ring_consumer(data: &[u8]) -> usize {
    let Some(capacity) = Capacity::new(MIN_RING) else { return 0 };
    let ring = Meddled {
        head: AtomicU64::new(0),
        tail: AtomicU64::new(0),
        shown: Cell::new(0),
        bytes: RefCell::new(vec![0; MIN_RING as usize]),
        script: RefCell::new(Script(data)),
    };
    let mut consumer = Consumer::new(capacity);
    // Behind the last frame taken; pads in between may have brought the consumer further.
    let mut position = 0;
    let mut taken = 0;
    loop {
        let Some(step) = ring.script.borrow_mut().next() else { return taken };
        match step % 4 {
            0 => ring.meddle(),
            1 => {
                let before = ring.head.load(Ordering::Relaxed);
                let released = consumer.release(&ring);
                let head = ring.head.load(Ordering::Relaxed);
                assert_eq!(released, head > before, "the head moves forward, if it moves");
                assert!((position..=ring.shown.get()).contains(&head), "{head}");
                position = head;
            }
            // What a peer has broken is used no more.
            2 => match consumer.take(&ring) {
                Err(_) => return taken,
                Ok(None) => {}
                Ok(Some(frame)) => {
                    position += check_frame(&frame, position, capacity);
                    assert!(position <= ring.shown.get(), "a frame that was not published");
                    assert!(position - ring.head.load(Ordering::Relaxed) <= MIN_RING, "frames overlap");
                    ring.meddle();
                    assert!(ring.bytes.borrow().get(frame.at..frame.at + frame.length).is_some());
                    taken += 1;
                }
            },
            _ => {
                if consumer.is_empty(&ring).is_err() {
                    return taken;
                }
                assert_eq!(consumer.released(), ring.head.load(Ordering::Relaxed));
            }
        }
    }
}

/// How far `frame` takes the consumer from `position`.
fn check_frame(frame: &Taken, position: u64, capacity: Capacity) -> u64 {
    let begin = frame.at as u64 - HEADER as u64;
    let size = (HEADER as u64 + frame.length as u64).next_multiple_of(ALIGN);
    assert!(begin.is_multiple_of(ALIGN), "{frame:?}");
    assert!(begin + size <= MIN_RING, "it crosses the end: {frame:?}");
    assert!(frame.length <= capacity.max_payload(), "{frame:?}");
    assert_eq!(frame.header[0] as u32, frame.length as u32, "it is not what was checked: {frame:?}");
    assert_ne!((frame.header[0] >> 32) as u8, PAD, "{frame:?}");
    (begin + MIN_RING - position % MIN_RING) % MIN_RING + size
}

/// A ring whose producer does something whenever the consumer looks.
struct Meddled<'d> {
    head: AtomicU64,
    tail: AtomicU64,
    /// The last `tail` that the consumer was shown.
    shown: Cell<u64>,
    bytes: RefCell<Vec<u8>>,
    script: RefCell<Script<'d>>,
}

impl Meddled<'_> {
    fn meddle(&self) {
        let script = &mut *self.script.borrow_mut();
        let (bytes, tail) = (&mut *self.bytes.borrow_mut(), self.tail.load(Ordering::Relaxed));
        let mut write = |position: u64, header: &[u8]| {
            for (at, &byte) in header.iter().enumerate() {
                bytes[(position as usize).wrapping_add(at) % MIN_RING as usize] = byte;
            }
        };
        match script.byte() % 6 {
            0 => {}
            1 => self.tail.store(script.long(), Ordering::Relaxed),
            2 => self.tail.store(tail.wrapping_add(u64::from(script.short())), Ordering::Relaxed),
            3 => {
                let (at, length) = (script.short(), usize::from(script.byte() % 64));
                write(at.into(), script.bytes(length));
            }
            4 => {
                // A frame as an honest producer writes it, but for its kind.
                let (kind, length) = (script.byte(), u64::from(script.short() % (MIN_RING / 2) as u16));
                let size = (HEADER as u64 + length).next_multiple_of(ALIGN);
                let to_end = MIN_RING - tail % MIN_RING;
                let begin = if size <= to_end { tail } else { tail.wrapping_add(to_end) };
                if begin != tail && to_end >= HEADER as u64 {
                    write(tail, &header(PAD, to_end - HEADER as u64));
                }
                write(begin, &header(kind, length));
                self.tail.store(begin.wrapping_add(size), Ordering::Relaxed);
            }
            _ => {
                // A header that lies about its length, at the very place that is read next.
                let length = script.number();
                write(tail, &header(script.byte(), length));
            }
        }
    }
}

fn header(kind: u8, length: u64) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..4].copy_from_slice(&(length as u32).to_le_bytes());
    bytes[4] = kind;
    bytes
}

impl ConsumerSide for Meddled<'_> {
    fn head(&self) -> &AtomicU64 {
        &self.head
    }

    fn tail(&self) -> PeerWord<'_> {
        self.meddle();
        self.shown.set(self.tail.load(Ordering::Relaxed));
        PeerWord::new(&self.tail)
    }

    fn header(&self, at: usize) -> Words {
        self.meddle();
        words(self.bytes.borrow()[at..].first_chunk().expect("a header is within the ring"))
    }
}
