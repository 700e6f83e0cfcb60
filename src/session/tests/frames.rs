//! Frames as a peer sends them.

use std::time::Instant;

use super::{ConnectionSettings, Entry, Flow, Limits, Metadata};
use crate::link::{Buffer, Flags, Frame, Header, Kind};
use crate::session::cells::Cell;
use crate::session::options::{Declaration, Options};
use crate::session::simulated::ECHO;
use crate::session::wire::Writer;

pub(super) fn frame(kind: Kind, id: u64, payload: &[u8]) -> Frame {
    let method = match kind {
        Kind::Call | Kind::Bind => ECHO.id,
        Kind::Item => 1,
        _ => 0,
    };
    let length = u32::try_from(payload.len()).unwrap();
    Frame::new(Header { length, id, method, ..Header::new(kind) }, Buffer::copy_of(payload))
}

pub(super) fn bind() -> Frame {
    frame(Kind::Bind, 0, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
}

pub(super) fn flagged(flags: Flags, mut frame: Frame) -> Frame {
    frame.header.flags = flags;
    frame
}

/// The frame on another connection than the root.
pub(super) fn on(connection: u32, mut frame: Frame) -> Frame {
    frame.header.connection = connection;
    frame
}

/// A channel as a peer declares it.
pub(super) fn declared(id: u64, flow: Flow) -> Declaration {
    Declaration { id, flow, cell: None, window: Limits::default().window }
}

pub(super) fn with_cell(index: u32, declaration: Declaration) -> Declaration {
    Declaration { cell: Some(Cell { index, generation: 0 }), ..declaration }
}

/// What precedes the body of a message.
pub(super) fn options(metadata: &Metadata, channels: &[Declaration]) -> Vec<u8> {
    let options = Options::of(None, metadata, channels, Instant::now).unwrap();
    let mut bytes = vec![0; options.size()];
    options.encode(&mut Writer::new(&mut bytes));
    bytes
}

/// A call whose arguments declare channels.
pub(super) fn declaring(id: u64, channels: &[Declaration]) -> Frame {
    flagged(Flags::OPTIONS, frame(Kind::Call, id, &options(Metadata::empty(), channels)))
}

/// Metadata of this many entries, of `length` bytes each.
pub(super) fn metadata(entries: usize, length: usize) -> Metadata {
    let mut metadata = Metadata::new();
    for _ in 0..entries {
        metadata.push(Entry::new("key", vec![7; length])).unwrap();
    }
    metadata
}

pub(super) fn encoded(metadata: &Metadata) -> Vec<u8> {
    let mut bytes = vec![0; metadata.encoded_size()];
    metadata.encode(&mut Writer::new(&mut bytes));
    bytes
}

/// What asks for a connection.
pub(super) fn opening(settings: ConnectionSettings, metadata: &Metadata) -> Frame {
    let ConnectionSettings { requests, window, channels } = settings;
    let numbers = [requests, window, channels].map(u32::to_le_bytes).concat();
    frame(Kind::Open, 0, &[&numbers[..], &[2, 0], b"it", &encoded(metadata)].concat())
}
