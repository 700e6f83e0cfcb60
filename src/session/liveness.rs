//! Whether the peer is alive, and whether anything happens.
//!
//! Nobody reads the clock for each frame: a frame leaves a mark, and a timer that finds the mark takes it away. So a silent
//! peer is asked after one to two times the silence that is allowed, and an idle session ends after one to two times its
//! limit.

use std::time::{Duration, Instant};

use super::timers::Timer;
use super::wire::Reader;
use super::{CloseReason, Rule, Session};
use crate::link::{Frame, Header, Kind, Transmit};

/// When to ask a silent peer whether it is alive, and how long to wait for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// How long the peer may be silent. Anything that comes from it counts as life.
    pub silence: Duration,
    /// How long it may take to answer. A peer answers when no handler keeps the thread that looks after its session: those that
    /// compute for long, or block, are for tasks of their own, `#[transom(spawn)]`.
    pub timeout: Duration,
}

impl Default for Keepalive {
    /// Asked after 15 seconds, dead after 15 more.
    fn default() -> Self {
        Self { silence: Duration::from_secs(15), timeout: Duration::from_secs(15) }
    }
}

/// What has happened since a timer last looked.
#[derive(Debug, Default)]
pub(super) struct Liveness {
    /// The peer was heard.
    pub(super) heard: bool,
    /// Something happened besides asking and answering.
    pub(super) busy: bool,
    /// The nonce of the last ping.
    nonce: u64,
    /// A ping has been sent, and nothing heard since.
    asked: bool,
    /// When it must have been answered.
    due: Option<Instant>,
}

impl Session {
    /// The handshake is done: from now on silence counts.
    pub(super) fn watch(&mut self, now: Instant) {
        if let Some(keepalive) = self.settings.keepalive {
            self.set(now, keepalive.silence, Timer::Keepalive);
        }
        if let Some(idle) = self.settings.idle {
            self.set(now, idle, Timer::Idle);
        }
    }

    /// Sets a timer; when it is due. A time too far ahead to be told is none.
    fn set(&mut self, now: Instant, after: Duration, timer: Timer) -> Option<Instant> {
        let at = now.checked_add(after)?;
        self.io.timers.set(at, timer);
        Some(at)
    }

    /// Asks a peer that has been silent; ends the session if it was asked before.
    pub(super) fn check_alive(&mut self, now: Instant, out: &mut dyn Transmit) {
        let Some(keepalive) = self.settings.keepalive else { return };
        if std::mem::take(&mut self.liveness.heard) {
            self.liveness.asked = false;
            self.set(now, keepalive.silence, Timer::Keepalive);
        } else if self.liveness.asked {
            self.end(CloseReason::Silent);
        } else {
            self.liveness.asked = true;
            self.liveness.nonce += 1;
            let nonce = self.liveness.nonce.to_le_bytes();
            self.io.outbox.send_latest(Header::new(Kind::Ping), &nonce, out);
            self.liveness.due = self.set(now, keepalive.timeout, Timer::Keepalive);
        }
    }

    /// Ends a session on which nothing has happened and nothing is under way: no call, no open channel.
    pub(super) fn check_idle(&mut self, now: Instant, out: &mut dyn Transmit) {
        let Some(idle) = self.settings.idle else { return };
        if std::mem::take(&mut self.liveness.busy) || !self.io.in_flight.is_none() {
            // What is under way now has not ended before.
            self.liveness.busy = !self.io.in_flight.is_none();
            self.set(now, idle, Timer::Idle);
        } else {
            self.close(CloseReason::Idle, out);
        }
    }

    pub(super) fn handle_ping(&mut self, frame: &Frame, out: &mut dyn Transmit) -> Result<(), Rule> {
        let nonce = read_nonce(frame)?;
        self.io.outbox.send_latest(Header::new(Kind::Pong), &nonce.to_le_bytes(), out);
        Ok(())
    }

    pub(super) fn handle_pong(&mut self, frame: &Frame, now: &dyn Fn() -> Instant) -> Result<(), Rule> {
        // That it has come is all that counts: an answer to an earlier ping is as good a sign of life.
        read_nonce(frame)?;
        if let (true, Some(keepalive)) = (self.liveness.asked, self.settings.keepalive) {
            self.io.timers.clear(self.liveness.due.take(), Timer::Keepalive);
            // From here on it may be silent anew.
            (self.liveness.asked, self.liveness.heard) = (false, false);
            self.set(now(), keepalive.silence, Timer::Keepalive);
        }
        Ok(())
    }
}

fn read_nonce(frame: &Frame) -> Result<u64, Rule> {
    let mut from = Reader::new(&frame.payload);
    let nonce = from.u64().map_err(|_| Rule::PingForm)?;
    from.end().map(|()| nonce).map_err(|_| Rule::PingForm)
}
