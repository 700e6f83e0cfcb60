//! Whoever serves, and handlers: each takes its time, and answers somehow.

use std::task::Poll;

use super::ensure;
use super::parties::Then;
use super::truth::{Origin, Outcome, body};
use super::world::Scene;
use crate::link::Buffer;
use crate::session::simulated::{ECHO, LONG};
use crate::session::{Attached, CallId, Failure, Inbound, Outcome as Answer, Work};

/// Takes what is to be done for the peer.
#[derive(Debug)]
pub(super) struct Server;

/// A request that is being handled.
#[derive(Debug)]
pub(super) struct Handling {
    pub(super) call: CallId,
    pub(super) token: u64,
}

impl Server {
    pub(super) fn run(&self, scene: &mut Scene<'_>) -> Then {
        let work = match scene.session.poll_work(Some(&scene.waker)) {
            Poll::Pending => return Then::Waits,
            Poll::Ready(work) => work,
        };
        scene.note(|| format!("is to {work:?}"));
        match work {
            Work::Serve(inbound) => scene.serve(inbound),
            Work::Drop(call) => scene.drop_handler(call),
            Work::Open(request) => {
                let opened = scene.truth.connection(request.id);
                let right = opened.opener != scene.me
                    && request.service == "sim"
                    && request.metadata == opened.metadata;
                ensure!(right, "{opened:?} was asked for as {request:?}");
                scene.desk.asked.push(request);
            }
            Work::Closed(id) => {
                let told = &mut scene.truth.connection(id).told[scene.me];
                ensure!(!std::mem::replace(told, true), "told twice that connection {id} is over");
            }
            Work::Over => return Then::Done,
        }
        Then::Again
    }
}

impl Scene<'_> {
    fn serve(&mut self, inbound: Inbound) {
        let Inbound { call, method, payload, body: at, attached } = inbound;
        let Attached { metadata, channels, deadline, .. } = attached.map_or_else(Attached::default, |it| *it);
        ensure!([ECHO.id, LONG.id].contains(&method), "only what is served is handed out");
        let bytes = payload.get(at..).unwrap_or_default();
        let token = bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let meant = self.truth.called(token);
        ensure!(!std::mem::replace(&mut meant.began, true), "call {token} runs twice");
        ensure!(bytes == body(token, meant.length), "call {token} has a wrong body");
        ensure!(metadata == meant.metadata, "call {token} has wrong metadata");
        ensure!(deadline.is_some() == meant.deadline.is_some(), "call {token} has another deadline");
        let wishes = meant.wishes.clone();
        self.arrived(call.connection, &channels, &wishes);
        self.desk.handling.push(Handling { call, token });
    }

    /// A handler is dropped, and with it the duty to answer.
    fn drop_handler(&mut self, call: CallId) {
        // Answered meanwhile, otherwise.
        if let Some(at) = self.desk.handling.iter().position(|handling| handling.call == call) {
            let Handling { token, .. } = self.desk.handling.swap_remove(at);
            self.truth.called(token).outcome = Some(Outcome::Dropped);
            self.session.respond(call, Err(Failure::Cancelled), self.out);
        }
    }

    /// A handler answers.
    pub(super) fn respond(&mut self) {
        if self.desk.handling.is_empty() {
            return;
        }
        let Handling { call, token } =
            self.desk.handling.swap_remove(self.random.index(self.desk.handling.len()));
        let length = self.some_length();
        let bytes = body(!token, length);
        self.truth.arguments(token).for_each(|(_, stream)| stream.before = stream.sent.len());
        let outcome = match self.random.below(10) {
            0 => {
                self.session.respond(call, Err(Failure::HandlerPanicked), self.out);
                Outcome::Panicked
            }
            1 => {
                let error = Failure::User(Buffer::copy_of(&bytes));
                self.session.respond(call, Err(error), self.out);
                Outcome::Error { length }
            }
            _ => self.respond_well(call, token, &bytes),
        };
        self.note(|| format!("answers call {token} with {outcome:?}"));
        self.truth.called(token).outcome = Some(outcome);
    }

    fn respond_well(&mut self, call: CallId, token: u64, bytes: &[u8]) -> Outcome {
        let (metadata, wishes) = (self.some_metadata(), self.some_wishes());
        let answer = Answer { body: &bytes, metadata: &metadata, channels: &wishes, descriptors: &[] };
        match self.session.respond(call, Ok(answer), self.out) {
            None => Outcome::Unsent,
            Some(first) => {
                self.declared(Origin::Result(token), call.connection, first, &wishes);
                Outcome::Result { length: bytes.len(), metadata, wishes }
            }
        }
    }

    /// A message of this side has declared channels.
    pub(super) fn declared(
        &mut self,
        origin: Origin,
        connection: u32,
        first: u64,
        wishes: &[crate::session::Wish],
    ) {
        let Some(window) = self.session.connections.get(connection).map(|it| it.limits.window) else {
            return;
        };
        self.truth.declared(origin, connection, first, wishes, window);
        for (at, wish) in wishes.iter().enumerate() {
            self.begin(crate::session::ChannelId { connection, id: first + 2 * at as u64 }, wish.flow);
        }
    }
}
