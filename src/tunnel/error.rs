//! How tunnels fail.

use std::io;

use crate::service::{RecvError, SendFailure};

/// Why a tunnel did not carry a stream to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TunnelError {
    /// The stream could not be read.
    #[error("reading the stream")]
    Read(#[source] io::Error),
    /// The stream could not be written.
    #[error("writing the stream")]
    Write(#[source] io::Error),
    /// The other end takes no more.
    #[error("the tunnel takes no more")]
    Send(#[source] SendFailure),
    /// The other end was given up before what it sends was complete.
    #[error("the tunnel broke off")]
    Receive(#[source] RecvError),
}

/// As streams fail: broken pipes and reset connections.
impl From<TunnelError> for io::Error {
    fn from(error: TunnelError) -> Self {
        let kind = match &error {
            TunnelError::Read(error) | TunnelError::Write(error) => error.kind(),
            TunnelError::Send(_) => io::ErrorKind::BrokenPipe,
            TunnelError::Receive(RecvError::Reset) => io::ErrorKind::ConnectionReset,
            TunnelError::Receive(RecvError::Undecodable { .. }) => io::ErrorKind::InvalidData,
            TunnelError::Receive(_) => io::ErrorKind::ConnectionAborted,
        };
        Self::new(kind, error)
    }
}
