//! The types of items that have a built-in codec, by their identity.

use std::any::{Any, TypeId};
use std::sync::OnceLock;

use rustc_hash::FxHashMap;

use super::RawItem;
use crate::codec::{DecodeError, Plain, Reader, Sink};

/// The built-in codec of a type, whose name is not known where it is used.
pub(super) struct Listed {
    /// How many bytes an item takes.
    pub(super) size: fn(&dyn Any) -> usize,
    /// Appends an encoded item.
    pub(super) write: fn(&dyn Any, &mut dyn Sink),
    /// Reads an item into an empty `Option`.
    pub(super) read: fn(&mut Reader<'_>, &mut dyn Any) -> Result<(), DecodeError>,
}

impl Listed {
    /// That of `T`, if it is listed.
    pub(super) fn of<T: 'static>() -> Option<&'static Self> {
        static LIST: OnceLock<FxHashMap<TypeId, Listed>> = OnceLock::new();
        LIST.get_or_init(list).get(&TypeId::of::<T>())
    }

    const fn new<P: for<'a> Plain<'a> + 'static>() -> Self {
        Self { size: size::<P>, write: write::<P>, read: read::<P> }
    }
}

// What is asked of an entry is asked with values of its own type, by which it was found.

fn size<P: for<'a> Plain<'a> + 'static>(item: &dyn Any) -> usize {
    item.downcast_ref::<P>().map_or(0, P::length)
}

fn write<P: for<'a> Plain<'a> + 'static>(item: &dyn Any, mut out: &mut dyn Sink) {
    if let Some(item) = item.downcast_ref::<P>() {
        item.write(&mut out);
    }
}

fn read<P: for<'a> Plain<'a> + 'static>(
    from: &mut Reader<'_>,
    into: &mut dyn Any,
) -> Result<(), DecodeError> {
    if let Some(into) = into.downcast_mut::<Option<P>>() {
        *into = Some(P::read(from)?);
    }
    Ok(())
}

/// All that are listed: scalars; lists, options, pairs and triples of one of them; what goes by a key; and what is encoded
/// already.
fn list() -> FxHashMap<TypeId, Listed> {
    let mut list = FxHashMap::default();
    macro_rules! add {
        ($($plain:ty),*) => {$(
            list.insert(TypeId::of::<$plain>(), Listed::new::<$plain>());
        )*};
    }
    macro_rules! add_all_of {
        ($($scalar:ty),*) => {$(
            add!($scalar, Vec<$scalar>, Option<$scalar>, ($scalar, $scalar), ($scalar, $scalar, $scalar));
        )*};
    }
    macro_rules! add_keyed_by {
        ($($key:ty),*) => {$(
            add!(($key, bool), ($key, u32), ($key, u64), ($key, i64), ($key, f64), ($key, String), ($key, Vec<u8>));
        )*};
    }
    add_all_of!(bool, u8, i8, u16, i16, u32, i32, u64, i64, usize, isize, u128, i128, f32, f64, String);
    add_keyed_by!(u8, u32, u64, i64, usize, String);
    add!((), Vec<Vec<u8>>, Option<Vec<u8>>);
    list.insert(TypeId::of::<RawItem>(), Listed::RAW);
    list
}
