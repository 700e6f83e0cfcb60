//! Types to bytes and back: the codec seam, and descriptions of types.

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
