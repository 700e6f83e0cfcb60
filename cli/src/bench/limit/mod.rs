//! What the machine does at best: what calls are made of, bare, between two processes placed like those that call.

mod bells;
mod ring;
mod socket;
mod stream;
mod turns;

use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::driver::Driver;
use super::error::BenchError;
use super::options::{Case, Job, Pin, Scenario, Transport};
use super::peer::Peer;
use super::pin::Placement;
use super::rounds::Limit;

/// How many are in flight where several are.
pub(super) const IN_FLIGHT: usize = 64;

/// What calls of one kind come to at best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A cache line to and fro, with a payload.
    Line { payload: usize, waiting: Waiting },
    /// A wake-up to and fro, by what the driver sleeps on.
    Wake,
    /// Frames through a ring, several in flight.
    Ring { payload: usize, waiting: Waiting },
    /// Frames through a ring one way, and the bytes that each item takes of them.
    RingStream { frame: usize, item: usize, waiting: Waiting },
    /// Bytes through a socket one way.
    SocketStream { item: usize },
    /// Bytes through a socket to and fro, for several calls at once.
    Socket { bytes: usize, calls: usize },
}

/// How a side waits for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// Looking on.
    Spinning,
    /// On a futex.
    Asleep,
}

impl Kind {
    /// The limit of a case, where there is one.
    fn of(case: Case) -> Option<Self> {
        let (scenario, payload) = (case.scenario, case.scenario.payload());
        // Whoever spins on its peer's CPU keeps the peer from running.
        let waiting = if case.pin == Pin::Same { Waiting::Asleep } else { Waiting::Spinning };
        match (case.transport, scenario) {
            (_, Scenario::IdleCpu | Scenario::Links200) | (Transport::Mem, _) => None,
            (Transport::Unix, scenario) if scenario.streams() => {
                let (frame, item) = packed(scenario);
                Some(Self::SocketStream { item: item + FRAME_HEADER * item / frame })
            }
            (Transport::Unix, Scenario::UnaryConc64) => {
                Some(Self::Socket { bytes: payload * IN_FLIGHT, calls: IN_FLIGHT })
            }
            (Transport::Unix, _) => Some(Self::Socket { bytes: payload, calls: 1 }),
            (Transport::Shm, Scenario::UnaryCold) => Some(Self::Wake),
            (Transport::Shm, Scenario::UnaryConc64) => Some(Self::Ring { payload, waiting }),
            (Transport::Shm, Scenario::UnaryHotRaw | Scenario::UnaryHot) => {
                Some(Self::Line { payload: 0, waiting })
            }
            (Transport::Shm, Scenario::Echo1k | Scenario::Echo64k) => Some(Self::Line { payload, waiting }),
            (Transport::Shm, Scenario::Stream64b | Scenario::Stream64k | Scenario::Channels1000) => {
                let (frame, item) = packed(scenario);
                Some(Self::RingStream { frame, item, waiting })
            }
        }
    }
}

/// The bytes of a frame besides what it carries, and the most that it carries through a ring of the usual size.
const FRAME_HEADER: usize = 32;
const FRAME: usize = 64 * 1024 / 4 - FRAME_HEADER;

/// The bytes that a scenario's frames carry at best, and how many of those are one item.
fn packed(scenario: Scenario) -> (usize, usize) {
    let item = scenario.payload();
    match scenario {
        // Items that follow on each other share a frame, each with its length before it.
        Scenario::Stream64b => {
            let item = size_of::<u32>() + item;
            (FRAME / item * item, item)
        }
        // One that is larger than a frame goes in pieces.
        _ => (item.min(FRAME), item),
    }
}

/// Starts the other process of a case's limit; `gap` is the pause before each operation, where there is one.
pub(super) fn open<'a>(
    case: Case,
    placement: Placement,
    gap: Option<Duration>,
    driver: &'a Driver,
) -> Result<Option<Box<dyn Limit + 'a>>, BenchError> {
    let Some(kind) = Kind::of(case) else { return Ok(None) };
    let peer = Peer::start(Job::Limit, case, placement.server, None)?;
    Ok(Some(match (kind, driver) {
        (Kind::Line { payload, waiting }, _) => Box::new(turns::PingPong::new(peer, payload, waiting, gap)?),
        (Kind::Ring { payload, waiting }, _) => Box::new(ring::Frames::new(peer, payload, waiting)?),
        (Kind::RingStream { item, waiting, .. }, _) => Box::new(stream::Frames::new(peer, item, waiting)?),
        (Kind::SocketStream { item }, Driver::Tokio(runtime)) => {
            Box::new(stream::AsyncSocket::new(peer, item, runtime)?)
        }
        (Kind::SocketStream { item }, Driver::Threads) => Box::new(stream::BlockingSocket::new(peer, item)),
        (Kind::Wake, Driver::Tokio(runtime)) => Box::new(bells::Ringing::new(peer, gap, runtime)?),
        (Kind::Wake, Driver::Threads) => Box::new(turns::PingPong::new(peer, 0, Waiting::Asleep, gap)?),
        (Kind::Socket { bytes, calls }, Driver::Tokio(runtime)) => {
            Box::new(socket::AsyncSocket::new(peer, bytes, calls, gap, runtime)?)
        }
        (Kind::Socket { bytes, calls }, Driver::Threads) => {
            Box::new(socket::BlockingSocket::new(peer, bytes, calls, gap)?)
        }
    }))
}

/// The other process's part of a case's limit, until the one who started it leaves.
pub(super) fn answer(case: Case, starter: UnixStream) -> Result<(), BenchError> {
    let driver = Driver::new(case.api)?;
    match (Kind::of(case), &driver) {
        (None, _) => Ok(()),
        (Some(Kind::Line { payload, waiting }), _) => turns::answer(&starter, payload, waiting),
        (Some(Kind::Ring { waiting, .. }), _) => ring::answer(&starter, waiting),
        (Some(Kind::RingStream { frame, waiting, .. }), _) => stream::answer(&starter, frame, waiting),
        (Some(Kind::SocketStream { .. }), Driver::Tokio(runtime)) => stream::write_async(starter, runtime),
        (Some(Kind::SocketStream { .. }), Driver::Threads) => stream::write(starter),
        (Some(Kind::Wake), Driver::Tokio(runtime)) => bells::answer(&starter, runtime),
        (Some(Kind::Wake), Driver::Threads) => turns::answer(&starter, 0, Waiting::Asleep),
        (Some(Kind::Socket { bytes, .. }), Driver::Tokio(runtime)) => {
            socket::answer_async(starter, bytes, runtime)
        }
        (Some(Kind::Socket { bytes, .. }), Driver::Threads) => socket::answer(starter, bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::options::Api;
    use clap::ValueEnum;

    fn kind(scenario: Scenario, transport: Transport, pin: Pin) -> Option<Kind> {
        Kind::of(Case { scenario, transport, api: Api::Async, pin })
    }

    #[test]
    fn echoes_carry_their_payload_and_calls_do_not() {
        let line = |payload| Some(Kind::Line { payload, waiting: Waiting::Spinning });
        assert_eq!(kind(Scenario::UnaryHotRaw, Transport::Shm, Pin::Apart), line(0));
        assert_eq!(kind(Scenario::Echo64k, Transport::Shm, Pin::None), line(65_536));
        let socket = |bytes, calls| Some(Kind::Socket { bytes, calls });
        assert_eq!(kind(Scenario::UnaryHotRaw, Transport::Unix, Pin::Apart), socket(16, 1));
        assert_eq!(kind(Scenario::UnaryConc64, Transport::Unix, Pin::Apart), socket(1024, 64));
    }

    #[test]
    fn items_share_frames_or_have_several() {
        let ring = |frame, item| Some(Kind::RingStream { frame, item, waiting: Waiting::Spinning });
        let socket = |item| Some(Kind::SocketStream { item });
        for (scenario, stream, bytes) in [
            (Scenario::Stream64b, ring(240 * 68, 68), socket(68)),
            (Scenario::Stream64k, ring(16_352, 65_536), socket(65_536 + 4 * 32)),
            (Scenario::Channels1000, ring(64, 64), socket(96)),
        ] {
            assert_eq!(kind(scenario, Transport::Shm, Pin::Apart), stream);
            assert_eq!(kind(scenario, Transport::Unix, Pin::Apart), bytes);
        }
    }

    #[test]
    fn nobody_spins_on_a_shared_cpu() {
        for &scenario in Scenario::value_variants() {
            let spins = match kind(scenario, Transport::Shm, Pin::Same) {
                Some(
                    Kind::Line { waiting, .. }
                    | Kind::Ring { waiting, .. }
                    | Kind::RingStream { waiting, .. },
                ) => waiting == Waiting::Spinning,
                Some(Kind::Wake | Kind::Socket { .. } | Kind::SocketStream { .. }) | None => false,
            };
            assert!(!spins, "{scenario:?}");
        }
    }

    #[test]
    fn one_process_and_an_idle_pair_have_no_limit() {
        for &scenario in Scenario::value_variants() {
            assert_eq!(kind(scenario, Transport::Mem, Pin::Apart), None);
        }
        for idle in [Scenario::IdleCpu, Scenario::Links200] {
            assert_eq!(kind(idle, Transport::Shm, Pin::Apart), None);
        }
    }
}
