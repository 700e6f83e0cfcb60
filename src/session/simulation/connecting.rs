//! Virtual connections: asking for them, deciding about them, and watching what becomes of them.

use std::task::Poll;

use super::ensure;
use super::parties::{Party, Then};
use super::truth::{Opened, Verdict};
use super::world::Scene;
use crate::session::simulated::served;
use crate::session::{ConnectionEnd, ConnectionSettings, OpenRefused, RejectReason, Rejection};

/// Waits for what becomes of a connection.
#[derive(Debug)]
pub(super) struct Watch {
    id: u32,
    /// It is not known yet whether the peer takes it.
    asked: bool,
}

impl Scene<'_> {
    /// Asks for a connection.
    pub(super) fn open(&mut self) {
        let (metadata, settings) = (self.some_metadata(), self.some_settings());
        let methods = Box::new(served);
        let id = match self.session.open_connection("sim", &metadata, settings, methods, self.out) {
            Ok(id) => id,
            Err(OpenRefused::Limit { limit }) => {
                let open = self.session.connections.opened_by(self.session.role);
                return ensure!(open >= limit as usize, "another connection might be open");
            }
            Err(OpenRefused::Metadata) => {
                return ensure!(!self.setup.agreed.admit(&metadata), "the metadata is small enough");
            }
            Err(OpenRefused::Over(reason)) => {
                if self.session.negotiated().is_some() {
                    self.truth.ended(self.me, 0, &reason);
                }
                return;
            }
        };
        self.note(|| format!("asks for {id}"));
        let opened = Opened {
            opener: self.me,
            metadata,
            settings,
            verdict: None,
            closed: [false; 2],
            released: [false; 2],
            told: [false; 2],
        };
        ensure!(self.truth.connections.insert(id, opened).is_none(), "connection {id} was there before");
        self.desk.held.push(id);
        self.added.push(Party::Watch(Watch { id, asked: true }));
    }

    fn some_settings(&mut self) -> Option<ConnectionSettings> {
        self.random.one_in(2).then(|| {
            let (requests, window) = (1 + self.random.small(4), 1 + self.random.small(200));
            ConnectionSettings::new(requests, window, self.random.small(4))
        })
    }

    /// Decides about a connection that the peer has asked for.
    pub(super) fn decide(&mut self) {
        if self.desk.asked.is_empty() {
            return;
        }
        let request = self.desk.asked.swap_remove(self.random.index(self.desk.asked.len()));
        let id = request.id;
        if self.random.one_in(3) {
            return self.reject(id);
        }
        let (metadata, settings) = (self.some_metadata(), self.some_settings());
        let taken = self.session.accept_connection(id, &metadata, settings, Box::new(served), self.out);
        self.note(|| format!("takes {id}: {taken}"));
        let admitted = self.setup.agreed.admit(&metadata);
        let (over, opened) = (self.truth.over[self.me].is_some(), self.truth.connection(id));
        if taken {
            opened.verdict = Some(Verdict::Accepted(if admitted { metadata } else { Default::default() }));
            self.desk.held.push(id);
            self.desk.usable.push(id);
            self.added.push(Party::Watch(Watch { id, asked: false }));
            self.truth.reached.accepted += 1;
        } else {
            ensure!(over || opened.closed[opened.opener], "connection {id} was there to be taken");
        }
    }

    fn reject(&mut self, id: u32) {
        let reason = match self.random.below(3) {
            0 => RejectReason::Forbidden,
            1 => RejectReason::UnknownService,
            _ => RejectReason::Other,
        };
        let mut rejection = Rejection::new(reason).with_text("no").with_metadata(self.some_metadata());
        self.note(|| format!("rejects {id}: {rejection:?}"));
        self.session.reject_connection(id, &rejection, self.out);
        if !self.setup.agreed.admit(&rejection.metadata) {
            rejection.metadata = Default::default();
        }
        self.truth.connection(id).verdict = Some(Verdict::Rejected(rejection));
        self.truth.reached.rejected += 1;
    }

    /// Closes a connection.
    pub(super) fn close(&mut self) {
        if !self.desk.held.is_empty() {
            let id = self.desk.held[self.random.index(self.desk.held.len())];
            self.note(|| format!("closes {id}"));
            self.truth.connection(id).closed[self.me] = true;
            self.session.close_connection(id, self.out);
        }
    }
}

impl Watch {
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// Whether it is not known yet if the peer takes it.
    pub(super) fn is_asked(&self) -> bool {
        self.asked
    }

    pub(super) fn run(&mut self, scene: &mut Scene<'_>) -> Then {
        if self.asked {
            match scene.session.poll_connection(self.id, &scene.waker) {
                Poll::Pending => return Then::Waits,
                Poll::Ready(Ok(metadata)) => {
                    let opened = scene.truth.connection(self.id);
                    let right = matches!(&opened.verdict, Some(Verdict::Accepted(said)) if *said == metadata);
                    ensure!(right, "connection {} was not taken with {metadata:?}: {opened:?}", self.id);
                    scene.desk.usable.push(self.id);
                }
                Poll::Ready(Err(ConnectionEnd::Rejected(rejection))) => {
                    scene.truth.rejected(self.id, &rejection);
                    return Then::Done;
                }
                Poll::Ready(Err(ConnectionEnd::Closed(_))) => {}
            }
            self.asked = false;
        }
        match scene.session.poll_connection_over(self.id, &scene.waker) {
            Poll::Pending => Then::Waits,
            Poll::Ready(reason) => {
                scene.truth.ended(scene.me, self.id, &reason);
                Then::Done
            }
        }
    }

    /// Nobody holds it any more. It closes if this side has opened it.
    pub(super) fn release(id: u32, scene: &mut Scene<'_>) {
        scene.note(|| format!("releases {id}"));
        scene.desk.usable.retain(|usable| *usable != id);
        let opened = scene.truth.connection(id);
        let closes = opened.opener == scene.me || scene.random.one_in(2);
        opened.released[scene.me] = true;
        opened.closed[scene.me] |= closes;
        scene.session.release_connection(id, closes, scene.out);
    }
}
