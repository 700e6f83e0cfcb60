//! The connections of a session: the root, and virtual ones that either side opens.
//!
//! ```text
//! Open      settings | text service | metadata        connection: an ID of the opener's parity, higher than all before
//! Accept    settings | metadata
//! Reject    u8 code | text | metadata
//! Close     nothing
//! settings  u32 requests | u32 window | u32 channels
//! ```
//! Whoever sends a `Close` or a `Reject` sends nothing more of that connection. An ID is never used again; what comes for
//! one that is over is late and dropped.

use std::task::{Poll, Waker};

use rustc_hash::FxHashMap;

use super::connection::{Connection, ConnectionEnd, Last, Methods, Stage};
use super::machine::{Farewell, Phase};
use super::wire::{Malformed, Reader, Writer, short, shortened};
use super::{
    CloseReason, ConnectionSettings, Limits, Metadata, OpenRequest, RejectReason, Rejection, Role, Rule,
    Session,
};
use crate::link::{Frame, Header, Kind, Transmit};

/// The most bytes of a service's name.
const TEXT: usize = 512;

/// The connections of a session.
pub(super) struct Connections {
    pub(super) root: Connection,
    others: FxHashMap<u32, Connection>,
    /// The ID of the next connection that this side opens; `None` when there are no more.
    next: Option<u32>,
    /// The highest ID that the peer has opened.
    highest: u32,
}

/// Why this side cannot open a connection now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenRefused {
    /// As many are open as agreed, or there are no more IDs.
    #[error("{limit} connections are open, which is the most")]
    Limit {
        /// The most there may be.
        limit: u32,
    },
    /// The metadata is larger than agreed.
    #[error("the metadata is larger than agreed")]
    Metadata,
    /// The session is over, or is about to be.
    #[error(transparent)]
    Over(#[from] CloseReason),
}

impl Connections {
    pub(super) fn new(role: Role, root: Connection) -> Self {
        Self { root, others: FxHashMap::default(), next: Some(role.first_id() as u32), highest: 0 }
    }

    #[inline]
    pub(super) fn get(&mut self, id: u32) -> Option<&mut Connection> {
        if id == 0 { Some(&mut self.root) } else { self.others.get_mut(&id) }
    }

    pub(super) fn all(&mut self) -> impl Iterator<Item = &mut Connection> {
        std::iter::once(&mut self.root).chain(self.others.values_mut())
    }

    #[cfg(any(fuzzing, test))]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Connection> {
        std::iter::once(&self.root).chain(self.others.values())
    }

    /// The bytes of what is kept on account of the peer.
    #[cfg(any(fuzzing, test))]
    pub(super) fn kept(&self) -> usize {
        self.iter().map(|connection| connection.channels.kept()).sum()
    }

    /// Whether there are no virtual ones, and nothing is kept of any.
    #[cfg(test)]
    pub(super) fn is_root_alone(&self) -> bool {
        self.others.is_empty()
    }

    /// How many are live that were opened by the side with this parity.
    pub(super) fn opened_by(&self, role: Role) -> usize {
        let live = |connection: &&Connection| !matches!(connection.stage, Stage::Over { untold: false, .. });
        let theirs = self.others.values().filter(|connection| role.owns(u64::from(connection.id)));
        theirs.filter(live).count()
    }

    /// How many virtual ones are open.
    pub(super) fn count_open(&self) -> u64 {
        self.others.values().filter(|connection| connection.is_open()).count() as u64
    }

    /// Forgets a connection that nobody has anything to ask of any more.
    pub(super) fn reap(&mut self, id: u32) {
        if self.others.get(&id).is_some_and(Connection::is_spent) {
            self.others.remove(&id);
        }
    }

    /// Forgets all those that nobody has anything to ask of any more.
    pub(super) fn reap_all(&mut self) {
        self.others.retain(|_, connection| !connection.is_spent());
    }
}

impl Session {
    /// A frame of a connection that is not live: late, or of one that never was.
    pub(super) fn stale_connection(&self, id: u32) -> Result<(), Rule> {
        let known = if self.role.owns(u64::from(id)) {
            self.connections.next.is_none_or(|next| id < next)
        } else {
            id <= self.connections.highest
        };
        if known { Ok(()) } else { Err(Rule::Connection) }
    }

    /// Asks the peer for a connection; its ID.
    pub(crate) fn open_connection(
        &mut self,
        service: &str,
        metadata: &Metadata,
        settings: Option<ConnectionSettings>,
        methods: Methods,
        out: &mut dyn Transmit,
    ) -> Result<u32, OpenRefused> {
        let limits = match &self.phase {
            Phase::Open { agreed, farewell: Farewell::None } => agreed.limits,
            Phase::Open { farewell: Farewell::Heard, .. } => return Err(CloseReason::Goodbye.into()),
            Phase::Open { .. } | Phase::Opening(_) => return Err(CloseReason::Local.into()),
            Phase::Over { reason, .. } => return Err(reason.clone().into()),
        };
        if !limits.admit(metadata) {
            return Err(OpenRefused::Metadata);
        }
        let full = OpenRefused::Limit { limit: limits.connections };
        if self.connections.opened_by(self.role) >= limits.connections as usize {
            return Err(full);
        }
        let id = self.connections.next.ok_or(full)?;
        self.connections.next = id.checked_add(2);
        let limits = limits.of_connection(settings);
        let service = shortened(service, TEXT);
        let mut bytes = vec![0; 12 + 2 + service.len() + metadata.encoded_size()];
        let mut to = Writer::new(&mut bytes);
        limits.settings().encode(&mut to);
        to.put(&short(service.len()));
        to.put(service.as_bytes());
        metadata.encode(&mut to);
        self.io.outbox.send(Header { connection: id, ..Header::new(Kind::Open) }, &bytes, out);
        let mut connection = Connection::new(id, Role::Initiator, Stage::Opening, limits, methods);
        connection.held = true;
        self.connections.others.insert(id, connection);
        Ok(id)
    }

    /// Takes a connection that the peer has asked for; false if it is over by now. It is held from here on.
    pub(crate) fn accept_connection(
        &mut self,
        id: u32,
        metadata: &Metadata,
        settings: Option<ConnectionSettings>,
        methods: Methods,
        out: &mut dyn Transmit,
    ) -> bool {
        let Some(connection) = self.connections.others.get_mut(&id) else { return false };
        if !matches!(connection.stage, Stage::Asked) {
            return false;
        }
        connection.limits = connection.limits.of_connection(settings);
        connection.methods = methods;
        connection.stage = Stage::Open;
        connection.held = true;
        let metadata = if connection.limits.admit(metadata) { metadata } else { Metadata::empty() };
        let mut bytes = vec![0; 12 + metadata.encoded_size()];
        let mut to = Writer::new(&mut bytes);
        connection.limits.settings().encode(&mut to);
        metadata.encode(&mut to);
        self.io.outbox.send(Header { connection: id, ..Header::new(Kind::Accept) }, &bytes, out);
        true
    }

    /// Does not take a connection that the peer has asked for.
    pub(crate) fn reject_connection(&mut self, id: u32, rejection: &Rejection, out: &mut dyn Transmit) {
        let Some(connection) = self.connections.others.get_mut(&id) else { return };
        if !matches!(connection.stage, Stage::Asked) {
            return;
        }
        let end = ConnectionEnd::Closed(CloseReason::Local);
        connection.finish(end, Last::Ours, &mut self.io);
        let bytes = rejection.encode(&connection.limits);
        self.say_last(Header { connection: id, ..Header::new(Kind::Reject) }, &bytes, out);
    }

    /// Ends a virtual connection at once.
    pub(crate) fn close_connection(&mut self, id: u32, out: &mut dyn Transmit) {
        let Some(connection) = self.connections.others.get_mut(&id) else { return };
        match connection.stage {
            Stage::Over { .. } => {}
            Stage::Asked => {
                let rejection = Rejection::new(RejectReason::NoAcceptor);
                self.reject_connection(id, &rejection, out);
            }
            Stage::Opening | Stage::Open => {
                connection.finish(ConnectionEnd::Closed(CloseReason::Local), Last::Ours, &mut self.io);
                self.say_last(Header { connection: id, ..Header::new(Kind::Close) }, &[], out);
            }
        }
    }

    /// Sends the last frame of a connection. Until it is in the link, the connection counts as one of those open.
    fn say_last(&mut self, header: Header, bytes: &[u8], out: &mut dyn Transmit) {
        if self.io.outbox.send(header, bytes, out) {
            self.said_last(header.connection);
        }
    }

    /// The last frame of a connection is in the link.
    pub(super) fn said_last(&mut self, id: u32) {
        if let Some(connection) = self.connections.others.get_mut(&id)
            && let Stage::Over { untold, .. } = &mut connection.stage
        {
            *untold = false;
        }
        self.connections.reap(id);
    }

    /// Nobody asks any more what becomes of a connection. If it `closes` and is not over, it is now.
    pub(crate) fn release_connection(&mut self, id: u32, closes: bool, out: &mut dyn Transmit) {
        if closes {
            self.close_connection(id, out);
        }
        if let Some(connection) = self.connections.others.get_mut(&id) {
            connection.held = false;
        }
        self.connections.reap(id);
    }

    /// Ready when the peer has answered whether it takes a connection, with what it said.
    pub(crate) fn poll_connection(
        &mut self,
        id: u32,
        waker: &Waker,
    ) -> Poll<Result<Metadata, ConnectionEnd>> {
        let Some(connection) = self.connections.get(id) else {
            return Poll::Ready(Err(ConnectionEnd::Closed(CloseReason::Local)));
        };
        match &connection.stage {
            Stage::Opening | Stage::Asked => {
                connection.wait(waker);
                Poll::Pending
            }
            Stage::Open => Poll::Ready(Ok(connection.metadata.clone())),
            Stage::Over { end, .. } => Poll::Ready(Err(end.clone())),
        }
    }

    /// Ready when a connection is over.
    pub(crate) fn poll_connection_over(&mut self, id: u32, waker: &Waker) -> Poll<CloseReason> {
        let Some(connection) = self.connections.get(id) else { return Poll::Ready(CloseReason::Local) };
        connection.poll_over(waker).map(|end| match end {
            ConnectionEnd::Closed(reason) => reason,
            ConnectionEnd::Rejected(_) => CloseReason::Goodbye,
        })
    }

    pub(super) fn handle_open_connection(
        &mut self,
        frame: &Frame,
        out: &mut dyn Transmit,
    ) -> Result<(), Rule> {
        let Phase::Open { agreed, farewell } = &self.phase else { return Ok(()) };
        let (limits, parting) = (agreed.limits, *farewell != Farewell::None);
        let (id, peer) = (frame.header.connection, self.role.other());
        if !peer.owns(u64::from(id)) || id <= self.connections.highest {
            return Err(Rule::ConnectionOrder);
        }
        if self.connections.opened_by(peer) >= limits.connections as usize {
            return Err(Rule::ConnectionLimit);
        }
        let mut from = Reader::new(&frame.payload);
        let mut read = || -> Result<_, Malformed> {
            let settings = ConnectionSettings::decode(&mut from)?;
            Ok((settings, from.text()?.to_owned(), Metadata::decode(&mut from)?))
        };
        let (settings, service, metadata) = read().map_err(|_| Rule::ConnectionForm)?;
        from.end().map_err(|_| Rule::ConnectionForm)?;
        limits.check_metadata(&metadata)?;
        self.connections.highest = id;
        let limits = limits.of_connection(Some(settings));
        let none: Methods = Box::new(|_| super::Lookup::Unknown);
        let connection = Connection::new(id, Role::Acceptor, Stage::Asked, limits, none);
        self.connections.others.insert(id, connection);
        let rejected = match (parting, self.io.inbox.unattended) {
            (true, _) => Some(RejectReason::Draining),
            (false, true) => Some(RejectReason::NoAcceptor),
            (false, false) => None,
        };
        if let Some(reason) = rejected {
            self.reject_connection(id, &Rejection::new(reason), out);
            return Ok(());
        }
        self.io.inbox.opens.push(OpenRequest { id, service, metadata, settings });
        self.io.inbox.wake(&mut self.io.wakers);
        Ok(())
    }

    pub(super) fn handle_verdict(&mut self, frame: &Frame) -> Result<(), Rule> {
        let id = frame.header.connection;
        if !self.role.owns(u64::from(id)) {
            return Err(Rule::ConnectionForm);
        }
        let Some(connection) = self.connections.others.get_mut(&id) else { return self.stale_connection(id) };
        if !matches!(connection.stage, Stage::Opening) {
            // Twice, or too late: this side has closed it meanwhile.
            return Ok(());
        }
        let mut from = Reader::new(&frame.payload);
        if frame.header.kind == Kind::Accept {
            let mut read = || -> Result<_, Malformed> {
                Ok((ConnectionSettings::decode(&mut from)?, Metadata::decode(&mut from)?))
            };
            let (settings, metadata) = read().map_err(|_| Rule::ConnectionForm)?;
            connection.limits.check_metadata(&metadata)?;
            connection.limits = connection.limits.of_connection(Some(settings));
            connection.metadata = metadata;
            connection.stage = Stage::Open;
            self.io.wakers.append(&mut connection.waiting);
        } else {
            let rejection = Rejection::decode(&mut from).map_err(|_| Rule::ConnectionForm)?;
            connection.limits.check_metadata(&rejection.metadata)?;
            connection.finish(ConnectionEnd::Rejected(rejection), Last::Said, &mut self.io);
        }
        from.end().map_err(|_| Rule::ConnectionForm)?;
        self.connections.reap(id);
        Ok(())
    }

    pub(super) fn handle_close_connection(&mut self, frame: &Frame) -> Result<(), Rule> {
        let id = frame.header.connection;
        if id == 0 {
            return Err(Rule::ConnectionForm);
        }
        let Some(connection) = self.connections.others.get_mut(&id) else { return self.stale_connection(id) };
        connection.finish(ConnectionEnd::Closed(CloseReason::Goodbye), Last::Said, &mut self.io);
        self.connections.reap(id);
        Ok(())
    }
}

impl Limits {
    /// These limits for one connection, with settings that are no larger.
    fn of_connection(self, settings: Option<ConnectionSettings>) -> Self {
        let Some(settings) = settings else { return self };
        Self {
            // Without any nothing could ever be done on it.
            requests: self.requests.min(settings.requests.max(1)),
            window: self.window.min(settings.window.max(1)),
            channels: self.channels.min(settings.channels),
            ..self
        }
    }

    fn settings(&self) -> ConnectionSettings {
        ConnectionSettings { requests: self.requests, window: self.window, channels: self.channels }
    }
}

impl ConnectionSettings {
    fn encode(self, to: &mut Writer<'_>) {
        to.put(&self.requests.to_le_bytes());
        to.put(&self.window.to_le_bytes());
        to.put(&self.channels.to_le_bytes());
    }

    fn decode(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let settings = Self { requests: from.u32()?, window: from.u32()?, channels: from.u32()? };
        // Without requests or window nothing could ever be done on it.
        if settings.requests == 0 || settings.window == 0 { Err(Malformed) } else { Ok(settings) }
    }
}
