//! Deciding about connections that the peer wants to open.

use std::fmt;
use std::sync::Arc;

use super::private::{Incoming, Place, Started};
use super::{Connection, Descriptor, Service, Session, dispatcher};
use crate::driver::Opening;
use crate::session::{ConnectionSettings, Metadata, Method, RejectReason, Rejection};

/// Decides about the virtual connections that the peer of a session wants to open: a function that takes each as an
/// [`IncomingConnection`], or a [`Router`].
///
/// ```
/// # use transom::{IncomingConnection, RejectReason, Service};
/// # #[transom::service]
/// # trait Calc { async fn add(&self, a: u64, b: u64) -> u64; }
/// # struct Calculator;
/// # impl Calc for Calculator { async fn add(&self, a: u64, b: u64) -> u64 { a + b } }
/// // On the root connection nothing is served; whoever opens one for `Calc` has a calculator of its own.
/// let service = ().accepting(|incoming: IncomingConnection| match incoming.service() {
///     "Calc" => drop(incoming.serve(CalcServer::new(Calculator))),
///     _ => incoming.reject(RejectReason::UnknownService),
/// });
/// ```
pub trait Acceptor: Send + Sync + 'static {
    /// Decides about a connection, now or later: it can be passed on to a task. Dropped undecided it is not taken.
    ///
    /// This runs where the session is looked after, and must not wait.
    fn decide(&self, incoming: IncomingConnection);
}

impl<F: Fn(IncomingConnection) + Send + Sync + 'static> Acceptor for F {
    fn decide(&self, incoming: IncomingConnection) {
        self(incoming);
    }
}

/// A connection that the peer wants to open. Dropped undecided it is not taken, and a warning is logged.
pub struct IncomingConnection {
    opening: Opening,
    metadata: Metadata,
    settings: Option<ConnectionSettings>,
}

impl IncomingConnection {
    fn new(opening: Opening) -> Self {
        Self { opening, metadata: Metadata::new(), settings: None }
    }

    /// The name of the service that the peer wants to call on it; empty if it did not say.
    pub fn service(&self) -> &str {
        &self.opening.request().service
    }

    /// What the peer says about it.
    pub fn metadata(&self) -> &Metadata {
        &self.opening.request().metadata
    }

    /// What the peer is willing to take on it.
    pub fn settings(&self) -> ConnectionSettings {
        self.opening.request().settings
    }

    /// The session that it is to be opened on: who is at the other end, and what carries the frames.
    pub fn session(&self) -> Session {
        Session::new(Arc::clone(self.opening.calls()))
    }

    /// Sends `metadata` along when it is taken; what is beyond the session's limits is not sent.
    #[must_use = "the connection is not taken yet"]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Takes no more on it than this.
    #[must_use = "the connection is not taken yet"]
    pub fn with_settings(mut self, settings: ConnectionSettings) -> Self {
        self.settings = Some(settings);
        self
    }

    /// Takes it and serves `service` on it. The connection, for calling its opener back, unless it is over by now; it stays
    /// open whoever holds it.
    pub fn serve(self, service: impl Service) -> Option<Connection> {
        let Self { opening, metadata, settings } = self;
        let session = Session::new(Arc::clone(opening.calls()));
        let id = opening.accept(&metadata, settings, dispatcher(service))?;
        Some(Connection::held(session, id, false))
    }

    /// Does not take it.
    pub fn reject(self, reason: RejectReason) {
        self.reject_with(reason.into());
    }

    /// Does not take it, and says more about why.
    pub fn reject_with(self, rejection: Rejection) {
        self.opening.reject(&rejection);
    }
}

impl fmt::Debug for IncomingConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IncomingConnection").field("request", self.opening.request()).finish_non_exhaustive()
    }
}

/// A service together with who decides about further connections: what [`Service::accepting`] makes.
#[derive(Clone, Debug)]
pub struct Accepting<S, A> {
    service: S,
    acceptor: A,
}

impl<S, A> Accepting<S, A> {
    pub(super) fn new(service: S, acceptor: A) -> Self {
        Self { service, acceptor }
    }
}

impl<S: Service, A: Acceptor> Service for Accepting<S, A> {
    fn descriptors(&self) -> Vec<&'static Descriptor> {
        self.service.descriptors()
    }

    fn method(&self, id: u64) -> Option<&'static Method> {
        self.service.method(id)
    }

    fn spawns(&self, id: u64) -> bool {
        self.service.spawns(id)
    }

    fn start(&self, call: Incoming, place: Place<'_>) -> Started {
        self.service.start(call, place)
    }

    fn forwards(&self) -> bool {
        self.service.forwards()
    }

    fn serves(&self) -> bool {
        true
    }

    fn opened(&self, opening: super::private::Opened) {
        self.acceptor.decide(IncomingConnection::new(opening.0));
    }
}

/// Serves connections by the name of the service that they are opened for.
///
/// ```
/// # use transom::{Router, Service};
/// # #[transom::service]
/// # trait Calc { async fn add(&self, a: u64, b: u64) -> u64; }
/// # #[derive(Clone)] struct Calculator;
/// # impl Calc for Calculator { async fn add(&self, a: u64, b: u64) -> u64 { a + b } }
/// let service = ().accepting(Router::new().route(CalcServer::new(Calculator)));
/// ```
#[derive(Default)]
pub struct Router {
    routes: Vec<(String, Route)>,
}

type Route = Box<dyn Fn(IncomingConnection) + Send + Sync>;

impl Router {
    /// No routes: every connection is rejected as one for an unknown service.
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves connections that are opened for a service of `service` with a clone of it.
    #[must_use]
    pub fn route(mut self, service: impl Service + Clone) -> Self {
        let names: Vec<String> =
            service.descriptors().iter().map(|descriptor| descriptor.name.to_owned()).collect();
        for name in names {
            let service = service.clone();
            let serve: Route = Box::new(move |incoming| drop(incoming.serve(service.clone())));
            self.routes.push((name, serve));
        }
        self
    }

    /// Has `acceptor` decide about connections that are opened for `name`.
    #[must_use]
    pub fn route_to(mut self, name: &str, acceptor: impl Acceptor) -> Self {
        self.routes.push((name.to_owned(), Box::new(move |incoming| acceptor.decide(incoming))));
        self
    }
}

impl Acceptor for Router {
    /// The first route of that name decides.
    fn decide(&self, incoming: IncomingConnection) {
        match self.routes.iter().find(|(name, _)| name == incoming.service()) {
            Some((_, route)) => route(incoming),
            None => incoming.reject(RejectReason::UnknownService),
        }
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.routes.iter().map(|(name, _)| name)).finish()
    }
}
