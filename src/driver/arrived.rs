//! What a peer's message has brought along, and somebody here must take: the ends of the channels that it declares, and
//! descriptors.

use std::sync::Arc;

use super::Calls;
use crate::link::Descriptors;
use crate::session::{Attached, ChannelId, Declared, Flow};

/// The ends of channels that a message has declared, in its order, and the descriptors that came with it. Ends that nobody
/// takes are reset, descriptors closed.
pub(crate) struct Arrived {
    calls: Arc<dyn Calls>,
    connection: u32,
    ends: Vec<Option<Declared>>,
    descriptors: Descriptors,
}

impl Arrived {
    /// What a message on this connection has brought; `None` if that is nothing.
    pub(crate) fn with(calls: &Arc<dyn Calls>, connection: u32, attached: &mut Attached) -> Option<Self> {
        let (channels, descriptors) =
            (std::mem::take(&mut attached.channels), std::mem::take(&mut attached.descriptors));
        if channels.is_empty() && descriptors.is_empty() {
            return None;
        }
        let ends = channels.into_iter().map(Some).collect();
        Some(Self { calls: Arc::clone(calls), connection, ends, descriptors })
    }

    /// How many ends there were.
    pub(crate) fn count(&self) -> usize {
        self.ends.len()
    }

    /// The n-th end, if it is there and nobody has taken it.
    pub(crate) fn get(&self, n: usize) -> Option<Declared> {
        self.ends.get(n).copied().flatten()
    }

    /// Takes the n-th end, if it flows this way and nobody has taken it. It is the taker's to end from here on.
    pub(crate) fn take(&mut self, n: usize, flow: Flow) -> Option<ChannelId> {
        let end = self.ends.get_mut(n)?;
        let declared = end.take_if(|declared| declared.flow == flow)?;
        Some(ChannelId { connection: self.connection, id: declared.id })
    }

    /// The descriptors.
    pub(crate) fn descriptors(&self) -> &Descriptors {
        &self.descriptors
    }

    /// The descriptors, to be taken or closed.
    pub(crate) fn descriptors_mut(&mut self) -> &mut Descriptors {
        &mut self.descriptors
    }
}

impl Drop for Arrived {
    fn drop(&mut self) {
        for declared in self.ends.drain(..).flatten() {
            self.calls.reset(ChannelId { connection: self.connection, id: declared.id });
        }
    }
}
