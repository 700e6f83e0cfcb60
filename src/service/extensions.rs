//! Values that go along with a call on the side that answers it.

use std::any::{Any, TypeId, type_name};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

/// Values that go along with a call on the side that answers it, one of each type: for those who work on the same call
/// without knowing each other. The peer sees nothing of them.
#[derive(Default)]
pub struct Extensions(Mutex<FxHashMap<TypeId, Extension>>);

#[derive(Clone)]
struct Extension {
    name: &'static str,
    value: Arc<dyn Any + Send + Sync>,
}

impl Extensions {
    /// Adds a value; the one of the same type that was there before.
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) -> Option<Arc<T>> {
        let extension = Extension { name: type_name::<T>(), value: Arc::new(value) };
        self.lock().insert(TypeId::of::<T>(), extension).and_then(Extension::into)
    }

    /// The value of this type, if there is one.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.lock().get(&TypeId::of::<T>()).cloned().and_then(Extension::into)
    }

    /// Takes the value of this type out, if there is one.
    pub fn remove<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.lock().remove(&TypeId::of::<T>()).and_then(Extension::into)
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<TypeId, Extension>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Extension {
    fn into<T: Send + Sync + 'static>(self) -> Option<Arc<T>> {
        self.value.downcast().ok()
    }
}

/// The types of the values.
impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.lock().values().map(|extension| extension.name)).finish()
    }
}
