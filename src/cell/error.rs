//! Why a cell has no host, or no more.

use std::io;

use crate::endpoint::OpenError;
use crate::link::InheritError;
use crate::session::CloseReason;

/// Why a cell has no host, or no more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CellError {
    /// This process has no host to attach to.
    #[error(transparent)]
    Inherit(#[from] InheritError),
    /// The host cannot be watched.
    #[error("watching the host: {0}")]
    Watch(#[source] io::Error),
    /// The session with the host could not be opened.
    #[error("attaching to the host: {0}")]
    Open(#[source] OpenError),
    /// The host ended without a goodbye. This process is aborted if it does not end within its grace.
    #[error("the host is gone")]
    HostGone,
    /// The session with the host failed.
    #[error("the session with the host ended: {0}")]
    Session(#[source] CloseReason),
}
