//! Bytes one way, from the other process to this one, as fast as they are taken: through the bare ring, or a socket.
//!
//! A round is as long as an item at least. Between rounds the other process is told to stop, or stopped by what nobody takes.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;
use transom::__limits::Ring;

use super::Waiting;
use super::turns::{Answerer, LOOKS, Turns, each_round};
use super::wire::{Watched, Wire};
use crate::bench::error::BenchError;
use crate::bench::peer::Peer;
use crate::bench::rounds::Limit;
use crate::bench::sample::Sample;

/// Frames that are taken between two looks at the clock.
const FRAMES: usize = 64;
/// Bytes that are written and read at a time.
const CHUNK: usize = 64 * 1024;

/// Frames through the bare ring. Where both sides share a CPU they take turns: one fills the ring, the other empties it.
#[derive(Debug)]
pub(super) struct Frames {
    turns: Turns,
    waiting: Waiting,
    ring: Ring,
    frame: Vec<u8>,
    /// The bytes of an item in frames.
    item: usize,
}

impl Frames {
    pub(super) fn new(peer: Peer, item: usize, waiting: Waiting) -> Result<Self, BenchError> {
        let turns = Turns::new(peer, 0, waiting)?;
        let ring = Ring::exchange(turns.control())?;
        Ok(Self { turns, waiting, ring, frame: Vec::new(), item })
    }

    /// Takes what is there, but no more than [`FRAMES`]: how many bytes it was.
    #[inline]
    fn take(&mut self) -> Result<usize, BenchError> {
        let mut bytes = 0;
        for _ in 0..FRAMES {
            if !self.ring.pop(&mut self.frame)? {
                break;
            }
            bytes += self.frame.len();
        }
        self.ring.release();
        Ok(bytes)
    }

    /// Waits until there is something and takes it.
    #[inline]
    fn wait(&mut self) -> Result<usize, BenchError> {
        let mut looks = 0_u32;
        loop {
            match self.take()? {
                0 if self.waiting == Waiting::Asleep => self.turns.pass()?,
                0 => std::hint::spin_loop(),
                bytes => return Ok(bytes),
            }
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(LOOKS) {
                self.turns.check()?;
            }
        }
    }
}

impl Limit for Frames {
    fn measure(&mut self, time: Duration) -> Result<Sample, BenchError> {
        self.turns.begin()?;
        let (begin, mut bytes) = (Instant::now(), 0);
        let elapsed = loop {
            bytes += self.wait()?;
            let elapsed = begin.elapsed();
            if elapsed >= time && bytes >= self.item {
                break elapsed;
            }
        };
        self.turns.end()?;
        while self.take()? != 0 {}
        Ok(Sample::of((bytes / self.item) as u64, elapsed))
    }
}

/// The other process's part of [`Frames`].
pub(super) fn answer(starter: &UnixStream, frame: usize, waiting: Waiting) -> Result<(), BenchError> {
    let answerer = Answerer::new(starter, 0, waiting)?;
    let mut ring = Ring::exchange(starter)?;
    let frame = vec![0x5A; frame];
    let mut push = || {
        let pushed = ring.push(&frame);
        ring.publish();
        pushed
    };
    each_round(starter, &answerer, || match waiting {
        Waiting::Asleep => answerer.take_turns(|| {
            while push() {}
            Ok(())
        }),
        Waiting::Spinning => {
            while !answerer.is_over() {
                if !push() {
                    std::hint::spin_loop();
                }
            }
            Ok(())
        }
    })
}

/// A thread that reads from a socket.
#[derive(Debug)]
pub(super) struct BlockingSocket {
    socket: Wire,
    bytes: Vec<u8>,
    item: usize,
    _peer: Peer,
}

impl BlockingSocket {
    pub(super) fn new(socket: Wire, peer: Peer, item: usize) -> Self {
        Self { socket, bytes: vec![0; CHUNK], item, _peer: peer }
    }
}

impl Limit for BlockingSocket {
    fn measure(&mut self, time: Duration) -> Result<Sample, BenchError> {
        let (begin, mut bytes) = (Instant::now(), 0);
        loop {
            bytes += some(self.socket.read(&mut self.bytes)?)?;
            let elapsed = begin.elapsed();
            if elapsed >= time && bytes >= self.item {
                return Ok(Sample::of((bytes / self.item) as u64, elapsed));
            }
        }
    }
}

/// A task that reads from a socket.
#[derive(Debug)]
pub(super) struct AsyncSocket<'a> {
    socket: Box<dyn Watched>,
    bytes: Vec<u8>,
    item: usize,
    runtime: &'a Runtime,
    _peer: Peer,
}

impl<'a> AsyncSocket<'a> {
    pub(super) fn new(
        socket: Wire,
        peer: Peer,
        item: usize,
        runtime: &'a Runtime,
    ) -> Result<Self, BenchError> {
        let _entered = runtime.enter();
        let socket = socket.watched()?;
        Ok(Self { socket, bytes: vec![0; CHUNK], item, runtime, _peer: peer })
    }
}

impl Limit for AsyncSocket<'_> {
    fn measure(&mut self, time: Duration) -> Result<Sample, BenchError> {
        let Self { socket, bytes: buffer, item, .. } = self;
        self.runtime.block_on(async {
            let (begin, mut bytes) = (Instant::now(), 0);
            loop {
                bytes += some(socket.read(buffer).await?)?;
                let elapsed = begin.elapsed();
                if elapsed >= time && bytes >= *item {
                    return Ok(Sample::of((bytes / *item) as u64, elapsed));
                }
            }
        })
    }
}

/// A socket whose other end is closed has nothing more.
fn some(bytes: usize) -> Result<usize, BenchError> {
    if bytes == 0 { Err(BenchError::PeerGone) } else { Ok(bytes) }
}

/// Whether nobody reads any more.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

/// The other process's part of [`BlockingSocket`].
pub(super) fn write(mut socket: Wire) -> Result<(), BenchError> {
    let bytes = [0x5A; CHUNK];
    loop {
        match socket.write_all(&bytes) {
            Err(error) if is_gone(&error) => return Ok(()),
            written => written?,
        }
    }
}

/// The other process's part of [`AsyncSocket`].
pub(super) fn write_async(socket: Wire, runtime: &Runtime) -> Result<(), BenchError> {
    runtime.block_on(async {
        let mut socket = socket.watched()?;
        let bytes = [0x5A; CHUNK];
        loop {
            match socket.write_all(&bytes).await {
                Err(error) if is_gone(&error) => return Ok(()),
                written => written?,
            }
        }
    })
}
