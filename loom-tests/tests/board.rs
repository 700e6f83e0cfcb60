//! The status board: an entry is read whole or not at all.

use std::sync::Arc;

use loom::thread;
use transom_loom_tests::board::{Activity, Entry, PeerSlot, Slot, Writer};
use transom_loom_tests::model::{Failure, check, fails};
use transom_loom_tests::sync::{AtomicU64, Mutation};

fn entry(number: u32) -> Entry {
    let word = u64::from(number);
    Entry { activity: Activity::Serving, connection: number, request: word, method: word, since: word }
}

/// Reads twice, from a slot that shows two entries one after the other, with these words for its state.
fn read_beside_a_writer(state: AtomicU64) {
    let [request, method, since] = [(); 3].map(|()| AtomicU64::new(0));
    let slot = Arc::new(Slot { state, request, method, since });
    let written = Arc::clone(&slot);
    let writer = thread::spawn(move || {
        let mut writer = Writer::new();
        writer.show(&written, &entry(1));
        writer.clear(&written);
        writer.show(&written, &entry(2));
    });
    let mut latest = 0;
    for _ in 0..2 {
        if let Some(read) = PeerSlot::new(&slot).read() {
            assert_eq!(read, entry(read.connection), "the model's assertion: a whole entry");
            assert!(read.connection >= latest, "the model's assertion: no older entry");
            latest = read.connection;
        }
    }
    writer.join().unwrap();
    assert_eq!(PeerSlot::new(&slot).read(), Some(entry(2)), "the model's assertion: the last entry");
}

#[test]
fn a_reader_beside_the_writer_sees_whole_entries() {
    check(5, || read_beside_a_writer(AtomicU64::new(0)));
}

#[test]
fn broken_boards_are_caught() {
    fails("broken_by_a_relaxed_state", Failure::Assertion);
    fails("broken_without_release_fences", Failure::Assertion);
    fails("broken_without_acquire_fences", Failure::Assertion);
}

#[test]
#[ignore = "must fail; run by `broken_boards_are_caught`"]
fn broken_by_a_relaxed_state() {
    check(3, || read_beside_a_writer(AtomicU64::relaxed(0)));
}

#[test]
#[ignore = "must fail; run by `broken_boards_are_caught`"]
fn broken_without_release_fences() {
    Mutation::ReleaseRemoved.apply();
    check(3, || read_beside_a_writer(AtomicU64::new(0)));
}

#[test]
#[ignore = "must fail; run by `broken_boards_are_caught`"]
fn broken_without_acquire_fences() {
    Mutation::AcquireRemoved.apply();
    check(3, || read_beside_a_writer(AtomicU64::new(0)));
}
