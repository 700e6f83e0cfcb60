//! The task that keeps a cell running: starts its incarnations, notices their ends, follows orders.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, watch};

use super::cell::Order;
use super::incarnation::{Incarnation, Unready};
use super::list::Listed;
use super::restart::{Mode, Restarts};
use super::spawn::Setup;
use super::status::{Phase, Status};
use super::{Cause, DeathReport, SpawnError};
use crate::service::Session;
use crate::sys;

/// What keeps one cell running.
pub(super) struct Supervisor {
    setup: Setup,
    restarts: Restarts,
    orders: Orders,
    status: watch::Sender<Status>,
}

/// What the supervisor is told. Whoever waits for them loses none when dropped.
struct Orders(mpsc::UnboundedReceiver<Order>);

/// How a cell is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Politely,
    AtOnce,
}

/// What becomes of a cell after an incarnation: `Continue` with what ended it, `Break` if it was told to.
type After = ControlFlow<(), SpawnError>;

impl Supervisor {
    pub(super) fn new(
        setup: Setup,
        orders: mpsc::UnboundedReceiver<Order>,
        status: watch::Sender<Status>,
    ) -> Self {
        let restarts = Restarts::new(setup.restart.clone());
        Self { setup, restarts, orders: Orders(orders), status }
    }

    /// Keeps the cell running until it is over. `_listed` is its place in the host's list.
    pub(super) async fn run(mut self, _listed: Listed) {
        let over = self.supervise().await;
        match &over {
            SpawnError::ShutDown => {
                tracing::info!(target: "transom::host", cell = &*self.setup.name, "shut down");
            }
            error => {
                tracing::warn!(target: "transom::host", cell = &*self.setup.name, %error, "failed");
            }
        }
        self.status.send_modify(|status| status.phase = Phase::Over(over));
    }

    /// Runs one incarnation after the other; why there is no next one.
    async fn supervise(&mut self) -> SpawnError {
        let ControlFlow::Continue(mut cause) = self.incarnation().await else { return SpawnError::ShutDown };
        // The first start is the caller's to repeat.
        if self.status.borrow().session.is_none() {
            return cause;
        }
        loop {
            let ended = Instant::now();
            match self.restarts.mode() {
                Mode::Never => return cause,
                Mode::OnDemand if self.orders.start().await.is_break() => return SpawnError::ShutDown,
                Mode::OnDemand | Mode::Always => {}
            }
            let Some(delay) = self.restarts.next(Instant::now(), sys::random::number()) else {
                return SpawnError::GivenUp { restarts: self.restarts.recent(), cause: Box::new(cause) };
            };
            let again = tokio::time::sleep(delay.saturating_sub(ended.elapsed()));
            tokio::select! {
                () = again => {}
                _ = self.orders.stop() => return SpawnError::ShutDown,
            }
            match self.incarnation().await {
                ControlFlow::Continue(next) => cause = next,
                ControlFlow::Break(()) => return SpawnError::ShutDown,
            }
        }
    }

    /// Runs one incarnation, from its start to its report.
    async fn incarnation(&mut self) -> After {
        let number = self.status.borrow().incarnation + 1;
        self.status.send_modify(|status| (status.incarnation, status.phase) = (number, Phase::Starting));
        let (mut incarnation, expected) = match Incarnation::start(&mut self.setup, number) {
            Ok(started) => started,
            Err(error) => {
                self.status.send_modify(|status| status.phase = Phase::Dead);
                return After::Continue(SpawnError::Program(Arc::new(error)));
            }
        };
        let pid = incarnation.pid();
        self.status.send_modify(|status| status.pid = Some(pid));
        let attached = tokio::select! {
            attached = incarnation.attached(expected, &self.setup) => attached,
            _ = self.orders.stop() => {
                self.bury(incarnation, None).await;
                return After::Break(());
            }
        };
        match attached {
            Ok(session) => self.ready(incarnation, session).await,
            Err(unready) => {
                let report = self.bury(incarnation, None).await;
                After::Continue(match unready {
                    Unready::Died => SpawnError::Died(report),
                    Unready::Late => SpawnError::Late { deadline: self.setup.deadlines.start, report },
                    Unready::Open(error) => SpawnError::Open { error: Arc::new(error), report },
                })
            }
        }
    }

    /// Looks after an incarnation that can be called, until it is dead.
    async fn ready(&mut self, mut incarnation: Incarnation, session: Session) -> After {
        let deadlines = self.setup.deadlines;
        let (number, pid) = (incarnation.number(), incarnation.pid());
        tracing::info!(target: "transom::host", cell = &*self.setup.name, incarnation = number, pid, "ready");
        self.status.send_modify(|status| {
            status.phase = Phase::Ready;
            status.session = Some(session.clone());
        });
        let told = tokio::select! {
            () = incarnation.ended(&session, deadlines) => None,
            stop = self.orders.stop() => Some(stop),
        };
        if told == Some(Stop::Politely) {
            self.status.send_modify(|status| status.phase = Phase::Draining);
            tokio::select! {
                () = incarnation.retire(&session, deadlines) => {}
                () = self.orders.kill() => {}
            }
        }
        let report = self.bury(incarnation, Some(&session)).await;
        match told {
            None => After::Continue(SpawnError::Died(report)),
            Some(_) => After::Break(()),
        }
    }

    /// Sees to it that an incarnation is dead, and notes how it ended.
    async fn bury(&self, mut incarnation: Incarnation, session: Option<&Session>) -> Arc<DeathReport> {
        incarnation.kill();
        let report = Arc::new(incarnation.report(session).await);
        match report.cause {
            Cause::Exit(0) => tracing::info!(target: "transom::host", "{report}"),
            _ => tracing::warn!(target: "transom::host", "{report}"),
        }
        self.status.send_modify(|status| status.died(Arc::clone(&report)));
        report
    }
}

impl Orders {
    /// Waits until the cell is to end.
    async fn stop(&mut self) -> Stop {
        loop {
            match self.0.recv().await {
                Some(Order::Start) => {}
                Some(Order::ShutDown) => return Stop::Politely,
                Some(Order::Kill) | None => return Stop::AtOnce,
            }
        }
    }

    /// Waits until the cell is to end at once.
    async fn kill(&mut self) {
        while self.stop().await != Stop::AtOnce {}
    }

    /// Waits until somebody waits for the cell; `Break` if it is to end instead.
    async fn start(&mut self) -> ControlFlow<()> {
        match self.0.recv().await {
            Some(Order::Start) => ControlFlow::Continue(()),
            Some(Order::ShutDown | Order::Kill) | None => ControlFlow::Break(()),
        }
    }
}
