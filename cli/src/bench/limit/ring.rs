//! Frames through the bare ring, several in flight, each answered by a frame.
//!
//! Spinning, both sides look into their rings. Where they share a CPU they take turns instead: one sends all that may be in
//! flight, the other answers all of it.

use std::collections::VecDeque;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use transom::__limits::Ring;

use super::turns::{Answerer, LOOKS, Turns, each_round};
use super::{IN_FLIGHT, Waiting};
use crate::bench::error::BenchError;
use crate::bench::peer::Peer;
use crate::bench::rounds::Limit;
use crate::bench::sample::{Latencies, Sample};

/// Frames there and back.
#[derive(Debug)]
pub(super) struct Frames {
    turns: Turns,
    waiting: Waiting,
    ring: Ring,
    payload: Vec<u8>,
    /// When each frame in flight was sent.
    sent: VecDeque<Instant>,
    answer: Vec<u8>,
}

impl Frames {
    pub(super) fn new(peer: Peer, payload: usize, waiting: Waiting) -> Result<Self, BenchError> {
        let turns = Turns::new(peer, 0, waiting)?;
        let ring = Ring::exchange(turns.control())?;
        let payload = vec![0x5A; payload];
        Ok(Self {
            turns,
            waiting,
            ring,
            payload,
            sent: VecDeque::with_capacity(IN_FLIGHT),
            answer: Vec::new(),
        })
    }

    /// Sends as many as may be in flight.
    #[inline]
    fn fill(&mut self, mut now: Instant) {
        while self.sent.len() < IN_FLIGHT && self.ring.push(&self.payload) {
            self.sent.push_back(now);
            now = Instant::now();
        }
        self.ring.publish();
    }

    /// Takes the answers that are there; `None` if there are none.
    #[inline]
    fn take(&mut self, latencies: &mut Latencies) -> Result<Option<Instant>, BenchError> {
        let mut last = None;
        while self.ring.pop(&mut self.answer)? {
            let now = Instant::now();
            if let Some(sent) = self.sent.pop_front() {
                latencies.record(now - sent);
            }
            last = Some(now);
        }
        self.ring.release();
        Ok(last)
    }

    /// Waits for answers.
    #[inline]
    fn wait(&mut self, latencies: &mut Latencies) -> Result<Instant, BenchError> {
        if self.waiting == Waiting::Asleep {
            self.turns.pass()?;
        }
        let mut looks = 0_u32;
        loop {
            if let Some(now) = self.take(latencies)? {
                return Ok(now);
            }
            std::hint::spin_loop();
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(LOOKS) {
                self.turns.check()?;
            }
        }
    }
}

impl Limit for Frames {
    fn measure(&mut self, time: Duration) -> Result<Sample, BenchError> {
        let mut latencies = Latencies::new();
        self.turns.begin()?;
        let begin = Instant::now();
        let mut now = begin;
        while now - begin < time {
            self.fill(now);
            now = self.wait(&mut latencies)?;
        }
        let (count, elapsed) = (latencies.count(), now - begin);
        while !self.sent.is_empty() {
            self.wait(&mut Latencies::new())?;
        }
        self.turns.end()?;
        Ok(Sample { latencies, count, elapsed })
    }
}

/// The other process's part of [`Frames`].
pub(super) fn answer(starter: &UnixStream, waiting: Waiting) -> Result<(), BenchError> {
    let answerer = Answerer::new(starter, 0, waiting)?;
    let mut ring = Ring::exchange(starter)?;
    let mut payload = Vec::new();
    each_round(starter, &answerer, || match waiting {
        Waiting::Asleep => answerer.take_turns(|| echo(&mut ring, &mut payload).map(|_any| ())),
        Waiting::Spinning => {
            while !answerer.is_over() {
                if !echo(&mut ring, &mut payload)? {
                    std::hint::spin_loop();
                }
            }
            Ok(())
        }
    })
}

/// Answers the frames that are there; whether there were any.
#[inline]
fn echo(ring: &mut Ring, payload: &mut Vec<u8>) -> Result<bool, BenchError> {
    let mut any = false;
    // There is room: no more answers than frames are ever in flight, and those found room.
    while ring.pop(payload)? {
        any |= ring.push(payload);
    }
    ring.publish();
    ring.release();
    Ok(any)
}
