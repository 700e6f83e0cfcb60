//! What is known of a cell: written by its supervisor, watched through its handles.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{DeathReport, SpawnError};
use crate::service::Session;

/// Reports that are kept for those who ask late.
const KEPT_REPORTS: usize = 32;

/// What is known of a cell.
#[derive(Debug)]
pub(super) struct Status {
    pub(super) phase: Phase,
    /// The incarnation that runs, or ran last; 0 before the first.
    pub(super) incarnation: u64,
    /// The process that runs.
    pub(super) pid: Option<u32>,
    /// The session of the latest incarnation that was ready.
    pub(super) session: Option<Session>,
    /// The latest deaths, oldest first.
    pub(super) deaths: VecDeque<Arc<DeathReport>>,
}

/// Where a cell is in its life.
#[derive(Debug)]
pub(super) enum Phase {
    /// An incarnation is on its way.
    Starting,
    /// It can be called.
    Ready,
    /// It is being shut down: calls in flight may finish.
    Draining,
    /// No process runs; there may be a next one.
    Dead,
    /// There will be no next one.
    Over(SpawnError),
}

impl Status {
    pub(super) fn new() -> Self {
        Self { phase: Phase::Starting, incarnation: 0, pid: None, session: None, deaths: VecDeque::new() }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over(_))
    }

    /// Notes that the incarnation that ran has ended.
    pub(super) fn died(&mut self, report: Arc<DeathReport>) {
        if self.deaths.len() == KEPT_REPORTS {
            self.deaths.pop_front();
        }
        self.deaths.push_back(report);
        self.pid = None;
        self.phase = Phase::Dead;
    }
}
