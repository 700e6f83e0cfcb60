//! What is left of a link when its session has ended, and what must not be left.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Frame, Full, Header, LinkError, Note, Receive, Sleep, Transmit};

/// A link that is no more: nothing comes, and nothing goes.
pub(crate) struct Ended;

impl Transmit for Ended {
    fn max_payload(&self) -> usize {
        0
    }

    fn reserve(&mut self, _length: usize) -> Result<&mut [u8], Full> {
        Err(Full)
    }

    fn commit(&mut self, _header: &Header) {}

    fn publish(&mut self) -> bool {
        false
    }
}

impl Receive for Ended {
    fn next(&mut self, _frame: &mut Frame) -> Result<bool, LinkError> {
        Ok(false)
    }

    fn most_unread(&self) -> u64 {
        0
    }

    fn release(&mut self) {}

    fn awake(&mut self) {}

    fn announce(&mut self, _sleep: Sleep<'_>) -> Result<Option<Note>, LinkError> {
        // There is nothing to sleep for.
        Ok(None)
    }
}

/// What a link has until it ends: whoever uses it at that moment has it for as long as it takes.
pub(super) struct UntilEnd<T>(Mutex<Option<Arc<T>>>);

impl<T> UntilEnd<T> {
    pub(super) fn new(held: Arc<T>) -> Self {
        Self(Mutex::new(Some(held)))
    }

    /// What it is, before the end.
    pub(super) fn get(&self) -> Option<Arc<T>> {
        self.lock().clone()
    }

    /// This is the end.
    pub(super) fn end(&self) {
        // Dropped when the lock is no longer held.
        let _held = self.lock().take();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
