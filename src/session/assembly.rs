//! Putting a message together that came in fragments.
//!
//! The first fragment begins with the size of the whole, eight bytes; all but the last carry [`Flags::MORE`].
//! Descriptors come with the first one. At most one message is in assembly; whole frames of other messages may come in between.

use super::Rule;
use crate::link::{Buffer, Descriptors, Flags, Frame, Header, Kind};

/// The message in assembly, if there is one.
#[derive(Debug, Default)]
pub(super) struct Assembly(Option<Parts>);

#[derive(Debug)]
struct Parts {
    header: Header,
    total: usize,
    bytes: Vec<u8>,
    descriptors: Descriptors,
}

/// Bytes that announce the size of a message in fragments.
pub(super) const SIZE: usize = 8;

impl Assembly {
    /// Whether a frame with this header goes on with the message in assembly.
    #[inline]
    pub(super) fn is_continued_by(&self, header: &Header) -> bool {
        self.0.as_ref().is_some_and(|parts| parts.continues(header))
    }

    /// Whether this request is the message in assembly.
    pub(super) fn is_request(&self, connection: u32, id: u64) -> bool {
        self.0.as_ref().is_some_and(|Parts { header, .. }| {
            (header.kind, header.connection, header.id) == (Kind::Call, connection, id)
        })
    }

    /// The bytes of the message in assembly.
    #[cfg(any(fuzzing, test))]
    pub(super) fn kept(&self) -> usize {
        self.0.as_ref().map_or(0, |parts| parts.bytes.len())
    }

    /// Takes a frame in; whether it is whole, or has become the message that it completes.
    #[inline]
    pub(super) fn accept(&mut self, frame: &mut Frame, limit: usize) -> Result<bool, Rule> {
        if self.0.is_none() && !frame.header.flags.contains(Flags::MORE) {
            return Ok(true);
        }
        self.assemble(frame, limit)
    }

    #[cold]
    fn assemble(&mut self, frame: &mut Frame, limit: usize) -> Result<bool, Rule> {
        let more = frame.header.flags.contains(Flags::MORE);
        let flags = frame.header.flags.without(Flags::MORE);
        match &mut self.0 {
            None => {
                let (size, rest) = frame.payload.split_first_chunk::<SIZE>().ok_or(Rule::FragmentSize)?;
                let total = usize::try_from(u64::from_le_bytes(*size)).map_err(|_| Rule::PayloadLimit)?;
                if total > limit {
                    return Err(Rule::PayloadLimit);
                }
                if rest.len() >= total {
                    return Err(Rule::FragmentSize);
                }
                let bytes = rest.to_vec();
                let (header, descriptors) =
                    (Header { flags, ..frame.header }, std::mem::take(&mut frame.descriptors));
                self.0 = Some(Parts { header, total, bytes, descriptors });
                Ok(false)
            }
            Some(parts) if parts.continues(&frame.header) => {
                if flags != parts.header.flags {
                    return Err(Rule::FragmentOrder);
                }
                if !frame.descriptors.is_empty() {
                    return Err(Rule::DescriptorPlace);
                }
                let now = parts.bytes.len() + frame.payload.len();
                if (more && now >= parts.total) || (!more && now != parts.total) || frame.payload.is_empty() {
                    return Err(Rule::FragmentSize);
                }
                parts.bytes.append(&mut frame.payload);
                if !more && let Some(parts) = self.0.take() {
                    let Parts { header, bytes, descriptors, .. } = parts;
                    *frame = Frame { header, payload: Buffer::from(bytes), descriptors };
                }
                Ok(!more)
            }
            Some(_) if more => Err(Rule::FragmentOrder),
            Some(_) => Ok(true),
        }
    }
}

impl Parts {
    fn continues(&self, header: &Header) -> bool {
        (self.header.kind, self.header.connection, self.header.id, self.header.method)
            == (header.kind, header.connection, header.id, header.method)
    }
}
