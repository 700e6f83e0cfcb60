//! A recycled buffer: the private memory that a frame's payload is copied to.
//!
//! Buffers go back to a small pool of the thread that drops them. A caller that drains for itself, and a
//! driver that polls handlers in place, drop where they took, so that a small call allocates nothing.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// Bytes that return to their thread's pool when dropped.
#[derive(Debug, Default)]
pub(crate) struct Buffer(Vec<u8>);

/// Buffers kept for each thread, and the largest capacity worth keeping: 16 × 16 KiB is the most a thread holds.
const KEPT: usize = 16;
const KEPT_CAPACITY: usize = 16 * 1024;

thread_local! {
    static POOL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

impl Buffer {
    /// An empty buffer, with whatever capacity its last use left it.
    pub(crate) fn new() -> Self {
        // During a thread's end the pool may be gone already; then a fresh vector serves.
        Self(POOL.try_with(|pool| pool.borrow_mut().pop()).ok().flatten().unwrap_or_default())
    }

    /// Makes it empty, and one from the pool if its bytes have been taken.
    #[inline]
    pub(crate) fn renew(&mut self) {
        if self.0.capacity() == 0 {
            *self = Self::new();
        }
        self.0.clear();
    }

    /// A buffer that holds a copy of `bytes`.
    pub(crate) fn copy_of(bytes: &[u8]) -> Self {
        let mut buffer = Self::new();
        buffer.0.extend_from_slice(bytes);
        buffer
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.0.capacity() == 0 || self.0.capacity() > KEPT_CAPACITY {
            return;
        }
        let mut bytes = std::mem::take(&mut self.0);
        // Where the pool is gone the vector is simply freed.
        let _freed = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < KEPT {
                bytes.clear();
                pool.push(bytes);
            }
        });
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;
    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_serves_again_and_comes_back_empty() {
        let mut buffer = Buffer::new();
        buffer.extend_from_slice(&[1; 100]);
        let address = buffer.as_ptr();
        drop(buffer);
        let again = Buffer::new();
        assert!(again.is_empty());
        assert_eq!(again.as_ptr(), address);
    }

    #[test]
    fn the_pool_is_bounded() {
        let many: Vec<Buffer> = (0..100).map(|_| Buffer::from(vec![0; 64])).collect();
        drop(many);
        drop(Buffer::from(vec![0; KEPT_CAPACITY + 1]));
        POOL.with(|pool| {
            let pool = pool.borrow();
            assert_eq!(pool.len(), KEPT);
            assert!(pool.iter().all(|bytes| bytes.capacity() <= KEPT_CAPACITY));
        });
    }
}
