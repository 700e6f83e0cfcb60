//! Bytes to and fro through a socket, written and read as plainly as each API allows.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

use super::wire::{Watched, Wire};
use crate::bench::error::BenchError;
use crate::bench::pause::{AsyncPause, Pause};
use crate::bench::peer::Peer;
use crate::bench::rounds::Limit;
use crate::bench::sample::{Sample, sample, sample_async};

/// Threads that write and read.
#[derive(Debug)]
pub(super) struct BlockingSocket {
    socket: Wire,
    bytes: Vec<u8>,
    calls: usize,
    pause: Option<Pause>,
    _peer: Peer,
}

impl BlockingSocket {
    pub(super) fn new(
        socket: Wire,
        peer: Peer,
        bytes: usize,
        calls: usize,
        gap: Option<Duration>,
    ) -> Result<Self, BenchError> {
        let pause = gap.map(Pause::new).transpose()?;
        Ok(Self { socket, bytes: vec![0x5A; bytes], calls, pause, _peer: peer })
    }
}

impl Limit for BlockingSocket {
    fn measure(&mut self, time: Duration) -> Result<Sample, BenchError> {
        let Self { socket, bytes, pause, .. } = self;
        let sample = sample(time, pause.as_ref(), || {
            socket.write_all(bytes)?;
            Ok(socket.read_exact(bytes)?)
        })?;
        Ok(sample.each_of(self.calls))
    }
}

/// The other process's part of [`BlockingSocket`].
pub(super) fn answer(mut socket: Wire, bytes: usize) -> Result<(), BenchError> {
    let mut bytes = vec![0; bytes];
    loop {
        match socket.read_exact(&mut bytes) {
            Ok(()) => socket.write_all(&bytes)?,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Tasks of a runtime that write and read.
#[derive(Debug)]
pub(super) struct AsyncSocket<'a> {
    socket: Box<dyn Watched>,
    bytes: Vec<u8>,
    calls: usize,
    pause: Option<AsyncPause>,
    runtime: &'a Runtime,
    _peer: Peer,
}

impl<'a> AsyncSocket<'a> {
    pub(super) fn new(
        socket: Wire,
        peer: Peer,
        bytes: usize,
        calls: usize,
        gap: Option<Duration>,
        runtime: &'a Runtime,
    ) -> Result<Self, BenchError> {
        let _entered = runtime.enter();
        let socket = socket.watched()?;
        let pause = gap.map(AsyncPause::new).transpose()?;
        Ok(Self { socket, bytes: vec![0x5A; bytes], calls, pause, runtime, _peer: peer })
    }
}

impl Limit for AsyncSocket<'_> {
    fn measure(&mut self, time: Duration) -> Result<Sample, BenchError> {
        let Self { socket, bytes, pause, .. } = self;
        let sample = self.runtime.block_on(sample_async(time, pause.as_mut(), async || {
            socket.write_all(bytes).await?;
            socket.read_exact(bytes).await?;
            Ok(())
        }))?;
        Ok(sample.each_of(self.calls))
    }
}

/// The other process's part of [`AsyncSocket`].
pub(super) fn answer_async(socket: Wire, bytes: usize, runtime: &Runtime) -> Result<(), BenchError> {
    runtime.block_on(async {
        let mut socket = socket.watched()?;
        let mut bytes = vec![0; bytes];
        loop {
            match socket.read_exact(&mut bytes).await {
                Ok(_) => socket.write_all(&bytes).await?,
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    })
}
