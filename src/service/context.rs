//! What a handler may know about the call it answers.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::scope::Scope;
use super::trace::TraceContext;
use super::{Cancellation, Client, Connection, Extensions, Session};
use crate::link::Peer;
use crate::session::{Binding, Entry, Metadata, MetadataError, Method};

/// The call that a handler answers: `cx: &Context` as a method's first parameter asks for it.
#[derive(Debug)]
pub struct Context {
    called: Called,
    pub(super) request: u64,
    pub(super) metadata: Metadata,
    pub(super) deadline: Option<Instant>,
    pub(super) connection: Connection,
    /// Made when somebody asks for any of it.
    shared: OnceLock<Arc<Shared>>,
    /// Whether this is the handler's own, and its end the handler's.
    own: bool,
}

/// What is called.
#[derive(Clone, Debug)]
pub(super) enum Called {
    /// A method whose types are known here.
    Known(&'static Method),
    /// One that is called raw.
    Bound(Binding),
}

/// What a context has in common with its clones.
#[derive(Debug, Default)]
struct Shared {
    cancellation: Cancellation,
    /// What goes along with the result.
    attached: Mutex<Metadata>,
    extensions: Extensions,
}

/// A clone says the same, and its end means nothing.
impl Clone for Context {
    fn clone(&self) -> Self {
        Self {
            called: self.called.clone(),
            request: self.request,
            metadata: self.metadata.clone(),
            deadline: self.deadline,
            connection: self.connection.clone(),
            shared: Arc::clone(self.shared()).into(),
            own: false,
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if self.own {
            self.shared.get().into_iter().for_each(|shared| shared.cancellation.cancel());
            self.scope().into_iter().for_each(|scope| scope.end());
        }
    }
}

impl Context {
    /// The context of a handler, for itself.
    pub(super) fn new(
        called: Called,
        request: u64,
        metadata: Metadata,
        deadline: Option<Instant>,
        connection: Connection,
        trace: Option<TraceContext>,
    ) -> Self {
        let connection = connection.scoped(Scope::of(deadline, trace));
        Self { called, request, metadata, deadline, connection, shared: OnceLock::new(), own: true }
    }

    /// What calls that are made for this one take over from it, if anything.
    pub(super) fn scope(&self) -> Option<&Arc<Scope>> {
        self.connection.scope()
    }

    fn shared(&self) -> &Arc<Shared> {
        self.shared.get_or_init(Arc::default)
    }

    /// Tells work that the handler starts elsewhere when nobody waits for it any more.
    pub fn cancellation(&self) -> &Cancellation {
        &self.shared().cancellation
    }

    /// Values for others on this side who work on the same call, this context's clones included.
    pub fn extensions(&self) -> &Extensions {
        &self.shared().extensions
    }

    /// Sends an entry along with the result, after those that were attached before. The caller gets them with
    /// [`Call::response`](crate::Call::response); with a failure nothing goes along.
    ///
    /// ```
    /// # use transom::{Context, Entry};
    /// # #[transom::service]
    /// # trait Index { async fn count(&self, cx: &Context, word: &str) -> u64; }
    /// # struct Words;
    /// impl Index for Words {
    ///     async fn count(&self, cx: &Context, word: &str) -> u64 {
    ///         if let Err(full) = cx.attach(Entry::new("generation", 12)) {
    ///             tracing::warn!("{full}");
    ///         }
    ///         word.len() as u64
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// [`MetadataError`] if it would be more than both sides agreed on; nothing is attached.
    pub fn attach(&self, entry: Entry) -> Result<(), MetadataError> {
        let agreed = self.session().negotiated().map(|agreed| agreed.limits).unwrap_or_default();
        let mut attached = self.shared().attached.lock().unwrap_or_else(PoisonError::into_inner);
        attached.push_within(entry, &agreed)
    }

    /// Takes what goes along with the result.
    pub(super) fn take_attached(&self) -> Option<Metadata> {
        let mut attached = self.shared.get()?.attached.lock().unwrap_or_else(PoisonError::into_inner);
        Some(std::mem::take(&mut *attached)).filter(|attached| !attached.is_empty())
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
    pub fn service(&self) -> &str {
        match &self.called {
            Called::Known(method) => method.service,
            Called::Bound(bound) => &bound.service,
        }
    }

    /// The name of the method that was called.
    pub fn method(&self) -> &str {
        match &self.called {
            Called::Known(method) => method.name,
            Called::Bound(bound) => &bound.name,
        }
    }

    /// The connection that the call came over. Calls that the handler makes over it have no more time than is left to its
    /// own caller; once it has ended, a client that it has kept is not bound by that.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The session that the call came over. Calls over its connections have all the time that they are given.
    pub fn session(&self) -> &Session {
        self.connection.session()
    }

    /// A client to call the caller back, with no more time than is left: see [`connection`](Self::connection). For other
    /// sessions there is [`Call::within`](crate::Call::within).
    pub fn client<C: Client>(&self) -> C {
        self.connection.client()
    }
}
