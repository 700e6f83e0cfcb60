//! What the machine does at best: what calls are made of, bare, between two processes placed like those that call.

mod bells;
mod kind;
mod ring;
mod socket;
mod stream;
mod turns;
mod wire;

use std::time::Duration;

use super::driver::Driver;
use super::error::BenchError;
use super::options::{Case, Job};
use super::peer::{Peer, Starter};
use super::pin::Placement;
use super::rounds::Limit;
use kind::{Kind, Waiting};
use wire::Wire;

/// How many are in flight where several are.
pub(super) const IN_FLIGHT: usize = 64;

/// Starts the other process of a case's limit; `gap` is the pause before each operation, where there is one.
pub(super) fn open<'a>(
    case: Case,
    placement: Placement,
    gap: Option<Duration>,
    driver: &'a Driver,
) -> Result<Option<Box<dyn Limit + 'a>>, BenchError> {
    let Some(kind) = Kind::of(case) else { return Ok(None) };
    let peer = Peer::start(Job::Limit, case, placement.server, None)?;
    let wire = || Wire::connect(case.transport, &peer);
    Ok(Some(match (kind, driver) {
        (Kind::Line { payload, waiting }, _) => Box::new(turns::PingPong::new(peer, payload, waiting, gap)?),
        (Kind::Ring { payload, waiting }, _) => Box::new(ring::Frames::new(peer, payload, waiting)?),
        (Kind::RingStream { item, waiting, .. }, _) => Box::new(stream::Frames::new(peer, item, waiting)?),
        (Kind::SocketStream { item }, Driver::Tokio(runtime)) => {
            Box::new(stream::AsyncSocket::new(wire()?, peer, item, runtime)?)
        }
        (Kind::SocketStream { item }, Driver::Threads) => {
            Box::new(stream::BlockingSocket::new(wire()?, peer, item))
        }
        (Kind::Wake, Driver::Tokio(runtime)) => Box::new(bells::Ringing::new(peer, gap, runtime)?),
        (Kind::Wake, Driver::Threads) => Box::new(turns::PingPong::new(peer, 0, Waiting::Asleep, gap)?),
        (Kind::Socket { bytes, calls }, Driver::Tokio(runtime)) => {
            Box::new(socket::AsyncSocket::new(wire()?, peer, bytes, calls, gap, runtime)?)
        }
        (Kind::Socket { bytes, calls }, Driver::Threads) => {
            Box::new(socket::BlockingSocket::new(wire()?, peer, bytes, calls, gap)?)
        }
    }))
}

/// The other process's part of a case's limit, until the one who started it leaves.
pub(super) fn answer(case: Case, starter: Starter) -> Result<(), BenchError> {
    let driver = Driver::new(case.api)?;
    let wire = |starter| Wire::accept(case.transport, starter);
    match (Kind::of(case), &driver) {
        (None, _) => Ok(()),
        (Some(Kind::Line { payload, waiting }), _) => turns::answer(&starter.ready()?, payload, waiting),
        (Some(Kind::Ring { waiting, .. }), _) => ring::answer(&starter.ready()?, waiting),
        (Some(Kind::RingStream { frame, waiting, .. }), _) => {
            stream::answer(&starter.ready()?, frame, waiting)
        }
        (Some(Kind::SocketStream { .. }), Driver::Tokio(runtime)) => {
            stream::write_async(wire(starter)?, runtime)
        }
        (Some(Kind::SocketStream { .. }), Driver::Threads) => stream::write(wire(starter)?),
        (Some(Kind::Wake), Driver::Tokio(runtime)) => bells::answer(&starter.ready()?, runtime),
        (Some(Kind::Wake), Driver::Threads) => turns::answer(&starter.ready()?, 0, Waiting::Asleep),
        (Some(Kind::Socket { bytes, .. }), Driver::Tokio(runtime)) => {
            socket::answer_async(wire(starter)?, bytes, runtime)
        }
        (Some(Kind::Socket { bytes, .. }), Driver::Threads) => socket::answer(wire(starter)?, bytes),
    }
}
