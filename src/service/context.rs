//! What a handler may know about the call it answers.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::{Cancellation, Client, Connection, Session};
use crate::link::Peer;
use crate::session::{Metadata, Method};

/// The call that a handler answers: `cx: &Context` as a method's first parameter asks for it.
#[derive(Debug)]
pub struct Context {
    pub(super) method: &'static Method,
    pub(super) request: u64,
    pub(super) metadata: Metadata,
    pub(super) deadline: Option<Instant>,
    pub(super) connection: Connection,
    /// Made when somebody asks for it.
    pub(super) cancellation: OnceLock<Cancellation>,
    /// Whether this is the handler's own, and its end the handler's.
    pub(super) own: bool,
}

/// A clone says the same, and its end means nothing.
impl Clone for Context {
    fn clone(&self) -> Self {
        Self {
            method: self.method,
            request: self.request,
            metadata: self.metadata.clone(),
            deadline: self.deadline,
            connection: self.connection.clone(),
            cancellation: self.cancellation().clone().into(),
            own: false,
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if self.own
            && let Some(cancellation) = self.cancellation.get()
        {
            cancellation.cancel();
        }
    }
}

impl Context {
    /// Tells work that the handler starts elsewhere when nobody waits for it any more.
    pub fn cancellation(&self) -> &Cancellation {
        self.cancellation.get_or_init(Cancellation::default)
    }

    /// Who is at the other end, as this side's kernel says.
    pub fn peer(&self) -> Peer {
        self.connection.session().peer()
    }

    /// What the caller sent along.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// When the caller stops waiting.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// How much longer the caller waits; `None` if it set no deadline.
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// The request's ID, unique on its connection for this direction.
    pub fn request_id(&self) -> u64 {
        self.request
    }

    /// The name of the service that was called.
    pub fn service(&self) -> &'static str {
        self.method.service
    }

    /// The name of the method that was called.
    pub fn method(&self) -> &'static str {
        self.method.name
    }

    /// The connection that the call came over.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The session that the call came over.
    pub fn session(&self) -> &Session {
        self.connection.session()
    }

    /// A client to call the caller back.
    pub fn client<C: Client>(&self) -> C {
        self.connection.client()
    }
}
