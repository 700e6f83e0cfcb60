//! Items as they are on the wire.

use std::any::Any;

use facet::Facet;

use super::listed::Listed;
use crate::codec::{DecodeError, Reader, Sink};

/// An item of a channel as it is on the wire: its bytes are its encoding, whatever type the other side knows it by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Facet)]
pub struct RawItem(
    /// The encoded item.
    pub Vec<u8>,
);

impl Listed {
    /// That of what is encoded already.
    pub(super) const RAW: Self = Self { size, write, read };
}

fn size(item: &dyn Any) -> usize {
    item.downcast_ref::<RawItem>().map_or(0, |item| item.0.len())
}

fn write(item: &dyn Any, out: &mut dyn Sink) {
    if let Some(RawItem(bytes)) = item.downcast_ref() {
        out.put(bytes);
    }
}

fn read(from: &mut Reader<'_>, into: &mut dyn Any) -> Result<(), DecodeError> {
    if let Some(into) = into.downcast_mut::<Option<RawItem>>() {
        *into = Some(RawItem(from.take_rest().to_vec()));
    }
    Ok(())
}
