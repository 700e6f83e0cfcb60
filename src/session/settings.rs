//! What a session is started with, and what both sides then agree on.

use std::time::{Duration, Instant};

use super::{Keepalive, Limits, Metadata, Methods};
use crate::link::{Peer, Transport};

/// Which side of a session this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It opened the link and says hello. The IDs that it gives are odd.
    Initiator,
    /// It accepted the link. The IDs that it gives are even.
    Acceptor,
}

impl Role {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Acceptor,
            Self::Acceptor => Self::Initiator,
        }
    }

    /// The first ID that this side gives; every next one is two higher.
    pub(super) fn first_id(self) -> u64 {
        match self {
            Self::Initiator => 1,
            Self::Acceptor => 2,
        }
    }

    /// Whether `id` is one that this side gives.
    pub(super) fn owns(self, id: u64) -> bool {
        id != 0 && id % 2 == self.first_id() % 2
    }
}

/// What a session is started with.
pub(crate) struct Settings {
    /// What this side is willing to take.
    pub(crate) limits: Limits,
    /// What this side tells the peer about itself.
    pub(crate) metadata: Metadata,
    /// What carries the frames.
    pub(crate) transport: Transport,
    /// Who is at the other end.
    pub(crate) peer: Peer,
    /// When the handshake must be done.
    pub(crate) open_until: Option<Instant>,
    /// Finds the methods that this side serves on the root connection.
    pub(crate) methods: Methods,
    /// Whether the handshake waits, once the peer has introduced itself, to be told whether to let it in.
    pub(crate) has_policy: bool,
    /// Whether and when to ask a silent peer if it is alive.
    pub(crate) keepalive: Option<Keepalive>,
    /// After how long the session ends if nothing happens on it and nothing is under way.
    pub(crate) idle: Option<Duration>,
    /// The most descriptors of the peer's that wait here to be taken by whoever they are for.
    pub(crate) descriptors: usize,
}

/// What both sides of a session agreed on in its handshake.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Negotiated {
    /// The version of the session protocol.
    pub version: u16,
    /// Which side this is.
    pub role: Role,
    /// What carries the frames, and why it is not shared memory if it is not.
    pub transport: Transport,
    /// The limits that both sides keep to: of each the stricter.
    pub limits: Limits,
    /// What the peer told about itself.
    pub peer_metadata: Metadata,
}
