//! Reading and writing postcard's primitives, every length checked.

use super::DecodeError;

/// Where encoded bytes go.
pub trait Sink {
    /// Appends `bytes`.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl<S: Sink + ?Sized> Sink for &mut S {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        (**self).put(bytes);
    }
}

/// A place of known size that is filled from its start. What does not fit is not written.
pub(super) struct Place<'a>(&'a mut [u8]);

impl<'a> Place<'a> {
    pub(super) fn new(place: &'a mut [u8]) -> Self {
        Self(place)
    }

    /// How many bytes are still to be written.
    pub(super) fn left(&self) -> usize {
        self.0.len()
    }
}

impl Sink for Place<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        if let Some((to, rest)) = std::mem::take(&mut self.0).split_at_mut_checked(bytes.len()) {
            to.copy_from_slice(bytes);
            self.0 = rest;
        }
    }
}

/// How many bytes [`put_varint`] writes.
#[inline]
pub(super) fn varint_length(value: u64) -> usize {
    // Seven bits a byte, and one byte for zero: ceil(bits / 7) without a division by 7.
    let bits = 63 - (value | 1).leading_zeros() as usize;
    (bits * 9 + 73) / 64
}

/// Writes an unsigned number, seven bits a byte, lowest first.
#[inline]
pub(super) fn put_varint<S: Sink>(mut value: u64, out: &mut S) {
    let mut bytes = [0; 10];
    let length = varint_length(value);
    for byte in &mut bytes[..length] {
        *byte = value as u8 | 0x80;
        value >>= 7;
    }
    bytes[length - 1] &= 0x7f;
    out.put(&bytes[..length]);
}

/// How many bytes [`put_varint_wide`] writes.
pub(super) fn varint_wide_length(value: u128) -> usize {
    (128 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Writes an unsigned 128-bit number, seven bits a byte, lowest first.
pub(super) fn put_varint_wide<S: Sink>(mut value: u128, out: &mut S) {
    while value >= 0x80 {
        out.put(&[value as u8 | 0x80]);
        value >>= 7;
    }
    out.put(&[value as u8]);
}

/// Encoded bytes that are being read.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// [`DecodeError::Trailing`] if something is.
    #[inline]
    pub fn end(self) -> Result<(), DecodeError> {
        match self.0.len() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing { left }),
        }
    }

    /// Reads all that is left.
    pub(crate) fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    #[inline]
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(DecodeError::End)?;
        self.0 = rest;
        Ok(taken)
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(DecodeError::End)?;
        self.0 = rest;
        Ok(*taken)
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, DecodeError> {
        let (&byte, rest) = self.0.split_first().ok_or(DecodeError::End)?;
        self.0 = rest;
        Ok(byte)
    }

    /// An unsigned number in its shortest form.
    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, DecodeError> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        let mut value = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                // A last byte of zero adds nothing; the tenth byte has room for one bit.
                return if byte == 0 || (shift == 63 && byte > 1) {
                    Err(DecodeError::Number)
                } else {
                    Ok(value)
                };
            }
        }
        Err(DecodeError::Number)
    }

    /// An unsigned 128-bit number in its shortest form.
    pub(super) fn varint_wide(&mut self) -> Result<u128, DecodeError> {
        let mut value = 0;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            value |= u128::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                // A last byte of zero adds nothing; the nineteenth byte has room for two bits.
                return if (byte == 0 && shift > 0) || (shift == 126 && byte > 3) {
                    Err(DecodeError::Number)
                } else {
                    Ok(value)
                };
            }
        }
        Err(DecodeError::Number)
    }

    /// A zero or a one.
    #[inline]
    pub(super) fn flag(&mut self) -> Result<bool, DecodeError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            tag => Err(DecodeError::Tag { tag }),
        }
    }

    /// A length and that many bytes.
    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.varint()?;
        self.take(usize::try_from(length).map_err(|_| DecodeError::End)?)
    }

    /// A length and that many bytes of UTF-8.
    #[inline]
    pub(super) fn text(&mut self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| DecodeError::Utf8)
    }

    /// A number of elements, each of at least `least` bytes, which is not zero; not more than the bytes left can hold.
    pub(super) fn count(&mut self, least: usize) -> Result<usize, DecodeError> {
        let count = self.varint()?;
        let left = self.0.len();
        usize::try_from(count)
            .ok()
            .filter(|&count| count <= left / least)
            .ok_or(DecodeError::Count { count, left })
    }
}
