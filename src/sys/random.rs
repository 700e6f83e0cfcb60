//! Numbers that nobody need be able to guess, nor unable to.

use rustix::rand::GetRandomFlags;

/// Any number.
pub(crate) fn number() -> u32 {
    let mut bytes = [0; 4];
    // Without random bytes, or with too few, what was to be told apart is not.
    let _filled = rustix::rand::getrandom(&mut bytes, GetRandomFlags::empty());
    u32::from_ne_bytes(bytes)
}
