//! Types whose codec is built in: numbers, strings, bytes, and options, lists and tuples of these.

use super::bytes::{put_varint, put_varint_wide, varint_length, varint_wide_length};
use super::{DecodeError, Reader, Sink};

/// A type whose codec is built in, so that no reflection runs for it. `'a` is how long the bytes live that
/// a decoded value may borrow from.
pub trait Plain<'a>: Sized {
    /// The fewest bytes that a value takes.
    const LEAST: usize;

    /// Values may be the elements of a list. Where they may not, this does not compile: see [`check`](super::elements::check).
    const ELEMENT: () =
        assert!(Self::LEAST > 0, "the elements of this list take no bytes: send how many there are instead");

    /// How many bytes [`write`](Self::write) writes.
    fn length(&self) -> usize;

    /// Writes the value.
    fn write<S: Sink>(&self, out: &mut S);

    /// Reads a value.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are not one.
    fn read(from: &mut Reader<'a>) -> Result<Self, DecodeError>;

    /// How many bytes `items` take, one after another.
    fn run_length(items: &[Self]) -> usize {
        items.iter().map(Self::length).sum()
    }

    /// Writes `items` one after another.
    fn write_run<S: Sink>(items: &[Self], out: &mut S) {
        for item in items {
            item.write(out);
        }
    }

    /// Reads `count` values, a number that [`Reader::count`] has checked.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are not that many values.
    fn read_run(count: usize, from: &mut Reader<'a>) -> Result<Vec<Self>, DecodeError> {
        // A value in memory can be far larger than its bytes: what is reserved ahead is bounded by itself.
        let mut items = Vec::with_capacity(count.min(RESERVED_AHEAD / size_of::<Self>().max(1)));
        for _ in 0..count {
            items.push(Self::read(from)?);
        }
        Ok(items)
    }
}

/// The most bytes reserved for a list before any element was read.
const RESERVED_AHEAD: usize = 64 * 1024;

macro_rules! unsigned {
    ($($number:ty),*) => {$(
        impl Plain<'_> for $number {
            const LEAST: usize = 1;
            #[inline]
            fn length(&self) -> usize {
                varint_length(*self as u64)
            }
            #[inline]
            fn write<S: Sink>(&self, out: &mut S) {
                put_varint(*self as u64, out);
            }
            #[inline]
            fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                from.varint()?.try_into().map_err(|_| DecodeError::Number)
            }
        }
    )*};
}

macro_rules! signed {
    ($($number:ty),*) => {$(
        impl Plain<'_> for $number {
            const LEAST: usize = 1;
            #[inline]
            fn length(&self) -> usize {
                varint_length(zigzag(*self as i64))
            }
            #[inline]
            fn write<S: Sink>(&self, out: &mut S) {
                put_varint(zigzag(*self as i64), out);
            }
            #[inline]
            fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let value = from.varint()?;
                let value = (value >> 1).cast_signed() ^ -((value & 1).cast_signed());
                value.try_into().map_err(|_| DecodeError::Number)
            }
        }
    )*};
}

macro_rules! fixed {
    ($($number:ty),*) => {$(
        impl Plain<'_> for $number {
            const LEAST: usize = size_of::<Self>();
            #[inline]
            fn length(&self) -> usize {
                size_of::<Self>()
            }
            #[inline]
            fn write<S: Sink>(&self, out: &mut S) {
                out.put(&self.to_le_bytes());
            }
            #[inline]
            fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                from.array().map(Self::from_le_bytes)
            }
        }
    )*};
}

unsigned!(u16, u32, u64, usize);
signed!(i16, i32, i64, isize);
fixed!(i8, f32, f64);

/// Small numbers of either sign to small numbers without one: 0, -1, 1, -2, 2, ...
#[inline]
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

impl Plain<'_> for u8 {
    const LEAST: usize = 1;
    #[inline]
    fn length(&self) -> usize {
        1
    }
    #[inline]
    fn write<S: Sink>(&self, out: &mut S) {
        out.put(&[*self]);
    }
    #[inline]
    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        from.byte()
    }
    #[inline]
    fn run_length(items: &[Self]) -> usize {
        items.len()
    }
    #[inline]
    fn write_run<S: Sink>(items: &[Self], out: &mut S) {
        out.put(items);
    }
    #[inline]
    fn read_run(count: usize, from: &mut Reader<'_>) -> Result<Vec<Self>, DecodeError> {
        from.take(count).map(<[Self]>::to_vec)
    }
}

impl Plain<'_> for u128 {
    const LEAST: usize = 1;
    fn length(&self) -> usize {
        varint_wide_length(*self)
    }
    fn write<S: Sink>(&self, out: &mut S) {
        put_varint_wide(*self, out);
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        from.varint_wide()
    }
}

impl Plain<'_> for i128 {
    const LEAST: usize = 1;
    fn length(&self) -> usize {
        varint_wide_length(((self << 1) ^ (self >> 127)).cast_unsigned())
    }
    fn write<S: Sink>(&self, out: &mut S) {
        put_varint_wide(((self << 1) ^ (self >> 127)).cast_unsigned(), out);
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let value = from.varint_wide()?;
        Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }
}

impl Plain<'_> for bool {
    const LEAST: usize = 1;
    #[inline]
    fn length(&self) -> usize {
        1
    }
    #[inline]
    fn write<S: Sink>(&self, out: &mut S) {
        out.put(&[u8::from(*self)]);
    }
    #[inline]
    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        from.flag()
    }
}

impl<'a> Plain<'a> for &'a [u8] {
    const LEAST: usize = 1;
    #[inline]
    fn length(&self) -> usize {
        varint_length(self.len() as u64) + self.len()
    }
    #[inline]
    fn write<S: Sink>(&self, out: &mut S) {
        put_varint(self.len() as u64, out);
        out.put(self);
    }
    #[inline]
    fn read(from: &mut Reader<'a>) -> Result<Self, DecodeError> {
        from.bytes()
    }
}

impl<'a> Plain<'a> for &'a str {
    const LEAST: usize = 1;
    #[inline]
    fn length(&self) -> usize {
        self.as_bytes().length()
    }
    #[inline]
    fn write<S: Sink>(&self, out: &mut S) {
        self.as_bytes().write(out);
    }
    #[inline]
    fn read(from: &mut Reader<'a>) -> Result<Self, DecodeError> {
        from.text()
    }
}

impl Plain<'_> for String {
    const LEAST: usize = 1;
    #[inline]
    fn length(&self) -> usize {
        self.as_bytes().length()
    }
    #[inline]
    fn write<S: Sink>(&self, out: &mut S) {
        self.as_bytes().write(out);
    }
    #[inline]
    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        from.text().map(str::to_owned)
    }
}

impl<'a, T: Plain<'a>> Plain<'a> for Vec<T> {
    const LEAST: usize = 1;
    #[inline]
    fn length(&self) -> usize {
        const { T::ELEMENT }
        varint_length(self.len() as u64) + T::run_length(self)
    }
    #[inline]
    fn write<S: Sink>(&self, out: &mut S) {
        put_varint(self.len() as u64, out);
        T::write_run(self, out);
    }
    #[inline]
    fn read(from: &mut Reader<'a>) -> Result<Self, DecodeError> {
        const { T::ELEMENT }
        let count = from.count(T::LEAST)?;
        T::read_run(count, from)
    }
}

impl<const N: usize> Plain<'_> for [u8; N] {
    const LEAST: usize = N;
    #[inline]
    fn length(&self) -> usize {
        N
    }
    #[inline]
    fn write<S: Sink>(&self, out: &mut S) {
        out.put(self);
    }
    #[inline]
    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        from.array()
    }
}

impl<'a, T: Plain<'a>> Plain<'a> for Option<T> {
    const LEAST: usize = 1;
    #[inline]
    fn length(&self) -> usize {
        1 + self.as_ref().map_or(0, T::length)
    }
    #[inline]
    fn write<S: Sink>(&self, out: &mut S) {
        out.put(&[u8::from(self.is_some())]);
        if let Some(value) = self {
            value.write(out);
        }
    }
    #[inline]
    fn read(from: &mut Reader<'a>) -> Result<Self, DecodeError> {
        from.flag()?.then(|| T::read(from)).transpose()
    }
}

macro_rules! tuple {
    ($($name:ident $index:tt),*) => {
        impl<'a, $($name: Plain<'a>),*> Plain<'a> for ($($name,)*) {
            const LEAST: usize = 0 $(+ $name::LEAST)*;
            #[inline]
            fn length(&self) -> usize {
                0 $(+ self.$index.length())*
            }
            #[inline]
            fn write<S: Sink>(&self, _out: &mut S) {
                $(self.$index.write(_out);)*
            }
            #[inline]
            fn read(_from: &mut Reader<'a>) -> Result<Self, DecodeError> {
                Ok(($($name::read(_from)?,)*))
            }
        }
    };
}

tuple!();
tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
