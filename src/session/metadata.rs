//! Metadata: ordered entries that go along with a call or a handshake.
//!
//! ```text
//! u16 count, then for each entry: u8 flags | u8 type | u16 key length | key | u32 value length | value
//! ```

use std::fmt;

use super::Limits;
use super::wire::{Malformed, Reader, Writer, short};

/// Ordered entries that go along with a call: a key, a value, and what may be done with it.
///
/// A key may occur more than once. The bounds are those of the constants below; what both sides agreed on
/// may be stricter and is checked when the call is made.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    entries: Vec<Entry>,
    size: usize,
}

/// One entry of [`Metadata`].
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    key: String,
    value: Value,
    sensitive: bool,
    no_propagate: bool,
}

/// The value of an entry of [`Metadata`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// A string.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A number.
    U64(u64),
}

/// Why an entry cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// There are as many entries already as there may be.
    #[error("metadata holds at most {limit} entries")]
    Entries {
        /// The most there may be.
        limit: usize,
    },
    /// The key is longer than [`Metadata::MAX_KEY`].
    #[error("metadata key of {length} bytes exceeds {limit}")]
    Key {
        /// Its length.
        length: usize,
        /// The most it may be.
        limit: usize,
    },
    /// The value is longer than [`Metadata::MAX_VALUE`].
    #[error("metadata value of {length} bytes exceeds {limit}")]
    Value {
        /// Its length.
        length: usize,
        /// The most it may be.
        limit: usize,
    },
    /// All entries together would exceed what they may take.
    #[error("metadata of {size} bytes exceeds {limit}")]
    Size {
        /// What they would take, encoded.
        size: usize,
        /// The most they may take.
        limit: usize,
    },
}

const COUNT_BYTES: usize = 2;
const ENTRY_BYTES: usize = 8;
const SENSITIVE: u8 = 1;
const NO_PROPAGATE: u8 = 2;
const TEXT: u8 = 0;
const BYTES: u8 = 1;
const NUMBER: u8 = 2;

/// Metadata without entries.
static EMPTY: Metadata = Metadata::new();

impl Metadata {
    /// The most entries.
    pub const MAX_ENTRIES: usize = 128;
    /// The most bytes of a key.
    pub const MAX_KEY: usize = 256;
    /// The most bytes of a value.
    pub const MAX_VALUE: usize = 16 * 1024;
    /// The most bytes of all entries together, encoded.
    pub const MAX_SIZE: usize = 64 * 1024;

    /// Metadata without entries.
    pub const fn new() -> Self {
        Self { entries: Vec::new(), size: 0 }
    }

    /// Metadata without entries, to refer to.
    pub fn empty() -> &'static Self {
        &EMPTY
    }

    /// Adds an entry at the end.
    ///
    /// # Errors
    /// [`MetadataError`] names the bound it would exceed; nothing is added.
    pub fn push(&mut self, entry: Entry) -> Result<(), MetadataError> {
        self.push_up_to(entry, Self::MAX_ENTRIES, Self::MAX_SIZE)
    }

    /// Like [`push`](Self::push), within what both sides have agreed on, too.
    pub(crate) fn push_within(&mut self, entry: Entry, agreed: &Limits) -> Result<(), MetadataError> {
        let entries = usize::from(agreed.metadata_entries).min(Self::MAX_ENTRIES);
        self.push_up_to(entry, entries, agreed.metadata_length().min(Self::MAX_SIZE))
    }

    fn push_up_to(&mut self, entry: Entry, entries: usize, most: usize) -> Result<(), MetadataError> {
        let (key, value) = (entry.key.len(), entry.value.length());
        if self.entries.len() >= entries {
            return Err(MetadataError::Entries { limit: entries });
        }
        if key > Self::MAX_KEY {
            return Err(MetadataError::Key { length: key, limit: Self::MAX_KEY });
        }
        if value > Self::MAX_VALUE {
            return Err(MetadataError::Value { length: value, limit: Self::MAX_VALUE });
        }
        let size = self.size + ENTRY_BYTES + key + value;
        if COUNT_BYTES + size > most {
            return Err(MetadataError::Size { size: COUNT_BYTES + size, limit: most });
        }
        self.size = size;
        self.entries.push(entry);
        Ok(())
    }

    /// Takes all entries with this key out.
    pub(crate) fn remove(&mut self, key: &str) {
        self.entries.retain(|entry| entry.key != key);
        self.size = self.entries.iter().map(Entry::size).sum();
    }

    /// The value of the first entry with this key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// All entries in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.entries.iter()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries that may be passed on to another peer.
    #[must_use]
    pub fn propagated(&self) -> Self {
        let entries: Vec<_> = self.entries.iter().filter(|entry| !entry.no_propagate).cloned().collect();
        let size = entries.iter().map(Entry::size).sum();
        Self { entries, size }
    }

    /// How many bytes [`encode`](Self::encode) writes.
    pub(crate) fn encoded_size(&self) -> usize {
        COUNT_BYTES + self.size
    }

    pub(super) fn encode(&self, to: &mut Writer<'_>) {
        to.put(&short(self.entries.len()));
        for Entry { key, value, sensitive, no_propagate } in &self.entries {
            let flags = if *sensitive { SENSITIVE } else { 0 } | if *no_propagate { NO_PROPAGATE } else { 0 };
            let (kind, number);
            let bytes = match value {
                Value::Text(text) => (kind = TEXT, text.as_bytes()).1,
                Value::Bytes(bytes) => (kind = BYTES, bytes.as_slice()).1,
                Value::U64(value) => {
                    number = value.to_le_bytes();
                    (kind = NUMBER, number.as_slice()).1
                }
            };
            to.put(&[flags, kind]);
            to.put(&short(key.len()));
            to.put(key.as_bytes());
            to.put(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
            to.put(bytes);
        }
    }

    /// Reads what a peer encoded.
    pub(super) fn decode(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut metadata = Self::new();
        for _ in 0..from.u16()? {
            let (flags, kind) = (from.u8()?, from.u8()?);
            let key = from.text()?;
            let length = usize::try_from(from.u32()?).map_err(|_| Malformed)?;
            let bytes = from.take(length)?;
            let value = match kind {
                TEXT => Value::Text(std::str::from_utf8(bytes).map_err(|_| Malformed)?.to_owned()),
                BYTES => Value::Bytes(bytes.to_vec()),
                NUMBER => Value::U64(u64::from_le_bytes(bytes.try_into().map_err(|_| Malformed)?)),
                _ => return Err(Malformed),
            };
            if flags & !(SENSITIVE | NO_PROPAGATE) != 0 {
                return Err(Malformed);
            }
            let entry = Entry {
                key: key.to_owned(),
                value,
                sensitive: flags & SENSITIVE != 0,
                no_propagate: flags & NO_PROPAGATE != 0,
            };
            metadata.push(entry).map_err(|_| Malformed)?;
        }
        Ok(metadata)
    }
}

impl<'a> IntoIterator for &'a Metadata {
    type Item = &'a Entry;
    type IntoIter = std::slice::Iter<'a, Entry>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.entries).finish()
    }
}

impl Entry {
    /// An entry that may be logged and passed on.
    pub fn new(key: impl Into<String>, value: impl Into<Value>) -> Self {
        Self { key: key.into(), value: value.into(), sensitive: false, no_propagate: false }
    }

    /// Its value is never logged.
    #[must_use]
    pub fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// It is not passed on when the call is forwarded.
    #[must_use]
    pub fn no_propagate(mut self) -> Self {
        self.no_propagate = true;
        self
    }

    /// Its key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its value.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Whether its value must not be logged.
    pub fn is_sensitive(&self) -> bool {
        self.sensitive
    }

    /// Whether it may be passed on when the call is forwarded.
    pub fn is_propagated(&self) -> bool {
        !self.no_propagate
    }

    fn size(&self) -> usize {
        ENTRY_BYTES + self.key.len() + self.value.length()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sensitive {
            write!(f, "{:?}: (sensitive)", self.key)
        } else {
            write!(f, "{:?}: {:?}", self.key, self.value)
        }
    }
}

impl Value {
    fn length(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::U64(_) => 8,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::U64(number)
    }
}
