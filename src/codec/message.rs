//! A value on its way to be a message's body.

use super::bytes::Place;
use super::{Body, EncodeError, Handles, Sink};
use crate::memory::Buffer;

/// Something that can be encoded: the arguments of a call, or its result.
pub trait Encode {
    /// How many bytes it takes, where that is known without encoding it.
    fn size(&self) -> Option<usize>;

    /// Appends the encoded value.
    ///
    /// # Errors
    /// [`EncodeError`] if a shape has no encoding.
    fn encode<S: Sink>(&self, out: &mut S) -> Result<(), EncodeError>;

    /// Collects the channel ends and the descriptors in it.
    fn handles(&self, handles: &mut Handles);
}

/// A body of known length: a value whose size is known before it is encoded, else its encoding.
#[derive(Debug)]
pub(crate) enum Message<T> {
    /// Encoded where it will be read, without a copy in between.
    Value {
        /// What is encoded.
        value: T,
        /// Its size.
        size: usize,
    },
    /// Encoded already.
    Bytes(Buffer),
}

impl<T: Encode> Message<T> {
    /// Encodes what has no size yet.
    ///
    /// # Errors
    /// [`EncodeError`] if a shape has no encoding.
    #[inline]
    pub(crate) fn new(value: T) -> Result<Self, EncodeError> {
        if let Some(size) = value.size() {
            return Ok(Self::Value { value, size });
        }
        let mut bytes = Buffer::new();
        value.encode(&mut *bytes)?;
        Ok(Self::Bytes(bytes))
    }
}

impl<T: Encode> Body for Message<T> {
    #[inline]
    fn length(&self) -> usize {
        match self {
            Self::Value { size, .. } => *size,
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    #[inline]
    fn write(&self, out: &mut [u8]) {
        match self {
            Self::Value { value, .. } => {
                let mut place = Place::new(out);
                // Only reflection can fail to encode, and what needs it has no size beforehand.
                let written = value.encode(&mut place);
                debug_assert!(written.is_ok() && place.left() == 0);
            }
            Self::Bytes(bytes) => out.copy_from_slice(bytes),
        }
    }
}
