//! Which limit belongs to which case.

use super::IN_FLIGHT;
use crate::bench::options::{Case, Pin, Scenario, Transport};

/// What calls of one kind come to at best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
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
pub(super) enum Waiting {
    /// Looking on.
    Spinning,
    /// On a futex.
    Asleep,
}

impl Kind {
    /// The limit of a case, where there is one.
    pub(super) fn of(case: Case) -> Option<Self> {
        let (scenario, payload) = (case.scenario, case.scenario.payload());
        // Whoever spins on its peer's CPU keeps the peer from running.
        let waiting = if case.pin == Pin::Same { Waiting::Asleep } else { Waiting::Spinning };
        match (case.transport, scenario) {
            (_, Scenario::IdleCpu | Scenario::Links200) | (Transport::Mem, _) => None,
            (Transport::Unix | Transport::Tcp, scenario) if scenario.streams() => {
                let (frame, item) = packed(scenario);
                Some(Self::SocketStream { item: item + FRAME_HEADER * item / frame })
            }
            (Transport::Unix | Transport::Tcp, Scenario::UnaryConc64) => {
                Some(Self::Socket { bytes: payload * IN_FLIGHT, calls: IN_FLIGHT })
            }
            (Transport::Unix | Transport::Tcp, _) => Some(Self::Socket { bytes: payload, calls: 1 }),
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
        for transport in [Transport::Unix, Transport::Tcp] {
            assert_eq!(kind(Scenario::UnaryHotRaw, transport, Pin::Apart), socket(16, 1));
            assert_eq!(kind(Scenario::UnaryConc64, transport, Pin::Apart), socket(1024, 64));
        }
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
            assert_eq!(kind(scenario, Transport::Tcp, Pin::Apart), bytes);
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
