//! Wake-ups to and fro by bell descriptors, both sides asleep in their runtimes' event loops.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::runtime::Runtime;
use transom::__limits::Bells;

use crate::bench::error::BenchError;
use crate::bench::pause::AsyncPause;
use crate::bench::peer::Peer;
use crate::bench::rounds::Limit;
use crate::bench::sample::{Sample, sample_async};

/// A side's bells, its own in the event loop.
struct Watched {
    own: Receiver,
    peer: OwnedFd,
}

impl Watched {
    fn new(bells: Bells, runtime: &Runtime) -> Result<Self, BenchError> {
        let _entered = runtime.enter();
        Ok(Self { own: Receiver::from_owned_fd(bells.own)?, peer: bells.peer })
    }

    fn ring(&self) -> Result<(), BenchError> {
        rustix::io::write(&self.peer, &[1])?;
        Ok(())
    }

    /// Waits until it is rung.
    async fn rung(&mut self) -> Result<(), BenchError> {
        // Longer than what there is to read: a buffer that is not filled spares another look.
        let _how_often = self.own.read(&mut [0; 64]).await?;
        Ok(())
    }
}

/// A ring there and back.
pub(super) struct Ringing<'a> {
    bells: Watched,
    pause: Option<AsyncPause>,
    runtime: &'a Runtime,
    _peer: Peer,
}

impl<'a> Ringing<'a> {
    pub(super) fn new(peer: Peer, gap: Option<Duration>, runtime: &'a Runtime) -> Result<Self, BenchError> {
        let bells = Watched::new(Bells::exchange(&peer.control)?, runtime)?;
        let _entered = runtime.enter();
        Ok(Self { bells, pause: gap.map(AsyncPause::new).transpose()?, runtime, _peer: peer })
    }
}

impl Limit for Ringing<'_> {
    fn measure(&mut self, time: Duration) -> Result<Sample, BenchError> {
        let Self { bells, pause, .. } = self;
        self.runtime.block_on(sample_async(time, pause.as_mut(), async || {
            bells.ring()?;
            bells.rung().await
        }))
    }
}

/// The other process's part of [`Ringing`].
pub(super) fn answer(starter: &UnixStream, runtime: &Runtime) -> Result<(), BenchError> {
    let mut bells = Watched::new(Bells::exchange(starter)?, runtime)?;
    runtime.block_on(async {
        // Until whoever started this process ends it.
        loop {
            bells.rung().await?;
            bells.ring()?;
        }
    })
}
