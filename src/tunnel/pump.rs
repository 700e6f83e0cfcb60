//! Carrying a stream: what is read from it to one channel, and what comes from the other channel into it.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Tunnel, TunnelError};
use crate::service::{Rx, Tx};

/// The most bytes of an item: with what it costs beside them it takes 32 KiB of credit, so that the usual window holds
/// two, and one is filled while the other is emptied.
pub(super) const CHUNK: usize = 32 * 1024 - 64;

/// How many bytes a tunnel has carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// From the stream to the other end.
    pub sent: u64,
    /// From the other end to the stream.
    pub received: u64,
}

/// Sends what `reader` reads until it is at its end, and closes the channel; how many bytes that were. An item has 32 KiB
/// at most.
///
/// # Errors
/// [`TunnelError`] if the reader fails, or the receiver takes no more. Then the channel is reset.
///
/// # Cancel safety
/// Dropped before it is ready, it resets the channel.
pub fn pump_reader<R: AsyncRead>(
    reader: R,
    tx: Tx<Vec<u8>>,
) -> impl Future<Output = Result<u64, TunnelError>> {
    // Made here: dropped before it is polled, it resets the channel, too.
    let mut sending = Sending::new(tx);
    async move {
        let mut reader = pin!(reader);
        poll_fn(|cx| sending.poll(reader.as_mut(), cx)).await
    }
}

/// Writes what is received to `writer` until the channel ends, and shuts the writer down; how many bytes that were.
///
/// # Errors
/// [`TunnelError`] if the writer fails, or the sender gives up. Then the channel is reset.
///
/// # Cancel safety
/// Dropped before it is ready, it resets the channel.
pub fn pump_writer<W: AsyncWrite>(
    rx: Rx<Vec<u8>>,
    writer: W,
) -> impl Future<Output = Result<u64, TunnelError>> {
    let mut receiving = Receiving::new(rx);
    async move {
        let mut writer = pin!(writer);
        poll_fn(|cx| receiving.poll(writer.as_mut(), cx)).await
    }
}

/// Carries both directions of `stream`.
pub(super) fn both<S: AsyncRead + AsyncWrite>(
    tunnel: Tunnel,
    stream: S,
) -> impl Future<Output = Result<Copied, TunnelError>> {
    let (mut sending, mut receiving) = (Sending::new(tunnel.tx), Receiving::new(tunnel.rx));
    async move {
        let mut stream = pin!(stream);
        poll_fn(|cx| {
            // Neither waits for the other; a failure of either ends both.
            let sent = sending.poll(stream.as_mut(), cx)?;
            let received = receiving.poll(stream.as_mut(), cx)?;
            Poll::Ready(Ok(Copied { sent: ready!(sent), received: ready!(received) }))
        })
        .await
    }
}

/// From a reader to a channel.
struct Sending {
    /// Until the reader is at its end.
    tx: Option<Tx<Vec<u8>>>,
    chunk: Box<[u8]>,
    /// How many bytes of the chunk have been read and not been sent.
    filled: usize,
    sent: u64,
}

impl Sending {
    fn new(tx: Tx<Vec<u8>>) -> Self {
        Self { tx: Some(tx), chunk: Box::default(), filled: 0, sent: 0 }
    }

    /// Ready, again and again, with how many bytes were sent once the reader is at its end.
    fn poll<R: AsyncRead>(
        &mut self,
        mut reader: Pin<&mut R>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<u64, TunnelError>> {
        while let Some(tx) = &mut self.tx {
            if self.chunk.is_empty() {
                let most = ready!(tx.poll_most(cx)).map_err(TunnelError::Send)?;
                self.chunk = vec![0; most.clamp(1, CHUNK)].into();
            }
            if self.filled > 0 {
                ready!(tx.poll_send_bytes(&self.chunk[..self.filled], cx)).map_err(TunnelError::Send)?;
                self.sent += self.filled as u64;
                self.filled = 0;
            }
            let mut chunk = ReadBuf::new(&mut self.chunk);
            match reader.as_mut().poll_read(cx, &mut chunk) {
                Poll::Ready(read) => read.map_err(TunnelError::Read)?,
                // Who waits for a silent reader learns that nobody wants what it might say.
                Poll::Pending => return tx.poll_closed(cx).map(|failure| Err(TunnelError::Send(failure))),
            }
            self.filled = chunk.filled().len();
            if self.filled == 0 {
                self.tx.take().into_iter().for_each(Tx::close);
                self.chunk = Box::default();
            }
        }
        Poll::Ready(Ok(self.sent))
    }
}

/// The reader is not at its end: what was sent must not be taken for all.
impl Drop for Sending {
    fn drop(&mut self) {
        self.tx.take().into_iter().for_each(Tx::reset);
    }
}

/// From a channel to a writer.
struct Receiving {
    rx: Rx<Vec<u8>>,
    /// How many bytes of the next item have been written.
    at: usize,
    received: u64,
    stage: Stage,
}

/// What is to be done when nothing more has arrived.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Nothing.
    Clean,
    /// The writer is to be flushed.
    Written,
    /// The writer is to be shut down: the channel has ended.
    Ended,
    /// It has been.
    Done,
}

impl Receiving {
    fn new(rx: Rx<Vec<u8>>) -> Self {
        Self { rx, at: 0, received: 0, stage: Stage::Clean }
    }

    /// Ready, again and again, with how many bytes were written once the channel has ended.
    fn poll<W: AsyncWrite>(
        &mut self,
        mut writer: Pin<&mut W>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<u64, TunnelError>> {
        while self.stage < Stage::Ended {
            let bytes = match self.rx.poll_bytes(cx) {
                Poll::Ready(bytes) => bytes.map_err(TunnelError::Receive)?,
                Poll::Pending => {
                    if self.stage == Stage::Written {
                        ready!(writer.as_mut().poll_flush(cx)).map_err(TunnelError::Write)?;
                        self.stage = Stage::Clean;
                    }
                    return Poll::Pending;
                }
            };
            let Some(rest) = bytes.map(|bytes| &bytes[self.at..]) else {
                self.stage = Stage::Ended;
                break;
            };
            if rest.is_empty() {
                self.rx.bytes_done();
                self.at = 0;
                continue;
            }
            match writer.as_mut().poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(TunnelError::Write(io::ErrorKind::WriteZero.into())));
                }
                Poll::Ready(written) => {
                    let written = written.map_err(TunnelError::Write)?;
                    self.at += written;
                    self.received += written as u64;
                    self.stage = Stage::Written;
                }
                // That the sender has given up is not to wait for the writer.
                Poll::Pending => return self.rx.poll_reset(cx).map(|error| Err(TunnelError::Receive(error))),
            }
        }
        if self.stage == Stage::Ended {
            ready!(writer.poll_shutdown(cx)).map_err(TunnelError::Write)?;
            self.stage = Stage::Done;
        }
        Poll::Ready(Ok(self.received))
    }
}
