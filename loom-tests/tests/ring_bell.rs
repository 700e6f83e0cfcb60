//! Ring and bell together: no side sleeps while there is something for it in the ring, or room that it waits for.

use loom::thread;
use transom_loom_tests::bell::{Mode, Sleeper};
use transom_loom_tests::model::{Failure, check, fails};
use transom_loom_tests::segment::{Receive, Segment, Transmit};
use transom_loom_tests::sync::Mutation;

/// A sleeping consumer receives frames that each have their own publication.
fn frames_are_rung_for(mode: Mode, frames: usize) {
    let segment = Segment::new(128);
    let mut transmit = Transmit::new(&segment);
    let producer = thread::spawn(move || {
        for _ in 0..frames {
            assert!(transmit.try_send(0));
            transmit.publish();
        }
    });
    let mut receive = Receive::new(&segment);
    for _ in 0..frames {
        receive.receive(mode);
    }
    producer.join().unwrap();
}

/// Both sides sleep: the producer when the ring is full, which it is from the beginning, and the consumer when it is
/// empty. `words` of payload in each frame.
fn space_is_rung_for(capacity: u64, mode: Mode, words: usize, more: usize) {
    let segment = Segment::new(capacity);
    let mut transmit = Transmit::new(&segment);
    let mut frames = more;
    while transmit.try_send(words) {
        frames += 1;
    }
    transmit.publish();
    let producer = thread::spawn(move || {
        for _ in 0..more {
            transmit.send(words, mode);
        }
    });
    let mut receive = Receive::new(&segment);
    for _ in 0..frames {
        receive.receive(mode);
    }
    producer.join().unwrap();
}

#[test]
fn a_consumer_on_the_futex_hears_of_frames() {
    check(4, || frames_are_rung_for(Mode::Futex, 2));
}

#[test]
fn a_consumer_in_an_event_loop_hears_of_frames() {
    check(4, || frames_are_rung_for(Mode::Descriptor, 2));
}

#[test]
fn a_producer_on_the_futex_hears_of_space() {
    check(3, || space_is_rung_for(64, Mode::Futex, 0, 2));
}

#[test]
fn a_producer_in_an_event_loop_hears_of_space() {
    check(3, || space_is_rung_for(64, Mode::Descriptor, 0, 2));
}

/// Frames of an eighth of the ring: the consumer releases two at a time, and looks for a waiting producer that often.
#[test]
fn a_look_every_quarter_is_enough() {
    check(3, || space_is_rung_for(256, Mode::Futex, 0, 1));
}

/// Frames that take a quarter with their gaps: the goal lies within a gap or a frame.
#[test]
fn a_producer_hears_of_space_behind_a_gap() {
    check(4, || space_is_rung_for(256, Mode::Futex, 3, 1));
}

#[test]
fn broken_joints_are_caught() {
    fails("broken_without_the_total_order", Failure::Deadlock);
    fails("broken_for_space_without_the_total_order", Failure::Deadlock);
    fails("broken_by_a_sleep_without_another_look", Failure::Deadlock);
    fails("broken_by_a_ring_before_the_publication", Failure::Deadlock);
    fails("broken_by_silence_about_space", Failure::Deadlock);
}

#[test]
#[ignore = "must fail; run by `broken_joints_are_caught`"]
fn broken_without_the_total_order() {
    Mutation::TotalOrderWeakened.apply();
    check(3, || frames_are_rung_for(Mode::Futex, 1));
}

#[test]
#[ignore = "must fail; run by `broken_joints_are_caught`"]
fn broken_for_space_without_the_total_order() {
    Mutation::TotalOrderWeakened.apply();
    check(3, || space_is_rung_for(64, Mode::Futex, 0, 1));
}

#[test]
#[ignore = "must fail; run by `broken_joints_are_caught`"]
fn broken_by_a_sleep_without_another_look() {
    check(3, || {
        let segment = Segment::new(128);
        let mut transmit = Transmit::new(&segment);
        let producer = thread::spawn(move || {
            assert!(transmit.try_send(0));
            transmit.publish();
        });
        let mut receive = Receive::new(&segment);
        if !receive.try_receive() {
            let note = segment.to.announce(&mut Sleeper::new(), &segment.from, Mode::Futex, 0);
            segment.to.wait(&segment.from, Mode::Futex, note, 0);
        }
        producer.join().unwrap();
    });
}

#[test]
#[ignore = "must fail; run by `broken_joints_are_caught`"]
fn broken_by_a_ring_before_the_publication() {
    check(3, || {
        let segment = Segment::new(128);
        let mut transmit = Transmit::new(&segment);
        let sides = segment.clone();
        let producer = thread::spawn(move || {
            assert!(transmit.try_send(0));
            sides.from.ring(&sides.to, true, 0);
            transmit.producer.publish(&transmit.side);
        });
        Receive::new(&segment).receive(Mode::Futex);
        producer.join().unwrap();
    });
}

#[test]
#[ignore = "must fail; run by `broken_joints_are_caught`"]
fn broken_by_silence_about_space() {
    check(3, || {
        let segment = Segment::new(64);
        let mut transmit = Transmit::new(&segment);
        while transmit.try_send(0) {}
        transmit.publish();
        let mut receive = Receive::new(&segment);
        let consumer = thread::spawn(move || {
            while receive.try_receive() {}
            receive.release();
        });
        // The sleep does not say from which position on space is wanted.
        let note = segment.from.announce(&mut Sleeper::new(), &segment.to, Mode::Futex, 0);
        if !transmit.producer.has_space(&transmit.side).unwrap() {
            segment.from.wait(&segment.to, Mode::Futex, note, 0);
        }
        consumer.join().unwrap();
    });
}
