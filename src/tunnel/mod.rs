//! Tunnels: byte streams carried over pairs of channels, through calls, proxies and links of any kind.
//!
//! ```text
//!  socket ── pump ── Tunnel ═══ a channel there, one back ═══ Tunnel ── pump ── socket
//!            EOF  ──> closes its channel: End ──────────────────────> shuts down the writer
//! ```
//! A [`Tunnel`] is an end, passed in a call or in a result like the ends of channels that it is made of. What holds for
//! channels holds for tunnels: who does not read stops who writes within a window, and nobody else.
//!
//! ```
//! use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
//! use transom::tunnel::{Tunnel, tunnel_pair};
//!
//! #[transom::service]
//! trait Shell {
//!     /// Sends back what comes.
//!     async fn echo(&self, tunnel: Tunnel);
//! }
//!
//! struct Echo;
//!
//! impl Shell for Echo {
//!     async fn echo(&self, tunnel: Tunnel) {
//!         let (mut input, mut output) = tokio::io::split(tunnel.into_stream());
//!         // The caller sees the end of what comes back, or why there is none.
//!         if tokio::io::copy(&mut input, &mut output).await.is_ok() {
//!             output.shutdown().await.ok();
//!         }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = transom::Server::new("mem:shell", ShellServer::new(Echo)).bind()?;
//! # tokio::spawn(listener.run());
//! let shell: ShellClient = transom::connect("mem:shell").await?;
//! let (near, far) = tunnel_pair();
//! tokio::spawn(async move { shell.echo(far).await });
//!
//! // Whatever is read from and written to one end of the pair comes from and goes to the tunnel.
//! let (mut ours, theirs) = tokio::io::duplex(1024);
//! let pump = tokio::spawn(near.pump(theirs));
//! ours.write_all(b"to the cell and back").await?;
//! ours.shutdown().await?;
//! let mut back = String::new();
//! ours.read_to_string(&mut back).await?;
//! assert_eq!(back, "to the cell and back");
//! assert_eq!(pump.await??.sent, 20);
//! # Ok(())
//! # }
//! ```

mod error;
mod pump;
mod stream;

use facet::Facet;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::service::{Rx, Tx, channel};
pub use error::TunnelError;
pub use pump::{Copied, pump_reader, pump_writer};
pub use stream::TunnelStream;

/// One end of a byte stream that flows both ways: a channel of bytes each way.
///
/// Items are pieces of the stream of any length, also of none. Closing `tx` ends one direction and leaves the other.
#[derive(Debug, Facet)]
pub struct Tunnel {
    /// What is sent here is received at the other end.
    pub tx: Tx<Vec<u8>>,
    /// What was sent at the other end.
    pub rx: Rx<Vec<u8>>,
}

/// The two ends of a tunnel: one to be passed on, in the arguments of a call or in its result, and one to be kept.
pub fn tunnel_pair() -> (Tunnel, Tunnel) {
    let ((there, end), (back, begin)) = (channel(), channel());
    (Tunnel { tx: there, rx: begin }, Tunnel { tx: back, rx: end })
}

impl Tunnel {
    /// Carries what `stream` reads to the other end, and writes to it what comes from there, until both directions have
    /// ended. A direction that ends leaves the other: at the end of what is read its channel is closed, at the end of
    /// what comes the stream is shut down for writing.
    ///
    /// # Errors
    /// [`TunnelError`] if the stream fails, or either channel does. Then both channels are reset: the other end learns
    /// of it, and neither takes for whole what is not.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it resets both channels.
    pub fn pump<S: AsyncRead + AsyncWrite>(
        self,
        stream: S,
    ) -> impl Future<Output = Result<Copied, TunnelError>> {
        pump::both(self, stream)
    }

    /// This end as a byte stream, for those who read and write one.
    pub fn into_stream(self) -> TunnelStream {
        TunnelStream::new(self)
    }
}
