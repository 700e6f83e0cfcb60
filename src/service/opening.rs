//! Opening virtual connections.

use std::future::poll_fn;
use std::sync::Arc;

use super::{Client, Connection, Service, Session, dispatcher};
use crate::driver::Dispatch;
use crate::session::{CloseReason, ConnectionEnd, ConnectionSettings, Metadata, OpenRefused, Rejection};

/// Why there is no virtual connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The peer does not take it.
    #[error("the peer does not take the connection: {0}")]
    Rejected(Rejection),
    /// As many are open as both sides agreed on; nothing was asked for.
    #[error("{limit} connections are open, which is the most")]
    TooMany {
        /// The most there may be.
        limit: u32,
    },
    /// The metadata is larger than both sides agreed on; nothing was asked for.
    #[error("the metadata of a connection is larger than agreed")]
    Metadata,
    /// The session has ended, or is about to.
    #[error("disconnected ({0})")]
    Disconnected(CloseReason),
}

impl From<OpenRefused> for ConnectionError {
    fn from(refused: OpenRefused) -> Self {
        match refused {
            OpenRefused::Limit { limit } => Self::TooMany { limit },
            OpenRefused::Metadata => Self::Metadata,
            OpenRefused::Over(reason) => Self::Disconnected(reason),
        }
    }
}

impl From<ConnectionEnd> for ConnectionError {
    fn from(end: ConnectionEnd) -> Self {
        match end {
            ConnectionEnd::Rejected(rejection) => Self::Rejected(rejection),
            ConnectionEnd::Closed(reason) => Self::Disconnected(reason),
        }
    }
}

/// How to open a virtual connection: what [`Session::opening`] makes.
#[must_use = "a connection is not opened before it is told to"]
pub struct OpenConnection<'a> {
    session: &'a Session,
    service: &'a str,
    metadata: Metadata,
    settings: Option<ConnectionSettings>,
    dispatch: Arc<dyn Dispatch>,
}

impl Session {
    /// Opens a virtual connection for one service of the peer, with settings of the session's and nothing else.
    ///
    /// # Errors
    /// [`ConnectionError`].
    ///
    /// # Cancel safety
    /// Dropped before it is done, it closes the connection again.
    pub async fn open<C: Client>(&self) -> Result<C, ConnectionError> {
        Ok(self.opening(C::DESCRIPTOR.name).open().await?.client())
    }

    /// Like [`open`](Self::open), on this thread and without a runtime.
    ///
    /// # Errors
    /// [`ConnectionError`].
    pub fn open_blocking<C: Client>(&self) -> Result<C, ConnectionError> {
        Ok(self.opening(C::DESCRIPTOR.name).open_blocking()?.client())
    }

    /// Says more about a virtual connection that is to be opened for the service of this name. The peer's acceptor decides
    /// by it; what is called on the connection is for the two sides to know.
    pub fn opening<'a>(&'a self, service: &'a str) -> OpenConnection<'a> {
        OpenConnection {
            session: self,
            service,
            metadata: Metadata::new(),
            settings: None,
            dispatch: dispatcher(()),
        }
    }
}

impl OpenConnection<'_> {
    /// Sends `metadata` along.
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Takes no more on it than this. By default the limits of the session hold for it.
    pub fn with_settings(mut self, settings: ConnectionSettings) -> Self {
        self.settings = Some(settings);
        self
    }

    /// Serves `service` to the peer on it.
    pub fn serve(mut self, service: impl Service) -> Self {
        self.dispatch = dispatcher(service);
        self
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`ConnectionError`].
    ///
    /// # Cancel safety
    /// Dropped before it is done, it closes the connection again.
    pub async fn open(self) -> Result<Connection, ConnectionError> {
        let connection = self.ask()?;
        poll_fn(|cx| connection.calls().poll_connection(connection.id(), cx)).await?;
        Ok(connection)
    }

    /// Opens it, on this thread and without a runtime.
    ///
    /// # Errors
    /// [`ConnectionError`].
    pub fn open_blocking(self) -> Result<Connection, ConnectionError> {
        let connection = self.ask()?;
        connection.calls().wait_connection(connection.id())?;
        Ok(connection)
    }

    fn ask(self) -> Result<Connection, ConnectionError> {
        let Self { session, service, metadata, settings, dispatch } = self;
        let id = session.calls().open_connection(service, &metadata, settings, dispatch)?;
        Ok(Connection::held(session.clone(), id, true))
    }
}
