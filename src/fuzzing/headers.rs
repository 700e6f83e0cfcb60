//! Headers: of a half, and of a frame.

use transom_shm_layout::half::{HEADER_LEN, HalfPlan, PAGE};
use transom_shm_layout::ring::words;

use super::script::Script;
use crate::link::Header;

/// The header of a half: 56 bytes, and the size of the memory that it is said to be in. Gives back whether it is good.
pub fn half_header(data: &[u8]) -> bool {
    let mut script = Script(data);
    let header: [u8; HEADER_LEN] = std::array::from_fn(|_| script.byte());
    let mapped = script.long();
    let Ok(plan) = HalfPlan::verify(&header, mapped) else { return false };
    assert_eq!(plan.header(), header, "there is one header for each plan");
    assert_eq!(HalfPlan::new(plan.config()), Ok(plan));
    assert_eq!(plan.size() as u64, mapped);
    assert_eq!(plan.ring() as u64 + plan.capacity().bytes(), mapped);
    assert!(plan.ring().is_multiple_of(PAGE) && plan.size().is_multiple_of(PAGE));
    true
}

/// The header of a frame: 32 bytes. Gives back whether it is one.
pub fn frame_header(data: &[u8]) -> bool {
    let mut script = Script(data);
    let bytes = std::array::from_fn(|_| script.byte());
    let Ok(header) = Header::decode(words(&bytes)) else { return false };
    assert_eq!(header.encode(), bytes, "there is one encoding for each header");
    true
}
