//! Which codec a type has, found when generated code is compiled.
//!
//! Generated code knows each type by name, so method resolution can choose: in `(&&Pick::<T>::NEW).pick()`
//! the plain codec is found at the first reference if `T` is [`Plain`], and the reflected one behind it if not.

use std::marker::PhantomData;

use facet::Facet;

use super::{DecodeError, EncodeError, Handles, Plain, Reader, Sink, reflect};

/// The question which codec `T` has.
pub struct Pick<T>(PhantomData<fn() -> T>);

impl<T> Pick<T> {
    /// The question.
    pub const NEW: Self = Self(PhantomData);
}

/// Answers for types whose codec is built in.
pub trait PickPlain {
    /// The codec.
    #[inline]
    fn pick(&self) -> AsPlain {
        AsPlain
    }
}

/// Answers for all others.
pub trait PickFacet {
    /// The codec.
    #[inline]
    fn pick(&self) -> AsFacet {
        AsFacet
    }
}

impl<'a, T: Plain<'a>> PickPlain for &Pick<T> {}
impl<'a, T: Facet<'a>> PickFacet for Pick<T> {}

/// How values of `T` become bytes and come back; a decoded one may borrow from bytes that live for `'a`.
pub trait Codec<'a, T>: Copy {
    /// How many bytes the value takes, where that is known without encoding it.
    fn size(self, value: &T) -> Option<usize>;

    /// Appends the encoded value.
    ///
    /// # Errors
    /// [`EncodeError`] if the value's shape has no encoding.
    fn encode<S: Sink>(self, value: &T, out: &mut S) -> Result<(), EncodeError>;

    /// Reads a value.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are not one.
    fn decode(self, from: &mut Reader<'a>) -> Result<T, DecodeError>;

    /// Collects the channel ends and the descriptors in a value that is to be encoded or was decoded.
    fn handles(self, value: &T, into: &mut Handles);
}

/// The built-in codec of a [`Plain`] type.
#[derive(Clone, Copy, Debug)]
pub struct AsPlain;

impl<'a, T: Plain<'a>> Codec<'a, T> for AsPlain {
    #[inline]
    fn size(self, value: &T) -> Option<usize> {
        Some(value.length())
    }
    #[inline]
    fn encode<S: Sink>(self, value: &T, out: &mut S) -> Result<(), EncodeError> {
        value.write(out);
        Ok(())
    }
    #[inline]
    fn decode(self, from: &mut Reader<'a>) -> Result<T, DecodeError> {
        T::read(from)
    }
    /// There are none in what is plain.
    #[inline]
    fn handles(self, _value: &T, _into: &mut Handles) {}
}

/// The codec of any other type: by reflection.
#[derive(Clone, Copy, Debug)]
pub struct AsFacet;

impl<'a, T: Facet<'a>> Codec<'a, T> for AsFacet {
    fn size(self, _value: &T) -> Option<usize> {
        None
    }
    fn encode<S: Sink>(self, value: &T, out: &mut S) -> Result<(), EncodeError> {
        reflect::encode(value, out)
    }
    fn decode(self, from: &mut Reader<'a>) -> Result<T, DecodeError> {
        reflect::decode(from)
    }
    fn handles(self, value: &T, into: &mut Handles) {
        reflect::handles(value, into);
    }
}
