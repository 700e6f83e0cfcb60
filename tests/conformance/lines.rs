//! Sockets that are connected through a tunnel.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use transom::tunnel::{Copied, Tunnel, TunnelError, pump_writer, tunnel_pair};
use transom::{Options, Rx, Tx};

use crate::scene::{Link, Scene};

/// A socket, a pipe, or what a test makes of one.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

#[transom::service]
pub trait Tunnels {
    /// Has the next of the streams go through the tunnel; what came of it, in words.
    async fn pump(&self, tunnel: Tunnel) -> String;
    /// A tunnel to the next of the streams.
    async fn dial(&self) -> Tunnel;
    /// Sends back what comes.
    async fn echo(&self, tunnel: Tunnel) -> Result<u64, String>;
    /// Pieces of a stream, by their lengths.
    async fn pieces(&self, lengths: Vec<u32>, out: Tx<Vec<u8>>);
    /// How many bytes are received.
    async fn drain(&self, input: Rx<Vec<u8>>) -> Result<u64, String>;
    /// Keeps a tunnel until it is told to go on: how many bytes it then gets, up to so many.
    async fn keep(&self, tunnel: Tunnel);
    async fn take(&self, bytes: u64) -> u64;
    /// Drops a tunnel that is kept.
    async fn forget(&self);
    async fn ping(&self) -> u64;
}

#[derive(Default)]
pub struct Far {
    pub streams: Mutex<VecDeque<Box<dyn Stream>>>,
    kept: Mutex<Option<Tunnel>>,
}

/// The far side, for a server and for the test.
#[derive(Clone, Default)]
pub struct Shared(pub Arc<Far>);

impl Shared {
    /// Has this stream be the next, after those that are there.
    pub async fn put(&self, stream: Box<dyn Stream>) {
        self.0.streams.lock().await.push_back(stream);
    }

    async fn next(&self) -> Box<dyn Stream> {
        self.0.streams.lock().await.pop_front().expect("the test has put one there")
    }
}

/// How a pump has ended, in words.
pub fn outcome(pumped: Result<Copied, TunnelError>) -> String {
    match pumped {
        Ok(Copied { sent, received }) => format!("{sent} sent, {received} received"),
        Err(error) => words(&error),
    }
}

pub fn words(error: &TunnelError) -> String {
    let source = std::error::Error::source(error).expect("each has one");
    format!("{error}: {source}")
}

impl Tunnels for Shared {
    async fn pump(&self, tunnel: Tunnel) -> String {
        outcome(tunnel.pump(self.next().await).await)
    }

    async fn dial(&self) -> Tunnel {
        let (near, far) = tunnel_pair();
        tokio::spawn(near.pump(self.next().await));
        far
    }

    async fn echo(&self, tunnel: Tunnel) -> Result<u64, String> {
        let (mut input, mut output) = tokio::io::split(tunnel.into_stream());
        let copied = tokio::io::copy(&mut input, &mut output).await.map_err(|error| error.to_string())?;
        output.shutdown().await.map_err(|error| error.to_string())?;
        Ok(copied)
    }

    async fn pieces(&self, lengths: Vec<u32>, out: Tx<Vec<u8>>) {
        let pieces = lengths.into_iter().map(|length| vec![7; length as usize]);
        out.send_all(pieces).await.expect("are received");
    }

    async fn drain(&self, input: Rx<Vec<u8>>) -> Result<u64, String> {
        pump_writer(input, tokio::io::sink()).await.map_err(|error| words(&error))
    }

    async fn keep(&self, tunnel: Tunnel) {
        *self.0.kept.lock().await = Some(tunnel);
    }

    async fn take(&self, bytes: u64) -> u64 {
        let mut kept = self.0.kept.lock().await;
        let tunnel = kept.as_mut().expect("one is kept");
        let mut taken = 0;
        while taken < bytes {
            let Ok(Some(piece)) = tunnel.rx.recv().await else { break };
            taken += piece.len() as u64;
        }
        taken
    }

    async fn forget(&self) {
        *self.0.kept.lock().await = None;
    }

    async fn ping(&self) -> u64 {
        1
    }
}

/// A session whose server has tunnels, and these streams.
pub async fn tunnels(link: Link, options: Options) -> (Scene, TunnelsClient, Shared) {
    let far = Shared::default();
    let scene = Scene::with(link, options, (), TunnelsServer::new(far.clone())).await;
    let client = scene.client.client();
    (scene, client, far)
}

#[derive(Clone, Copy, Debug)]
pub enum Socket {
    Tcp,
    Unix,
}

/// Two ends of a connected socket.
pub async fn sockets(kind: Socket) -> (Box<dyn Stream>, Box<dyn Stream>) {
    match kind {
        Socket::Unix => {
            let (one, other) = UnixStream::pair().expect("sockets");
            (Box::new(one), Box::new(other))
        }
        Socket::Tcp => {
            let (one, other) = tcp().await;
            (Box::new(one), Box::new(other))
        }
    }
}

pub async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (one, other) = tokio::join!(TcpStream::connect(address), listener.accept());
    (one.expect("a connection"), other.expect("a connection").0)
}

/// A socket here and one at the far end, with a tunnel between what they are connected to; how both pumps end.
pub struct Line {
    pub here: Box<dyn Stream>,
    pub there: Box<dyn Stream>,
    pub near: JoinHandle<Result<Copied, TunnelError>>,
    pub far: JoinHandle<String>,
}

impl Line {
    pub async fn new(kind: Socket, client: &TunnelsClient, far: &Shared) -> Self {
        let ((here, near), (there, behind)) = (sockets(kind).await, sockets(kind).await);
        Self::between((here, near), (there, behind), client, far).await
    }

    pub async fn between(
        (here, near): (Box<dyn Stream>, Box<dyn Stream>),
        (there, behind): (Box<dyn Stream>, Box<dyn Stream>),
        client: &TunnelsClient,
        far: &Shared,
    ) -> Self {
        far.put(behind).await;
        let ((tunnel, passed), client) = (tunnel_pair(), client.clone());
        let far =
            tokio::spawn(async move { client.pump(passed).await.unwrap_or_else(|error| error.to_string()) });
        Self { here, there, near: tokio::spawn(tunnel.pump(near)), far }
    }
}

/// Bytes that tell where they are from.
pub fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}
