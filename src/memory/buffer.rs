//! A recycled buffer: the private memory that a frame's payload is copied to.
//!
//! Buffers go back to a small pool of the thread that drops them. A caller that drains for itself, and a
//! driver that polls handlers in place, drop where they took, so that a small call allocates nothing.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// Bytes that return to their thread's pool when dropped.
#[derive(Debug, Default)]
pub(crate) struct Buffer(Vec<u8>);

/// The most that a thread keeps. Large buffers are worth it more than small ones: an allocator that gives the memory of a
/// freed one back to the system has every page of the next one faulted in again.
const KEPT: usize = 256 * 1024;
/// The largest capacity worth keeping.
const LARGEST: usize = KEPT / 2;

/// The buffers that a thread keeps.
struct Pool {
    buffers: Vec<Vec<u8>>,
    /// The sum of their capacities.
    capacity: usize,
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { buffers: Vec::new(), capacity: 0 }) };
}

impl Pool {
    fn take(&mut self) -> Option<Vec<u8>> {
        let bytes = self.buffers.pop()?;
        self.capacity -= bytes.capacity();
        Some(bytes)
    }

    fn keep(&mut self, mut bytes: Vec<u8>) {
        if self.capacity + bytes.capacity() <= KEPT {
            self.capacity += bytes.capacity();
            bytes.clear();
            self.buffers.push(bytes);
        }
    }
}

/// An empty vector, from the pool if there is one.
#[inline]
fn pooled() -> Vec<u8> {
    // During a thread's end the pool may be gone already; then a fresh vector serves.
    POOL.try_with(|pool| pool.borrow_mut().take()).ok().flatten().unwrap_or_default()
}

impl Buffer {
    /// An empty buffer, with whatever capacity its last use left it.
    pub(crate) fn new() -> Self {
        Self(pooled())
    }

    /// Makes it empty, and one from the pool if its bytes have been taken.
    #[inline]
    pub(crate) fn renew(&mut self) {
        if self.0.capacity() == 0 {
            self.0 = pooled();
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
        if self.0.capacity() == 0 || self.0.capacity() > LARGEST {
            return;
        }
        let bytes = std::mem::take(&mut self.0);
        // Where the pool is gone the vector is simply freed.
        let _freed = POOL.try_with(|pool| pool.borrow_mut().keep(bytes));
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
        let many: Vec<Buffer> = (0..100).map(|_| Buffer::from(vec![0; KEPT / 16])).collect();
        drop(many);
        drop(Buffer::from(vec![0; LARGEST + 1]));
        POOL.with(|pool| {
            let pool = pool.borrow();
            assert_eq!((pool.buffers.len(), pool.capacity), (16, KEPT));
        });
        let taken: Vec<Buffer> = (0..17).map(|_| Buffer::new()).collect();
        POOL.with(|pool| assert_eq!(pool.borrow().capacity, 0));
        drop(taken);
        POOL.with(|pool| assert_eq!(pool.borrow().capacity, KEPT));
    }
}
