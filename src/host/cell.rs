//! The handle of a cell.

use std::fmt;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::status::{Phase, Status};
use super::{DeathReport, SpawnError};
use crate::service::{Client, Session};

/// A cell: a process that a [`Host`](super::Host) keeps running. Clones are the same cell.
///
/// **What keeps it alive.** A cell lives as long as its host or one of its handles is held; sessions and clients do not
/// keep it. When the last of them has been dropped its process is killed and reaped, by the runtime that supervises it.
/// [`shutdown`](Self::shutdown) ends it politely, whoever holds it, and a runtime that ends takes its cells along. A
/// service that a cell is served must not hold a handle of that very cell, which would then hold itself.
#[derive(Clone)]
pub struct Cell {
    handle: Arc<Handle>,
    keeper: Arc<Keeper>,
}

/// How a cell is spoken to and heard of; does not keep it alive.
pub(super) struct Handle {
    name: Arc<str>,
    orders: mpsc::UnboundedSender<Order>,
    status: watch::Receiver<Status>,
}

/// What keeps a cell alive.
pub(super) struct Keeper(mpsc::UnboundedSender<Order>);

/// What a supervisor is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Somebody waits for the cell to be ready.
    Start,
    /// End it politely.
    ShutDown,
    /// End it now: nobody holds it.
    Kill,
}

impl Cell {
    pub(super) fn new(
        name: Arc<str>,
        orders: mpsc::UnboundedSender<Order>,
        status: watch::Receiver<Status>,
    ) -> Self {
        let keeper = Arc::new(Keeper(orders.clone()));
        Self { handle: Arc::new(Handle { name, orders, status }), keeper }
    }

    pub(super) fn parts(&self) -> (&Arc<Handle>, &Arc<Keeper>) {
        (&self.handle, &self.keeper)
    }

    /// Its name, as logs and reports give it.
    pub fn name(&self) -> &str {
        &self.handle.name
    }

    /// A client for a service of the cell, on the session of its latest incarnation that was ready. Once that has died
    /// its calls end as [`Disconnected`](crate::CallError::Disconnected): they never reach the next one.
    pub fn client<C: Client>(&self) -> C {
        self.session().client()
    }

    /// The session of its latest incarnation that was ready. The memory shared with an incarnation is given back when that
    /// has died, whoever still holds its session.
    pub fn session(&self) -> Session {
        let status = self.handle.status.borrow();
        status.session.clone().expect("`Spawn::start` gives a cell out once it has been ready")
    }

    /// Waits until the cell can be called: at once if it can now, else until its next incarnation is ready. Where the
    /// policy is to restart on demand, this is the demand.
    ///
    /// # Errors
    /// [`SpawnError`] if the cell will not be ready any more.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped; an incarnation that is on its way is started all the same.
    pub async fn ready(&self) -> Result<Session, SpawnError> {
        self.handle.ready().await
    }

    /// The number of the incarnation that runs, or ran last; the first is 1.
    pub fn incarnation(&self) -> u64 {
        self.handle.status.borrow().incarnation
    }

    /// The process that runs; `None` between two incarnations and after the last.
    pub fn pid(&self) -> Option<u32> {
        self.handle.status.borrow().pid
    }

    /// The cell's deaths, from the first on, past and to come.
    pub fn deaths(&self) -> Deaths {
        Deaths { status: self.handle.status.clone(), seen: 0 }
    }

    /// Ends the cell politely and waits until its process is reaped. No new calls are made; those in flight have the
    /// drain deadline to finish. Then the session is closed, and the process has the exit deadline to end by itself, as
    /// long again after SIGTERM, and is killed after that.
    ///
    /// # Cancel safety
    /// The shutdown goes on when this is dropped, as long as the cell is held.
    pub async fn shutdown(&self) {
        self.handle.order(Order::ShutDown);
        self.handle.over().await;
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.handle.status.borrow();
        f.debug_struct("Cell")
            .field("name", &self.handle.name)
            .field("phase", &status.phase)
            .field("incarnation", &status.incarnation)
            .field("pid", &status.pid)
            .finish_non_exhaustive()
    }
}

impl Handle {
    pub(super) fn order(&self, order: Order) {
        // A supervisor that has gone has nothing left to do.
        let _gone = self.orders.send(order);
    }

    /// Waits until the supervisor has ended, and its process with it.
    pub(super) async fn over(&self) {
        // A supervisor that went with its runtime has left no process either.
        let mut status = self.status.clone();
        let _gone = status.wait_for(Status::is_over).await;
    }

    pub(super) async fn ready(&self) -> Result<Session, SpawnError> {
        let mut status = self.status.clone();
        loop {
            match &*status.borrow_and_update() {
                // A session that is over belongs to an incarnation whose death is about to be noticed.
                Status { phase: Phase::Ready, session: Some(session), .. } if session.is_open() => {
                    return Ok(session.clone());
                }
                Status { phase: Phase::Over(error), .. } => return Err(error.clone()),
                Status { phase: Phase::Draining, .. } => return Err(SpawnError::ShutDown),
                Status { phase: Phase::Dead, .. } => self.order(Order::Start),
                Status { phase: Phase::Starting | Phase::Ready, .. } => {}
            }
            if status.changed().await.is_err() {
                return Err(SpawnError::ShutDown);
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // A supervisor that has gone has nothing left to kill.
        let _gone = self.0.send(Order::Kill);
    }
}

/// The deaths of a cell, in order.
pub struct Deaths {
    status: watch::Receiver<Status>,
    /// The incarnation whose death was told last.
    seen: u64,
}

impl Deaths {
    /// Waits for the next death: an incarnation that has ended for whatever reason, a shutdown included. `None` when the
    /// cell will have no further incarnation. Who is many deaths late misses the oldest.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped.
    pub async fn next(&mut self) -> Option<DeathReport> {
        loop {
            {
                let status = self.status.borrow_and_update();
                let next = status.deaths.iter().find(|report| report.incarnation > self.seen);
                if let Some(report) = next {
                    self.seen = report.incarnation;
                    return Some(DeathReport::clone(report));
                }
                if status.is_over() {
                    return None;
                }
            }
            self.status.changed().await.ok()?;
        }
    }
}

impl fmt::Debug for Deaths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deaths").field("seen", &self.seen).finish_non_exhaustive()
    }
}
