//! The drain role of one side: the right, held by one task or thread at a time, to read the incoming ring.
//!
//! A state word private to the process guards the receiver. Nobody holds the role while asleep.
//!
//! ```text
//!           try_take                 try_take by another
//!   FREE ------------> HELD --------------------------------> HELD|WANTED
//!     ^                  |                                          |
//!     +----- release ----+---------- release (tells: wanted) -------+
//! ```
//!
//! A waiter registers its waker, tries to take the role, and parks only if that failed; the failed try leaves
//! WANTED. The two cannot miss each other: all transitions are read-modify-writes of one word, so either the
//! try came before the release, which then sees WANTED and wakes a registered waiter, or it came after and
//! took the role. Whoever leaves after it may have been woken, without having taken the role, wakes another.
//!
//! # Invariants
//! - R1  `value` is touched only between a `try_take` that gave a [`Held`] and the release of that `Held`.
//!
//! # Edges
//! | edge         | released by     | acquired by      | makes visible          |
//! |--------------|-----------------|------------------|------------------------|
//! | role.release | `Held::release` | `Role::try_take` | the last holder's work |
//!
//! # Safety
//! Hands out `&mut T` from an `UnsafeCell`, as R1 allows.
#![allow(unsafe_code)]

use core::ops::{Deref, DerefMut};

use crate::sync::Ordering::{Acquire, Relaxed, Release};
use crate::sync::{AtomicU32, UnsafeCell};

/// Nobody holds the role.
const FREE: u32 = 0;
/// Somebody holds it.
const HELD: u32 = 1;
/// Somebody else tried to take it meanwhile. Only ever set together with [`HELD`].
const WANTED: u32 = 2;

/// A receiver and the right to use it.
#[derive(Debug)]
pub struct Role<T> {
    state: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: sharing a Role lets other threads take `&mut T` in turn, never at once (R1), which is what moving a
// T between threads allows: hence `T: Send` and no `T: Sync`.
unsafe impl<T: Send> Sync for Role<T> {}

impl<T> Role<T> {
    /// A free role over `value`.
    pub fn new(value: T) -> Self {
        Self { state: AtomicU32::new(FREE), value: UnsafeCell::new(value) }
    }

    /// Takes the role if it is free. If it is not, its holder will learn that it is wanted.
    #[inline]
    pub fn try_take(&self) -> Option<Held<'_, T>> {
        // FREE=>HELD. sync: role.release (acquire) -> Held::release
        if self.state.compare_exchange(FREE, HELD, Acquire, Relaxed).is_ok() {
            return Some(Held { role: self });
        }
        self.want()
    }

    #[cold]
    fn want(&self) -> Option<Held<'_, T>> {
        // HELD=>HELD|WANTED, or, when it was released meanwhile, FREE=>HELD|WANTED: then this thread holds it,
        // and finding it wanted costs one wake-up too many at its release.
        // sync: role.release (acquire) -> Held::release
        let before = self.state.fetch_or(HELD | WANTED, Acquire);
        (before & HELD == 0).then(|| Held { role: self })
    }
}

/// The role, held.
#[derive(Debug)]
#[must_use = "the role is given up when this is dropped, and whoever wanted it must be woken"]
pub struct Held<'a, T> {
    role: &'a Role<T>,
}

/// What giving up the role obliges to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "whoever wanted the role must be woken"]
pub struct Released {
    wanted: bool,
}

impl Released {
    /// Whether somebody tried to take the role meanwhile: wake one who waits.
    #[inline]
    pub fn wanted(self) -> bool {
        self.wanted
    }
}

impl<T> Held<'_, T> {
    /// Gives the role up.
    #[inline]
    pub fn release(self) -> Released {
        let released = self.give_up();
        core::mem::forget(self);
        released
    }

    fn give_up(&self) -> Released {
        // HELD=>FREE, HELD|WANTED=>FREE. sync: role.release (publish) -> Role::try_take
        let before = self.role.state.swap(FREE, Release);
        Released { wanted: before & WANTED != 0 }
    }
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        let value = self.role.value.get();
        // SAFETY: valid and aligned as above; shared at most with other borrows of this `Held` (R1).
        unsafe { &*value }
    }
}

impl<T> DerefMut for Held<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        let value = self.role.value.get();
        // SAFETY: valid and aligned as above; unique because `self` is borrowed mutably (R1).
        unsafe { &mut *value }
    }
}

impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        // Only a panic comes here. The one who wanted the role finds it free at its next try.
        let _whoever_wanted_it_looks_again = self.give_up();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_and_learns_that_another_wants_it() {
        let role = Role::new(5);
        let mut held = role.try_take().unwrap();
        *held += 1;
        assert!(role.try_take().is_none());
        assert!(held.release().wanted());
        let held = role.try_take().unwrap();
        assert_eq!(*held, 6);
        assert!(!held.release().wanted());
    }

    #[test]
    fn a_dropped_hold_is_given_up() {
        let role = Role::new(());
        drop(role.try_take());
        assert!(role.try_take().is_some());
    }
}
