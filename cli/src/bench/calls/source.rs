//! The service that sends items, as fast as they are received.

use std::iter::repeat;

use transom::{SendError, Tx};

use crate::bench::options::{Api, LARGE, SMALL};

/// A small item.
pub(super) type Small = [u8; SMALL];

/// Sends items for as long as somebody receives them.
#[transom::service]
pub(super) trait Source {
    /// Small ones.
    fn small(&self, items: Tx<Small>);
    /// Large ones.
    fn large(&self, items: Tx<Vec<u8>>);
    /// Small ones, one on each channel in turn.
    fn each(&self, channels: Vec<Tx<Small>>);
}

const ITEM: Small = [0x5A; SMALL];

/// Sends from a task or from a thread of its own.
pub(super) struct Tap(pub(super) Api);

impl Source for Tap {
    fn small(&self, items: Tx<Small>) {
        match self.0 {
            Api::Async => run(async move { items.send_all(repeat(ITEM)).await }),
            Api::Blocking => start(move || items.blocking_send_all(repeat(ITEM))),
        }
    }

    fn large(&self, items: Tx<Vec<u8>>) {
        let large = repeat(vec![0x5A; LARGE]);
        match self.0 {
            Api::Async => run(async move { items.send_all(large).await }),
            Api::Blocking => start(move || items.blocking_send_all(large)),
        }
    }

    fn each(&self, channels: Vec<Tx<Small>>) {
        match self.0 {
            Api::Async => run(async move { round_robin(&channels).await }),
            Api::Blocking => start(move || blocking_round_robin(&channels)),
        }
    }
}

async fn round_robin(channels: &[Tx<Small>]) -> Result<(), SendError<Small>> {
    loop {
        for channel in channels {
            channel.send(ITEM).await?;
        }
    }
}

fn blocking_round_robin(channels: &[Tx<Small>]) -> Result<(), SendError<Small>> {
    loop {
        for channel in channels {
            channel.blocking_send(ITEM)?;
        }
    }
}

/// Sends until the receiver is gone, which is how it ends.
fn run<E: Send + 'static>(sending: impl Future<Output = Result<(), E>> + Send + 'static) {
    tokio::spawn(sending);
}

/// The same on a thread.
fn start<E: Send + 'static>(sending: impl FnOnce() -> Result<(), E> + Send + 'static) {
    std::thread::spawn(sending);
}
