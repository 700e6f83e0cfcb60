//! The ring: frames arrive whole and in order, and no byte is read while it is written.

use std::sync::Arc;

use loom::thread;
use transom_loom_tests::model::{Failure, check, fails};
use transom_loom_tests::segment::{Receive, Segment, Transmit};
use transom_loom_tests::sync::{AtomicU64, Mutation};

/// Sends one frame for each count of payload words while another thread receives them, and ends at this position. Nobody
/// sleeps: who finds the ring full or empty looks again.
fn pass(segment: &Arc<Segment>, frames: &'static [usize], batch: usize, end: u64) {
    let mut receive = Receive::new(segment);
    let consumer = thread::spawn(move || {
        for _ in frames {
            while !receive.try_receive() {
                receive.consumer.release(&receive.side);
                thread::yield_now();
            }
        }
        receive.consumer.release(&receive.side);
        assert!(!receive.try_receive(), "the model's assertion: nothing that was not sent");
        assert_eq!(receive.consumer.released(), end, "the model's assertion: gaps as described");
    });
    let mut transmit = Transmit::new(segment);
    for (number, words) in frames.iter().enumerate() {
        while !transmit.try_send(*words) {
            transmit.producer.publish(&transmit.side);
            thread::yield_now();
        }
        if (number + 1).is_multiple_of(batch) {
            transmit.producer.publish(&transmit.side);
        }
    }
    transmit.producer.publish(&transmit.side);
    consumer.join().unwrap();
}

/// Two frames fill the smallest ring; every other one waits for space and wraps.
#[test]
fn full_and_empty() {
    check(5, || pass(&Segment::new(64), &[0, 0, 0, 0], 1, 128));
}

/// 40 and 40 bytes; 56 do not fit into the 48 that are left, and follow a pad frame.
#[test]
fn a_pad_frame_fills_the_gap() {
    check(5, || pass(&Segment::new(128), &[1, 1, 3, 1], 1, 40 + 40 + 48 + 56 + 40));
}

/// 56 and 56 bytes; the 16 that are left have no room for a header.
#[test]
fn a_gap_shorter_than_a_header_is_skipped() {
    check(5, || pass(&Segment::new(128), &[3, 3, 0, 3], 1, 56 + 56 + 16 + 32 + 56));
}

/// 64 and 64 bytes: the largest frames, and no gap.
#[test]
fn the_largest_frames_end_with_the_ring() {
    check(5, || pass(&Segment::new(128), &[4, 4, 4], 1, 192));
}

#[test]
fn a_publication_shows_several_frames() {
    check(5, || pass(&Segment::new(128), &[1, 0, 3, 1], 2, 40 + 32 + 56 + 40));
}

#[test]
fn broken_rings_are_caught() {
    fails("broken_by_a_relaxed_tail", Failure::Race);
    fails("broken_by_a_relaxed_head", Failure::Race);
    fails("broken_without_acquire_fences", Failure::Race);
    fails("broken_by_a_publication_before_the_bytes", Failure::Race);
    fails("broken_by_a_release_before_the_bytes_are_read", Failure::Race);
}

#[test]
#[ignore = "must fail; run by `broken_rings_are_caught`"]
fn broken_by_a_relaxed_tail() {
    check(3, || pass(&Segment::with(128, AtomicU64::relaxed(0), AtomicU64::new(0)), &[1], 1, 40));
}

#[test]
#[ignore = "must fail; run by `broken_rings_are_caught`"]
fn broken_by_a_relaxed_head() {
    check(3, || pass(&Segment::with(64, AtomicU64::new(0), AtomicU64::relaxed(0)), &[0, 0, 0], 1, 96));
}

#[test]
#[ignore = "must fail; run by `broken_rings_are_caught`"]
fn broken_without_acquire_fences() {
    Mutation::AcquireRemoved.apply();
    check(3, || pass(&Segment::new(128), &[1], 1, 40));
}

#[test]
#[ignore = "must fail; run by `broken_rings_are_caught`"]
fn broken_by_a_publication_before_the_bytes() {
    check(3, || {
        let segment = Segment::new(128);
        let mut receive = Receive::new(&segment);
        let consumer = thread::spawn(move || receive.try_receive());
        let mut transmit = Transmit::new(&segment);
        let frame = transmit.producer.reserve(&transmit.side, 8).unwrap();
        transmit.commit(frame);
        transmit.producer.publish(&transmit.side);
        transmit.fill(frame);
        consumer.join().unwrap();
    });
}

#[test]
#[ignore = "must fail; run by `broken_rings_are_caught`"]
fn broken_by_a_release_before_the_bytes_are_read() {
    check(3, || {
        let segment = Segment::new(128);
        let mut transmit = Transmit::new(&segment);
        assert!(transmit.try_send(4) && transmit.try_send(4));
        transmit.producer.publish(&transmit.side);
        let producer = thread::spawn(move || transmit.try_send(4));
        let mut receive = Receive::new(&segment);
        let frame = receive.consumer.take(&receive.side).unwrap().unwrap();
        receive.consumer.release(&receive.side);
        receive.check(&frame);
        producer.join().unwrap();
    });
}
