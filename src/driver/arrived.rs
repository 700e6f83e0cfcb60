//! The ends of channels that a peer's message has declared, and that somebody here must take.

use std::sync::Arc;

use super::Calls;
use crate::session::{ChannelId, Declared, Flow};

/// The ends of channels that a message has declared, in its order. Those that nobody takes are reset.
pub(crate) struct Arrived {
    calls: Arc<dyn Calls>,
    connection: u32,
    ends: Vec<Option<Declared>>,
}

impl Arrived {
    /// The ends that a message on this connection has declared; `None` if there are none.
    pub(crate) fn new(calls: &Arc<dyn Calls>, connection: u32, declared: Vec<Declared>) -> Option<Self> {
        if declared.is_empty() {
            return None;
        }
        let ends = declared.into_iter().map(Some).collect();
        Some(Self { calls: Arc::clone(calls), connection, ends })
    }

    /// How many there were.
    pub(crate) fn count(&self) -> usize {
        self.ends.len()
    }

    /// The n-th, if it is there and nobody has taken it.
    pub(crate) fn get(&self, n: usize) -> Option<Declared> {
        self.ends.get(n).copied().flatten()
    }

    /// Takes the n-th, if it flows this way and nobody has taken it. It is the taker's to end from here on.
    pub(crate) fn take(&mut self, n: usize, flow: Flow) -> Option<ChannelId> {
        let end = self.ends.get_mut(n)?;
        let declared = end.take_if(|declared| declared.flow == flow)?;
        Some(ChannelId { connection: self.connection, id: declared.id })
    }
}

impl Drop for Arrived {
    fn drop(&mut self) {
        for declared in self.ends.drain(..).flatten() {
            self.calls.reset(ChannelId { connection: self.connection, id: declared.id });
        }
    }
}
