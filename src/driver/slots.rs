//! Recycled pinned places for the futures of handlers.
//!
//! A handler's future is put into a slot, polled once in place, and mostly done; the slot then serves the next
//! call of that method without an allocation. A future that stays pending takes its slot along.

use std::any::{Any, TypeId};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustc_hash::FxHashMap;

/// A handler's future in its pinned place; it answers its request itself.
pub(crate) type Handler = Pin<Box<dyn Place>>;

/// A pinned place for a future of one type, empty or taken.
pub(crate) trait Place: Send {
    /// Moves the future out of `future`, an `Option` of this place's type, into this place; false if of another type.
    fn fill(self: Pin<&mut Self>, future: &mut dyn Any) -> bool;
    /// Polls the future; an empty place is ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;
    /// Drops the future in place.
    fn clear(self: Pin<&mut Self>);
    /// The type of the future, to find an idle place by.
    fn future_type(&self) -> TypeId;
}

impl<F: Future<Output = ()> + Send + 'static> Place for Option<F> {
    fn fill(mut self: Pin<&mut Self>, future: &mut dyn Any) -> bool {
        let Some(future) = future.downcast_mut::<Self>() else { return false };
        self.set(future.take());
        true
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.as_pin_mut().map_or(Poll::Ready(()), |future| future.poll(cx))
    }

    fn clear(mut self: Pin<&mut Self>) {
        self.set(None);
    }

    fn future_type(&self) -> TypeId {
        TypeId::of::<F>()
    }
}

/// The idle places of one driver.
#[derive(Default)]
pub(crate) struct Slots {
    latest: Option<Handler>,
    idle: FxHashMap<TypeId, Vec<Handler>>,
}

/// Idle places kept for each type of future.
const KEPT: usize = 64;

impl Slots {
    /// Puts a future into an idle place of its type, or into a new one.
    pub(crate) fn place<F: Future<Output = ()> + Send + 'static>(&mut self, future: F) -> Handler {
        let mut future = Some(future);
        if let Some(mut handler) = self.latest.take() {
            if handler.as_mut().fill(&mut future) {
                return handler;
            }
            self.keep(handler);
        }
        if let Some(mut handler) = self.idle.get_mut(&TypeId::of::<F>()).and_then(Vec::pop)
            && handler.as_mut().fill(&mut future)
        {
            return handler;
        }
        Box::pin(future)
    }

    /// Takes a place back; a future still in it is dropped.
    pub(crate) fn recycle(&mut self, mut handler: Handler) {
        handler.as_mut().clear();
        if let Some(previous) = self.latest.replace(handler) {
            self.keep(previous);
        }
    }

    fn keep(&mut self, handler: Handler) {
        let idle = self.idle.entry(handler.future_type()).or_default();
        if idle.len() < KEPT {
            idle.push(handler);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::task::Waker;

    fn address(handler: &Handler) -> usize {
        std::ptr::from_ref(&**handler).cast::<()>().addr()
    }

    #[test]
    fn a_place_serves_the_next_future_of_its_type() {
        let counted = Arc::new(());
        let future = |held: Arc<()>| async move { drop(held) };
        let mut slots = Slots::default();
        let mut handler = slots.place(future(Arc::clone(&counted)));
        let first = address(&handler);
        assert!(handler.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        slots.recycle(handler);
        let again = slots.place(future(Arc::clone(&counted)));
        assert_eq!(address(&again), first);
        assert_eq!(Arc::strong_count(&counted), 2);
        slots.recycle(again);
        assert_eq!(
            Arc::strong_count(&counted),
            1,
            "an unfinished future is dropped when its place is recycled"
        );
    }

    #[test]
    fn futures_of_other_types_find_places_of_their_own() {
        let mut slots = Slots::default();
        let one = slots.place(async {});
        slots.recycle(one);
        let mut other = slots.place(std::future::pending());
        assert!(other.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        slots.recycle(other);
        assert_eq!(slots.idle.len(), 1);
    }
}
