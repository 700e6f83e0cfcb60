//! Frames and what is in them, as their tables have it.
//!
//! ```text
//!  0        4     5      6             8            12         16         24         32
//!  | length | kind| flags| descriptors | connection | sequence | id (u64) | method   |
//! ```

use transom::{Client, Method};

use super::Role;

/// What a frame is.
pub mod kind {
    pub const PAD: u8 = 0;
    pub const HELLO: u8 = 1;
    pub const WELCOME: u8 = 2;
    pub const CONFIRM: u8 = 3;
    pub const REFUSE: u8 = 4;
    pub const BIND: u8 = 5;
    pub const CALL: u8 = 6;
    pub const RESPONSE: u8 = 7;
    pub const FAILURE: u8 = 8;
    pub const CANCEL: u8 = 9;
    pub const GOODBYE: u8 = 10;
    pub const PROTOCOL_ERROR: u8 = 11;
    pub const PING: u8 = 21;
    pub const PONG: u8 = 22;
}

/// The bits of a header's flag byte.
pub mod flags {
    pub const MORE: u8 = 1;
    pub const OPTIONS: u8 = 2;
    pub const DESCRIPTORS: u8 = 8;
}

/// A frame, with any values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// What the header says the length is, where that is not the payload's.
    pub length: Option<u32>,
    pub kind: u8,
    pub flags: u8,
    pub descriptors: u16,
    pub connection: u32,
    pub sequence: u32,
    pub id: u64,
    pub method: u64,
    pub payload: Vec<u8>,
}

impl Frame {
    /// Bytes of a header.
    pub const HEADER: usize = 32;

    pub fn new(kind: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, payload: payload.into(), ..Self::default() }
    }

    /// Header and payload.
    pub fn encode(&self) -> Vec<u8> {
        let of_payload = u32::try_from(self.payload.len()).expect("a frame's length");
        let length = self.length.unwrap_or(of_payload);
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend_from_slice(&[self.kind, self.flags]);
        bytes.extend_from_slice(&self.descriptors.to_le_bytes());
        bytes.extend_from_slice(&self.connection.to_le_bytes());
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        bytes.extend_from_slice(&self.id.to_le_bytes());
        bytes.extend_from_slice(&self.method.to_le_bytes());
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// A header, and how long the payload is that follows.
    pub fn decode(header: &[u8]) -> (Self, usize) {
        let long = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
        let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
        let frame = Self {
            length: None,
            kind: header[4],
            flags: header[5],
            descriptors: u16::from_le_bytes([header[6], header[7]]),
            connection: word(8),
            sequence: word(12),
            id: long(16),
            method: long(24),
            payload: Vec::new(),
        };
        (frame, usize::try_from(word(0)).expect("a length"))
    }

    /// This frame under another ID.
    pub fn with_id(self, id: u64) -> Self {
        Self { id, ..self }
    }

    /// This frame with other flags.
    pub fn with_flags(self, flags: u8) -> Self {
        Self { flags, ..self }
    }
}

/// The payload of a hello or a welcome, with any values.
#[derive(Clone, Debug)]
pub struct Hello {
    pub newest: u16,
    pub least: u16,
    pub role: u8,
    pub payload: u64,
    pub requests: u32,
    pub metadata_entries: u16,
    pub metadata_size: u32,
    pub window: u32,
    pub channels: u32,
    pub connections: u32,
    /// Metadata, encoded.
    pub metadata: Vec<u8>,
}

impl Hello {
    /// What a good peer of this role says.
    pub fn of(role: Role) -> Self {
        Self {
            newest: 1,
            least: u16::from(role == Role::Initiator),
            role: u8::from(role == Role::Acceptor),
            payload: 64 << 20,
            requests: 64,
            metadata_entries: 128,
            metadata_size: 64 << 10,
            window: 64 << 10,
            channels: 256,
            connections: 256,
            metadata: vec![0, 0],
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.newest.to_le_bytes());
        bytes.extend_from_slice(&self.least.to_le_bytes());
        bytes.push(self.role);
        bytes.extend_from_slice(&self.payload.to_le_bytes());
        bytes.extend_from_slice(&self.requests.to_le_bytes());
        bytes.extend_from_slice(&self.metadata_entries.to_le_bytes());
        bytes.extend_from_slice(&self.metadata_size.to_le_bytes());
        bytes.extend_from_slice(&self.window.to_le_bytes());
        bytes.extend_from_slice(&self.channels.to_le_bytes());
        bytes.extend_from_slice(&self.connections.to_le_bytes());
        bytes.extend_from_slice(&self.metadata);
        bytes
    }

    /// As a frame.
    pub fn frame(&self, kind: u8) -> Frame {
        Frame::new(kind, self.encode())
    }
}

/// The method of `C` with this name.
fn method<C: Client>(name: &str) -> &'static Method {
    let operation = C::DESCRIPTOR.methods.iter().find(|operation| operation.method.name == name);
    &operation.unwrap_or_else(|| panic!("no method `{name}`")).method
}

/// Binds the method of `C` with this name.
pub fn bind<C: Client>(name: &str) -> Frame {
    let method = method::<C>(name);
    let mut payload = (method.types)().to_le_bytes().to_vec();
    for name in [method.service, method.name] {
        payload.extend_from_slice(&u16::try_from(name.len()).expect("a short name").to_le_bytes());
        payload.extend_from_slice(name.as_bytes());
    }
    Frame { method: method.id, ..Frame::new(kind::BIND, payload) }
}

/// Calls the method of `C` with this name.
pub fn call<C: Client>(name: &str, id: u64, arguments: impl Into<Vec<u8>>) -> Frame {
    Frame { id, method: method::<C>(name).id, ..Frame::new(kind::CALL, arguments) }
}

/// The options that precede a call's arguments: microseconds left, metadata as it is encoded, and no channels.
pub fn options(left: u64, metadata: &[u8]) -> Vec<u8> {
    let length = u32::try_from(8 + metadata.len() + 2).expect("a short text");
    [&length.to_le_bytes()[..], &left.to_le_bytes()[..], metadata, &[0, 0]].concat()
}
