//! Numbers that nobody need be able to guess, nor unable to.

use rustix::rand::GetRandomFlags;

/// Any number.
pub(crate) fn number() -> u32 {
    u32::from_ne_bytes(bytes())
}

/// Any bytes.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Without random bytes, or with too few, what was to be told apart is not.
    let _filled = rustix::rand::getrandom(&mut bytes, GetRandomFlags::empty());
    bytes
}
