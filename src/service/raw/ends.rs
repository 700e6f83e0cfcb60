//! The ends of channels that go along with raw calls.

use std::fmt;
use std::sync::Arc;

use super::Item;
use crate::codec;
use crate::driver::Arrived;
use crate::service::{Connection, Rx, Tx};
use crate::session::Flow;

/// An end to be passed on: the other one of a [`channel`](crate::channel) is kept.
#[derive(Debug)]
pub enum End {
    /// Whom it is passed to sends on it.
    Tx(Tx<Item>),
    /// Whom it is passed to receives from it.
    Rx(Rx<Item>),
}

impl End {
    pub(super) fn end(&self) -> &Arc<codec::Handle> {
        match self {
            Self::Tx(tx) => tx.end(),
            Self::Rx(rx) => rx.end(),
        }
    }
}

impl From<Tx<Item>> for End {
    fn from(tx: Tx<Item>) -> Self {
        Self::Tx(tx)
    }
}

impl From<Rx<Item>> for End {
    fn from(rx: Rx<Item>) -> Self {
        Self::Rx(rx)
    }
}

/// The ends that have come with a call or its result, by their numbers. Those that nobody has taken when this is dropped
/// are given up.
#[derive(Default)]
pub struct Ends(Option<(Arrived, Connection)>);

impl Ends {
    pub(in crate::service) fn new(arrived: Option<Arrived>, connection: impl FnOnce() -> Connection) -> Self {
        Self(arrived.map(|mut arrived| {
            // Nobody asks for them.
            arrived.descriptors_mut().close();
            (arrived, connection())
        }))
    }

    /// How many have come.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |(arrived, _)| arrived.count())
    }

    /// Whether none has come.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the end of this number, if there is one and nobody has taken it.
    pub fn take(&mut self, number: usize) -> Option<End> {
        let (arrived, connection) = self.0.as_mut()?;
        let flow = arrived.get(number)?.flow;
        let channel = arrived.take(number, flow)?;
        Some(match flow {
            Flow::Out => End::Tx(Tx::arrived(connection, channel)),
            Flow::In => End::Rx(Rx::arrived(connection, channel)),
        })
    }

    /// Takes the end of this number, if it is one to send on.
    pub fn take_tx(&mut self, number: usize) -> Option<Tx<Item>> {
        let (arrived, connection) = self.0.as_mut()?;
        Some(Tx::arrived(connection, arrived.take(number, Flow::Out)?))
    }

    /// Takes the end of this number, if it is one to receive from.
    pub fn take_rx(&mut self, number: usize) -> Option<Rx<Item>> {
        let (arrived, connection) = self.0.as_mut()?;
        Some(Rx::arrived(connection, arrived.take(number, Flow::In)?))
    }
}

impl fmt::Debug for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ends").field("len", &self.len()).finish()
    }
}
