//! Every size and offset of the layout, written out: a change here is a change of the layout version.

use std::mem::{align_of, offset_of, size_of};

use transom_shm_layout::board::{Activity, Entry, Slot, Writer};
use transom_shm_layout::credit::{Grant, Granter};
use transom_shm_layout::half::{self, HalfConfig, HalfPlan};
use transom_shm_layout::ring::{ALIGN, HEADER, MAX_RING, PAD};
use transom_shm_layout::sync::{AtomicU64, MIN_RING, Ordering::Relaxed};
use transom_shm_layout::word::{BellLine, ConsumerLine, ProducerLine, RingsLine};

#[test]
fn every_offset_is_where_version_1_has_it() {
    assert_eq!(half::LAYOUT_VERSION, 1);
    assert_eq!((half::PAGE, half::HEADER_LEN), (4096, 56));
    assert_eq!((half::TAIL, half::HEAD, half::BELL, half::RINGS), (4096, 4224, 4352, 4480));
    assert_eq!((half::BOARD, half::BOARD_SLOT, half::MAX_BOARD_SLOTS), (4608, 32, 112));
    assert_eq!((half::CREDIT, half::CREDIT_CELL, half::MAX_CREDIT_CELLS), (8192, 8, 65_536));
}

#[test]
fn every_line_has_its_words_where_version_1_has_them() {
    assert_eq!((size_of::<ProducerLine>(), align_of::<ProducerLine>()), (128, 128));
    assert_eq!((size_of::<ConsumerLine>(), align_of::<ConsumerLine>()), (128, 128));
    assert_eq!((size_of::<BellLine>(), align_of::<BellLine>()), (128, 128));
    assert_eq!((size_of::<RingsLine>(), align_of::<RingsLine>()), (128, 128));
    assert_eq!((offset_of!(ProducerLine, tail), offset_of!(ConsumerLine, head)), (0, 0));
    assert_eq!(offset_of!(BellLine, sleep), 0);
    assert_eq!(offset_of!(BellLine, space), 8);
    assert_eq!(offset_of!(BellLine, cpu), 16);
    assert_eq!(offset_of!(RingsLine, rings), 0);
}

#[test]
fn a_frame_is_what_version_1_takes_for_one() {
    assert_eq!((HEADER, ALIGN, PAD), (32, 64, 0));
    assert_eq!((MIN_RING, MAX_RING), (4096, 1 << 30));
}

#[test]
fn every_field_of_the_header_is_where_version_1_has_it() {
    let plan = HalfPlan::new(HalfConfig { ring: 1 << 20, credit_cells: 0x1234, board_slots: 0x56 }).unwrap();
    // 8192 + 0x1234 * 8 = 45,472, up to the next page.
    assert_eq!((plan.ring(), plan.size()), (49_152, 49_152 + (1 << 20)));
    let header = plan.header();
    let field = |at: usize, length: usize| &header[at..at + length];
    assert_eq!(field(0, 8), b"TRNSHALF");
    assert_eq!(field(8, 2), 1_u16.to_le_bytes(), "layout version");
    assert_eq!(field(10, 2), 0x0102_u16.to_le_bytes(), "byte order");
    assert_eq!(field(12, 4), 8_u32.to_le_bytes(), "bytes of a word, and zero");
    assert_eq!(field(16, 4), 4096_u32.to_le_bytes(), "page");
    assert_eq!(field(20, 4), 0x1234_u32.to_le_bytes(), "credit cells");
    assert_eq!(field(24, 4), 0x56_u32.to_le_bytes(), "board slots");
    assert_eq!(field(28, 4), [0; 4], "zero");
    assert_eq!(field(32, 8), (1_u64 << 20).to_le_bytes(), "bytes of the ring");
    assert_eq!(field(40, 8), 49_152_u64.to_le_bytes(), "where the ring begins");
    assert_eq!(field(48, 8), (49_152_u64 + (1 << 20)).to_le_bytes(), "size");
}

#[test]
fn the_default_half_is_what_version_1_makes_of_it() {
    let plan = HalfPlan::new(HalfConfig::default()).unwrap();
    assert_eq!((plan.ring(), plan.size()), (12_288, 77_824));
    assert_eq!(
        plan.header(),
        *b"TRNSHALF\x01\0\x02\x01\x08\0\0\0\0\x10\0\0\0\x01\0\0\x40\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\x30\0\0\0\0\0\0\0\x30\x01\0\0\0\0\0"
    );
    assert_eq!(
        (plan.board_slot(0), plan.board_slot(63), plan.board_slot(64)),
        (Some(4608), Some(6624), None)
    );
    assert_eq!(
        (plan.credit_cell(0), plan.credit_cell(255), plan.credit_cell(256)),
        (Some(8192), Some(10_232), None)
    );
}

#[test]
fn a_slot_of_the_board_has_its_words_where_version_1_has_them() {
    assert_eq!((size_of::<Slot>(), align_of::<Slot>()), (32, 32));
    assert_eq!(offset_of!(Slot, state), 0);
    assert_eq!(offset_of!(Slot, request), 8);
    assert_eq!(offset_of!(Slot, method), 16);
    assert_eq!(offset_of!(Slot, since), 24);
    let [state, request, method, since] = [(); 4].map(|()| AtomicU64::new(0));
    let (slot, mut writer) = (Slot { state, request, method, since }, Writer::new());
    let mut entry =
        Entry { activity: Activity::Calling, connection: 0xC0FF_EE00, request: 1, method: 2, since: 3 };
    writer.show(&slot, &entry);
    let words = || [&slot.state, &slot.request, &slot.method, &slot.since].map(|word| word.load(Relaxed));
    assert_eq!(words(), [0xC0FF_EE00_0000_0005, 1, 2, 3]);
    entry.activity = Activity::Serving;
    writer.show(&slot, &entry);
    assert_eq!(words(), [0xC0FF_EE00_0000_000A, 1, 2, 3]);
    writer.clear(&slot);
    assert_eq!(words()[0], 0);
}

#[test]
fn a_credit_cell_has_the_bits_that_version_1_gives_it() {
    let cell = AtomicU64::new(0);
    let mut granter = Granter::open(&cell, 0xBEEF, 64 * 1024);
    assert_eq!(cell.load(Relaxed), 0xBEEF_0000_0000_0000);
    assert!(!granter.grant(&cell, 0x1234_5678_9ABC));
    assert_eq!(granter.latest(), Grant::from_bits(0xBEEF_1234_5678_9ABC));
    assert_eq!(cell.load(Relaxed), granter.latest().bits());
}
