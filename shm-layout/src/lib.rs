//! What the bytes of a Transom segment mean, and the lock-free algorithms over them.
//!
//! No system calls, no mapping, no sessions. The algorithms borrow their words; who maps them lends them. The
//! same sources are compiled over loom's atomics by `loom-tests`.
#![no_std]
#[cfg(test)]
extern crate std;

pub mod bell;
pub mod board;
pub mod credit;
pub mod half;
pub mod ring;
pub mod sync;
pub mod word;
