//! Items of bytes, encoded from where they are and read where they have arrived: as a `Vec<u8>` is, without one.

use crate::codec::{DecodeError, Encode, EncodeError, Handles, Plain, Reader, Sink};

/// How much longer than an item's bytes its encoding may be.
pub(crate) const LENGTH: usize = 10;

/// Bytes that are encoded like a `Vec<u8>`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    /// Finds the bytes in an encoded item.
    ///
    /// # Errors
    /// [`DecodeError`] if it is not one of bytes.
    pub(crate) fn decode(item: &'a [u8]) -> Result<Self, DecodeError> {
        let mut from = Reader::new(item);
        let bytes = Plain::read(&mut from)?;
        from.end()?;
        Ok(Self(bytes))
    }
}

impl Encode for Bytes<'_> {
    fn size(&self) -> Option<usize> {
        Some(self.0.length())
    }

    fn encode<S: Sink>(&self, out: &mut S) -> Result<(), EncodeError> {
        self.0.write(out);
        Ok(())
    }

    /// There are none in bytes.
    fn handles(&self, _handles: &mut Handles) {}
}
