//! An end of a tunnel as a byte stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::pump::CHUNK;
use super::{Tunnel, TunnelError};
use crate::service::{Rx, Tx};

/// An end of a tunnel that is read and written like a socket.
///
/// Each write is sent at once, as one item or the first of several. Shutting it down ends one direction; dropping it ends
/// that direction, too, and resets the other.
#[derive(Debug)]
pub struct TunnelStream {
    /// Until it is shut down.
    tx: Option<Tx<Vec<u8>>>,
    rx: Rx<Vec<u8>>,
    /// How many bytes of the next item have been read.
    at: usize,
}

impl TunnelStream {
    pub(super) fn new(Tunnel { tx, rx }: Tunnel) -> Self {
        Self { tx: Some(tx), rx, at: 0 }
    }
}

impl AsyncRead for TunnelStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { rx, at, .. } = self.get_mut();
        let filled = into.filled().len();
        while into.remaining() > 0 && into.filled().len() == filled {
            let Some(bytes) = ready!(rx.poll_bytes(cx)).map_err(TunnelError::Receive)? else { break };
            let rest = &bytes[*at..];
            let taken = rest.len().min(into.remaining());
            into.put_slice(&rest[..taken]);
            if taken < rest.len() {
                *at += taken;
            } else {
                rx.bytes_done();
                *at = 0;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TunnelStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some(tx) = &mut self.get_mut().tx else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let most = ready!(tx.poll_most(cx)).map_err(TunnelError::Send)?;
        let bytes = &bytes[..bytes.len().min(most).min(CHUNK)];
        if !bytes.is_empty() {
            ready!(tx.poll_send_bytes(bytes, cx)).map_err(TunnelError::Send)?;
        }
        Poll::Ready(Ok(bytes.len()))
    }

    /// Nothing is held back.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().tx.take().into_iter().for_each(Tx::close);
        Poll::Ready(Ok(()))
    }
}
