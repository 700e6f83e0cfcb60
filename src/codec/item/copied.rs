//! Items whose memory is their encoding: bytes, and floats, which are encoded as they lie in memory, and arrays, tuples
//! and structs of these that have no gaps. They are encoded and decoded by one copy.
//!
//! # Safety
//! Looks at values as bytes and makes values of bytes, of types that a [`Copied`] was found for.
#![allow(unsafe_code)]

use std::marker::PhantomData;

use facet::{Def, Facet, Field, Shape, StructType, Type, UserType};

use crate::codec::{DecodeError, Reader};

/// Says that the memory of every `T` is its encoding, and that any bytes of that length are a `T`.
pub(super) struct Copied<T>(PhantomData<fn(T) -> T>);

impl<T: Facet<'static>> Copied<T> {
    /// Finds out whether it can be said.
    pub(super) fn find() -> Option<Self> {
        // What is encoded is as long as a `T`: there are no gaps, at its end neither.
        (encoded_as_is(T::SHAPE)? == size_of::<T>()).then_some(Self(PhantomData))
    }

    /// The encoding of `item`.
    #[inline]
    pub(super) fn bytes(self, item: &T) -> &[u8] {
        // SAFETY: `self` says that all bytes of `item` are those of numbers, without gaps: they are initialised. Nobody
        // changes them while `item` is borrowed, since the numbers are not in cells. A shape tells the truth about its
        // type, which implementing `Facet` promises.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(item).cast(), size_of::<T>()) }
    }

    /// Reads an item.
    ///
    /// # Errors
    /// [`DecodeError::End`] if there are not as many bytes.
    #[inline]
    pub(super) fn read(self, from: &mut Reader<'_>) -> Result<T, DecodeError> {
        let bytes = from.take(size_of::<T>())?;
        // SAFETY: there are as many bytes as a `T` has, and `self` says that any are one.
        Ok(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
    }
}

impl<T> Clone for Copied<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Copied<T> {}

/// How many bytes a value takes, in memory as on the wire, if they are the same.
fn encoded_as_is(shape: &'static Shape) -> Option<usize> {
    let size = shape.layout.sized_layout().ok()?.size();
    if [u8::SHAPE, i8::SHAPE, f32::SHAPE, f64::SHAPE].iter().any(|as_is| as_is.is_shape(shape)) {
        return Some(size);
    }
    // A type that is encoded as another, or whose values are not just any, has a say in it.
    let has_a_say = shape.proxy.is_some()
        || !shape.format_proxies.is_empty()
        || shape.opaque_adapter.is_some()
        || shape.vtable.has_invariants();
    if has_a_say {
        return None;
    }
    let length = match (shape.def, shape.ty) {
        (Def::Array(array), _) => encoded_as_is(array.t())?.checked_mul(array.n)?,
        (Def::Undefined, Type::User(UserType::Struct(of))) => fields_as_they_are(of)?,
        _ => return None,
    };
    (length == size).then_some(size)
}

/// How many bytes the fields take, if they lie one after another as they are encoded.
fn fields_as_they_are(of: StructType) -> Option<usize> {
    of.fields.iter().try_fold(0, |length, field: &Field| {
        let plain = field.flags.is_empty()
            && field.proxy.is_none()
            && field.format_proxies.is_empty()
            && field.metadata.is_none()
            && field.invariants.is_none()
            && field.skip_serializing_if.is_none();
        let lies_here = plain && field.offset == length;
        lies_here.then(|| encoded_as_is(field.shape())).flatten()?.checked_add(length)
    })
}
