//! Reading and writing the session's own little-endian encodings, every length checked.

/// The bytes are not what the encoding says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads from bytes that a peer wrote.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// A 16-bit length and that many bytes of UTF-8.
    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = self.u16()?;
        std::str::from_utf8(self.take(usize::from(length))?).map_err(|_| Malformed)
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.0.len()
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// Writes into a place whose size was computed beforehand.
pub(super) struct Writer<'a>(&'a mut [u8]);

impl<'a> Writer<'a> {
    pub(super) fn new(place: &'a mut [u8]) -> Self {
        Self(place)
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        let (taken, rest) = std::mem::take(&mut self.0).split_at_mut(bytes.len());
        taken.copy_from_slice(bytes);
        self.0 = rest;
    }

    /// What is still to be written.
    pub(super) fn rest(self) -> &'a mut [u8] {
        self.0
    }
}

/// A text cut to at most `most` bytes, at a character's boundary.
pub(super) fn shortened(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// A length as its 16-bit prefix; whatever is written was bounded before.
pub(super) fn short(length: usize) -> [u8; 2] {
    debug_assert!(u16::try_from(length).is_ok());
    u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes()
}
