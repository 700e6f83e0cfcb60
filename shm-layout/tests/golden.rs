//! Every size and offset of the layout, written out: a change here is a change of the layout version.

use std::mem::offset_of;

use transom_shm_layout::half::{self, HalfConfig, HalfPlan};
use transom_shm_layout::ring::{ALIGN, HEADER, PAD};
use transom_shm_layout::word::{BellLine, ConsumerLine, ProducerLine, RingsLine};

#[test]
fn every_offset_is_where_version_1_has_it() {
    assert_eq!(half::LAYOUT_VERSION, 1);
    assert_eq!(half::MAGIC, *b"TRNSHALF");
    assert_eq!((HEADER, ALIGN, PAD), (32, 8, 0));
    assert_eq!((half::PAGE, half::HEADER_LEN), (4096, 56));
    assert_eq!((half::TAIL, half::HEAD, half::BELL, half::RINGS), (4096, 4224, 4352, 4480));
    assert_eq!((half::BOARD, half::BOARD_SLOT, half::MAX_BOARD_SLOTS), (4608, 32, 112));
    assert_eq!((half::CREDIT, half::CREDIT_CELL), (8192, 8));
    assert_eq!((offset_of!(ProducerLine, tail), offset_of!(ConsumerLine, head)), (0, 0));
    assert_eq!(
        (offset_of!(BellLine, sleep), offset_of!(BellLine, space), offset_of!(BellLine, cpu)),
        (0, 8, 16)
    );
    assert_eq!(offset_of!(RingsLine, rings), 0);
    let plan = HalfPlan::new(HalfConfig::default()).unwrap();
    assert_eq!((plan.ring(), plan.size()), (12_288, 77_824));
    assert_eq!(
        plan.header(),
        *b"TRNSHALF\x01\0\x02\x01\x08\0\0\0\0\x10\0\0\0\x01\0\0\x40\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\x30\0\0\0\0\0\0\0\x30\x01\0\0\0\0\0"
    );
}
