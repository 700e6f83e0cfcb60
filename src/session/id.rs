//! What calls and channels are known by.

/// A call: its connection, and its ID there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct CallId {
    /// The connection it is made on; 0 is the root.
    pub(crate) connection: u32,
    /// Its ID on that connection.
    pub(crate) id: u64,
}

/// A channel: its connection, and its ID there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ChannelId {
    /// The connection it belongs to; 0 is the root.
    pub(crate) connection: u32,
    /// Its ID on that connection.
    pub(crate) id: u64,
}

/// Which way a channel flows, seen from this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// This side sends.
    Out,
    /// This side receives.
    In,
}

impl Flow {
    /// The same channel's flow, seen from the other side.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Out => Self::In,
            Self::In => Self::Out,
        }
    }
}
