//! Types to bytes and back: the codec seam, and descriptions of types.
//!
//! The format is postcard: a struct or tuple is its fields one after another, so the arguments of a call are
//! encoded one by one, each by the codec that [`Pick`] finds for its type when generated code is compiled:
//! [`Plain`] for numbers, strings, bytes and what is made of them, reflection for the rest.
//!
//! Channel ends and descriptors are found in values of any shape, and encoded as numbers ([`handles`]).
//!
//! Whatever bytes come, decoding them costs no more than their number times what the type costs. So nesting is bounded,
//! and the elements of collections take bytes, in every type that is encoded at all.

mod bounded;
mod bytes;
mod describe;
mod elements;
mod handles;
#[cfg(test)]
mod handles_tests;
mod item;
mod known;
mod message;
mod pick;
mod plain;
mod reflect;
#[cfg(test)]
mod tests;
mod walk;

pub use bytes::{Reader, Sink};
pub(crate) use describe::{describe, types_hash};
use elements::Bodiless;
pub use handles::{FileDescriptor, HandleError, Handles, Receiver, Sender};
pub(crate) use handles::{Handle, Kind, Numbered};
pub(crate) use item::ItemCodec;
pub use item::RawItem;
#[cfg(feature = "tokio")]
pub(crate) use item::{BYTES_LENGTH, Bytes};
pub use message::Encode;
pub(crate) use message::Message;
#[cfg(any(fuzzing, test))]
pub(crate) use pick::AsFacet;
pub use pick::{Codec, Pick, PickFacet, PickPlain};
use plain::Plain;

/// A message body whose encoded length is known before it is written, so that it can be written where it will be read.
pub(crate) trait Body {
    /// How many bytes [`write`](Self::write) writes.
    fn length(&self) -> usize;
    /// Writes exactly `length` bytes into `out`, which has that length.
    fn write(&self, out: &mut [u8]);
}

impl Body for [u8] {
    fn length(&self) -> usize {
        self.len()
    }
    fn write(&self, out: &mut [u8]) {
        out.copy_from_slice(self);
    }
}

impl<const N: usize> Body for [u8; N] {
    fn length(&self) -> usize {
        N
    }
    fn write(&self, out: &mut [u8]) {
        out.copy_from_slice(self);
    }
}

impl<T: Body + ?Sized> Body for &T {
    fn length(&self) -> usize {
        (**self).length()
    }
    fn write(&self, out: &mut [u8]) {
        (**self).write(out);
    }
}

/// Why bytes are not the value they should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end inside a value.
    #[error("the bytes end inside a value")]
    End,
    /// A number is longer than it need be, or too large for its type.
    #[error("a number is overlong or too large for its type")]
    Number,
    /// A byte that says which case follows has no such case.
    #[error("tag {tag} where 0 or 1 must be")]
    Tag {
        /// What was read.
        tag: u8,
    },
    /// A string is not UTF-8.
    #[error("a string is not UTF-8")]
    Utf8,
    /// A collection announces more elements than the bytes left can hold.
    #[error("{count} elements announced and {left} bytes left")]
    Count {
        /// The elements announced.
        count: u64,
        /// The bytes left.
        left: usize,
    },
    /// Bytes are left over.
    #[error("{left} bytes too many")]
    Trailing {
        /// How many.
        left: usize,
    },
    /// No value of this type is decoded.
    #[error(transparent)]
    Elements(#[from] Bodiless),
    /// A channel end or a descriptor is where none can be, or none that there is.
    #[error(transparent)]
    Handles(#[from] HandleError),
    /// The bytes do not fit the type's shape.
    #[error(transparent)]
    Shape(Box<facet_postcard::DeserializeError>),
    /// A value of this type cannot exist.
    #[error("this method has no error of its own")]
    Never,
}

/// Why a value cannot be encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// No value of this type is encoded.
    #[error(transparent)]
    Elements(#[from] Bodiless),
    /// A channel end or a descriptor cannot be passed on.
    #[error(transparent)]
    Handles(#[from] HandleError),
    /// The value's shape has no encoding.
    #[error(transparent)]
    Shape(#[from] facet_postcard::SerializeError),
}
