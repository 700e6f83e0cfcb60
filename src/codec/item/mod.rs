//! The items of a channel to bytes and back. `Tx<T>` knows no name for its items when it is compiled, as generated code
//! does, so their codec is found at run time, once for each end: the built-in one of a type that is listed, one copy
//! for a type whose memory is its encoding, reflection for the rest. The bytes are the same, whichever it is.

#[cfg(feature = "tokio")]
mod bytes;
mod copied;
mod listed;
mod raw;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::OnceLock;

use facet::Facet;

#[cfg(feature = "tokio")]
pub(crate) use self::bytes::{Bytes, LENGTH as BYTES_LENGTH};
use self::copied::Copied;
use self::listed::Listed;
pub use self::raw::RawItem;
use super::known::known;
use super::{DecodeError, EncodeError, HandleError, Handles, Reader, Sink, reflect};

/// The codec of items of type `T`, found when the first is encoded or decoded.
pub(crate) struct ItemCodec<T> {
    way: OnceLock<Way<T>>,
}

/// How items become bytes and come back.
enum Way<T> {
    /// By the codec that is built in.
    Listed(&'static Listed),
    /// By a copy of their memory.
    Copied(Copied<T>),
    /// By reflection.
    Reflected,
    /// By reflection, too, and there may be descriptors in them.
    Passing,
    /// Not at all: the type has channel ends.
    Refused,
}

impl<T> ItemCodec<T> {
    /// The codec, to be found.
    pub(crate) const fn new() -> Self {
        Self { way: OnceLock::new() }
    }
}

impl<T: Facet<'static> + 'static> ItemCodec<T> {
    #[inline]
    fn way(&self) -> &Way<T> {
        self.way.get_or_init(Way::find)
    }

    /// How many bytes an item takes, where that is known without encoding it.
    #[inline]
    pub(crate) fn size(&self, item: &T) -> Option<usize> {
        match self.way() {
            Way::Listed(listed) => Some((listed.size)(item)),
            Way::Copied(_) => Some(size_of::<T>()),
            Way::Reflected | Way::Passing | Way::Refused => None,
        }
    }

    /// Whether items may have descriptors in them.
    #[inline]
    pub(crate) fn passes(&self) -> bool {
        matches!(self.way(), Way::Passing)
    }

    /// Collects the descriptors in an item.
    #[inline]
    pub(crate) fn handles(&self, item: &T, into: &mut Handles) {
        if self.passes() {
            reflect::handles(item, into);
        }
    }

    /// Appends an encoded item.
    ///
    /// # Errors
    /// [`EncodeError`] if items of this type have no encoding.
    #[inline]
    pub(crate) fn encode<S: Sink>(&self, item: &T, out: &mut S) -> Result<(), EncodeError> {
        match self.way() {
            Way::Listed(listed) => (listed.write)(item, out),
            Way::Copied(copied) => out.put(copied.bytes(item)),
            Way::Reflected | Way::Passing => reflect::encode(item, out)?,
            Way::Refused => return Err(HandleError::Misplaced.into()),
        }
        Ok(())
    }

    /// Reads an item, which all of the bytes are.
    ///
    /// # Errors
    /// [`DecodeError`] if they are not one.
    #[inline]
    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<T, DecodeError> {
        let mut from = Reader::new(bytes);
        let item = match self.way() {
            Way::Listed(listed) => {
                let mut item = None;
                (listed.read)(&mut from, &mut item)?;
                item.ok_or(DecodeError::Never)?
            }
            Way::Copied(copied) => copied.read(&mut from)?,
            // What an item borrows would not live on.
            Way::Reflected | Way::Passing => reflect::decode_owned(&mut from)?,
            Way::Refused => return Err(HandleError::Misplaced.into()),
        };
        from.end()?;
        Ok(item)
    }
}

impl<T: Facet<'static> + 'static> Way<T> {
    #[cold]
    fn find() -> Self {
        if let Some(listed) = Listed::of::<T>() {
            return Self::Listed(listed);
        }
        if let Some(copied) = Copied::find() {
            return Self::Copied(copied);
        }
        // What else is wrong with the type, reflection says itself.
        match known::<EncodeError>(T::SHAPE) {
            Ok(walk) if walk.leads_to_ends() => Self::Refused,
            Ok(walk) if walk.leads_somewhere() => Self::Passing,
            _ => Self::Reflected,
        }
    }
}

impl<T> fmt::Debug for ItemCodec<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.way.get() {
            None => "ItemCodec",
            Some(Way::Listed(_)) => "ItemCodec(Listed)",
            Some(Way::Copied(_)) => "ItemCodec(Copied)",
            Some(Way::Reflected) => "ItemCodec(Reflected)",
            Some(Way::Passing) => "ItemCodec(Passing)",
            Some(Way::Refused) => "ItemCodec(Refused)",
        })
    }
}
