//! The codec of types without one of their own: facet-postcard.

use facet::Facet;
use facet_format::FormatDeserializer;
use facet_postcard::{DeserializeError, SerializeError, Writer};
use facet_reflect::Peek;

use super::bounded::Bounded;
use super::known::known;
use super::{DecodeError, EncodeError, Handles, Reader, Sink};

/// Collects the handles in a value.
pub(super) fn handles<'f, T: Facet<'f>>(value: &T, into: &mut Handles) {
    // Of a type that is not fit to be encoded no value is ever in a message.
    if let Ok(walk) = known::<EncodeError>(T::SHAPE)
        && walk.leads_somewhere()
    {
        walk.collect(Peek::new(value), into);
    }
}

pub(super) fn encode<'f, T: Facet<'f>, S: Sink>(value: &T, out: &mut S) -> Result<(), EncodeError> {
    known::<EncodeError>(T::SHAPE)?;
    Ok(facet_postcard::to_writer_fallible(value, &mut Into(out))?)
}

pub(super) fn decode<'a, T: Facet<'a>>(from: &mut Reader<'a>) -> Result<T, DecodeError> {
    decode_with(from, |parser| FormatDeserializer::new(parser).deserialize())
}

/// Reads a value that borrows nothing from the bytes.
pub(super) fn decode_owned<T: Facet<'static>>(from: &mut Reader<'_>) -> Result<T, DecodeError> {
    decode_with(from, |parser| FormatDeserializer::new_owned(parser).deserialize())
}

fn decode_with<'a, 'f, T: Facet<'f>>(
    from: &mut Reader<'a>,
    deserialize: impl FnOnce(&mut Bounded<'a>) -> Result<T, DeserializeError>,
) -> Result<T, DecodeError> {
    known::<DecodeError>(T::SHAPE)?;
    let mut parser = Bounded::new(from.rest());
    let value = deserialize(&mut parser).map_err(|error| DecodeError::Shape(Box::new(error)))?;
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
