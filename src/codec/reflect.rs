//! The codec of types without one of their own: facet-postcard.

use facet::Facet;
use facet_format::FormatDeserializer;
use facet_postcard::{SerializeError, Writer};

use super::bounded::Bounded;
use super::elements::check;
use super::{DecodeError, EncodeError, Reader, Sink};

pub(super) fn encode<'f, T: Facet<'f>, S: Sink>(value: &T, out: &mut S) -> Result<(), EncodeError> {
    check(T::SHAPE)?;
    Ok(facet_postcard::to_writer_fallible(value, &mut Into(out))?)
}

pub(super) fn decode<'a, T: Facet<'a>>(from: &mut Reader<'a>) -> Result<T, DecodeError> {
    check(T::SHAPE)?;
    let mut parser = Bounded::new(from.rest());
    let value = FormatDeserializer::new(&mut parser)
        .deserialize()
        .map_err(|error| DecodeError::Shape(Box::new(error)))?;
    from.take(parser.read())?;
    Ok(value)
}

/// A sink as facet-postcard wants it.
struct Into<'s, S>(&'s mut S);

impl<S: Sink> Writer for Into<'_, S> {
    fn write_byte(&mut self, byte: u8) -> Result<(), SerializeError> {
        self.0.put(&[byte]);
        Ok(())
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), SerializeError> {
        self.0.put(bytes);
        Ok(())
    }
}
