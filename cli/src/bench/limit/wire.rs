//! The bare socket between the two processes: the one that they have anyway, or a TCP connection.

use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::bench::error::BenchError;
use crate::bench::options::Transport;
use crate::bench::peer::{Peer, Starter};

/// A socket that threads write to and read from.
#[derive(Debug)]
pub(super) enum Wire {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// A socket that tasks write to and read from.
pub(super) trait Watched: AsyncRead + AsyncWrite + Unpin + Debug {}

impl<S: AsyncRead + AsyncWrite + Unpin + Debug> Watched for S {}

impl Wire {
    /// What leads to a peer that has called [`accept`](Self::accept).
    pub(super) fn connect(transport: Transport, peer: &Peer) -> Result<Self, BenchError> {
        match transport {
            Transport::Tcp => Self::tcp(TcpStream::connect(&peer.address)?),
            _ => Ok(Self::Unix(peer.control.try_clone()?)),
        }
    }

    /// What leads to the starter, which is told that this process is ready.
    pub(super) fn accept(transport: Transport, starter: Starter) -> Result<Self, BenchError> {
        match transport {
            Transport::Tcp => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
                starter.ready_at(listener.local_addr()?)?;
                Self::tcp(listener.accept()?.0)
            }
            _ => Ok(Self::Unix(starter.ready()?)),
        }
    }

    /// Sends at once, however little it is, like Transom's own.
    fn tcp(socket: TcpStream) -> Result<Self, BenchError> {
        socket.set_nodelay(true)?;
        Ok(Self::Tcp(socket))
    }

    /// The socket in the current runtime's event loop.
    pub(super) fn watched(self) -> Result<Box<dyn Watched>, BenchError> {
        Ok(match self {
            Self::Unix(socket) => {
                socket.set_nonblocking(true)?;
                Box::new(tokio::net::UnixStream::from_std(socket)?)
            }
            Self::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                Box::new(tokio::net::TcpStream::from_std(socket)?)
            }
        })
    }
}

impl Read for Wire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(socket) => socket.read(bytes),
            Self::Tcp(socket) => socket.read(bytes),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(socket) => socket.write(bytes),
            Self::Tcp(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
