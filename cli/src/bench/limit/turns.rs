//! Turns that two processes take by a cache line.
//!
//! ```text
//!  starter:  IDLE => PING          ... until it is IDLE or PONG again ...       => STOP
//!  answerer:         PING => PONG  ... until it is PING or STOP again ...          STOP => IDLE, and sleeps
//! ```
//! Between rounds the answerer is asleep at its control socket, so that it does not disturb what is measured then.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use transom::__limits::{Direction, Line};

use super::Waiting;
use crate::bench::error::BenchError;
use crate::bench::pause::Pause;
use crate::bench::peer::Peer;
use crate::bench::rounds::Limit;
use crate::bench::sample::{Sample, sample};

const IDLE: u32 = 0;
const PING: u32 = 1;
const PONG: u32 = 2;
const STOP: u32 = 3;

/// Looks in vain after which a starter makes sure that there still is somebody.
pub(super) const LOOKS: u32 = 1 << 22;
/// Sleep in vain after which it does.
const NAP: Duration = Duration::from_secs(1);

/// The side that has the first turn of each round.
#[derive(Debug)]
pub(super) struct Turns {
    pub(super) line: Line,
    waiting: Waiting,
    peer: Peer,
}

impl Turns {
    pub(super) fn new(peer: Peer, payload: usize, waiting: Waiting) -> Result<Self, BenchError> {
        let line = Line::create(&peer.control, payload)?;
        Ok(Self { line, waiting, peer })
    }

    /// The socket that leads to the other side.
    pub(super) fn control(&self) -> &UnixStream {
        &self.peer.control
    }

    /// Has the other side wait for turns.
    pub(super) fn begin(&mut self) -> Result<(), BenchError> {
        Ok(self.peer.control.write_all(&[1])?)
    }

    /// Passes the turn and waits until it is passed back.
    #[inline]
    pub(super) fn pass(&mut self) -> Result<(), BenchError> {
        self.exchange(PING)
    }

    /// Has the other side go back to sleep, and waits until it does.
    pub(super) fn end(&mut self) -> Result<(), BenchError> {
        self.exchange(STOP)
    }

    #[inline]
    fn exchange(&mut self, turn: u32) -> Result<(), BenchError> {
        self.line.pass(turn);
        match self.waiting {
            Waiting::Spinning => {
                let mut looks = 0_u32;
                while self.line.turn() == turn {
                    std::hint::spin_loop();
                    looks = looks.wrapping_add(1);
                    if looks.is_multiple_of(LOOKS) {
                        self.check()?;
                    }
                }
            }
            Waiting::Asleep => {
                self.line.wake();
                while self.line.turn() == turn {
                    self.line.sleep(turn, NAP);
                    if self.line.turn() == turn {
                        self.check()?;
                    }
                }
            }
        }
        Ok(())
    }

    #[cold]
    pub(super) fn check(&mut self) -> Result<(), BenchError> {
        self.peer.check()
    }
}

/// The other side of [`Turns`].
#[derive(Debug)]
pub(super) struct Answerer {
    pub(super) line: Line,
    waiting: Waiting,
}

impl Answerer {
    pub(super) fn new(starter: &UnixStream, payload: usize, waiting: Waiting) -> Result<Self, BenchError> {
        Ok(Self { line: Line::join(starter, payload)?, waiting })
    }

    /// Whether the round is over.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.line.turn() == STOP
    }

    /// Takes turns until the round is over; `work` is done in each.
    #[inline]
    pub(super) fn take_turns(
        &self,
        mut work: impl FnMut() -> Result<(), BenchError>,
    ) -> Result<(), BenchError> {
        loop {
            match self.line.turn() {
                PING => {
                    work()?;
                    self.answer(PONG);
                }
                STOP => return Ok(()),
                turn => match self.waiting {
                    Waiting::Spinning => std::hint::spin_loop(),
                    Waiting::Asleep => self.line.sleep(turn, NAP),
                },
            }
        }
    }

    #[inline]
    fn answer(&self, turn: u32) {
        self.line.pass(turn);
        if self.waiting == Waiting::Asleep {
            self.line.wake();
        }
    }
}

/// Does `round` for each round that the starter begins, until it leaves.
pub(super) fn each_round(
    mut starter: &UnixStream,
    answerer: &Answerer,
    mut round: impl FnMut() -> Result<(), BenchError>,
) -> Result<(), BenchError> {
    while starter.read(&mut [0])? != 0 {
        round()?;
        answerer.answer(IDLE);
    }
    Ok(())
}

/// A payload to and fro.
#[derive(Debug)]
pub(super) struct PingPong {
    turns: Turns,
    pause: Option<Pause>,
    payload: Vec<u8>,
}

impl PingPong {
    pub(super) fn new(
        peer: Peer,
        payload: usize,
        waiting: Waiting,
        gap: Option<Duration>,
    ) -> Result<Self, BenchError> {
        Ok(Self {
            turns: Turns::new(peer, payload, waiting)?,
            pause: gap.map(Pause::new).transpose()?,
            payload: vec![0x5A; payload],
        })
    }
}

impl Limit for PingPong {
    fn measure(&mut self, time: Duration) -> Result<Sample, BenchError> {
        let Self { turns, pause, payload } = self;
        turns.begin()?;
        let sample = sample(time, pause.as_ref(), || {
            if payload.is_empty() {
                return turns.pass();
            }
            turns.line.write(Direction::There, payload);
            turns.pass()?;
            turns.line.read(Direction::Back, payload);
            Ok(())
        })?;
        turns.end()?;
        Ok(sample)
    }
}

/// The other process's part of [`PingPong`].
pub(super) fn answer(starter: &UnixStream, payload: usize, waiting: Waiting) -> Result<(), BenchError> {
    let answerer = Answerer::new(starter, payload, waiting)?;
    let mut payload = vec![0; payload];
    each_round(starter, &answerer, || {
        answerer.take_turns(|| {
            if !payload.is_empty() {
                answerer.line.read(Direction::There, &mut payload);
                answerer.line.write(Direction::Back, &payload);
            }
            Ok(())
        })
    })
}
