//! The bytes that fuzzing hands in, as a script: each choice is made by the next of them.

/// Bytes that make one choice after another.
pub(super) struct Script<'d>(pub(super) &'d [u8]);

impl<'d> Script<'d> {
    /// The next byte.
    pub(super) fn next(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    /// The next byte; zero behind the end.
    pub(super) fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    /// The next two bytes.
    pub(super) fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// The next eight bytes.
    pub(super) fn long(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// A small number in one byte, any other behind a byte of ones.
    pub(super) fn number(&mut self) -> u64 {
        match self.byte() {
            u8::MAX => self.long(),
            small => small.into(),
        }
    }

    /// As many bytes, or those that are left.
    pub(super) fn bytes(&mut self, length: usize) -> &'d [u8] {
        let (bytes, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        bytes
    }
}
