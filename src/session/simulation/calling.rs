//! Callers: each makes one call and looks whether the answer is right.

use std::task::Poll;
use std::time::{Duration, Instant};

use super::ensure;
use super::parties::{Party, Then};
use super::truth::{Call, Last, Origin, Outcome, body};
use super::world::Scene;
use crate::session::simulated::{DIFFERS, ECHO, LONG, MISSING};
use crate::session::{
    Answer, Attached, CallId, CallRequest, Declared, Entry, Failure, Flow, Metadata, Method, StartCall,
    Started, Wish,
};

/// Makes one call.
#[derive(Debug)]
pub(super) struct Caller {
    token: u64,
    connection: u32,
    method: &'static Method,
    length: usize,
    metadata: Metadata,
    wishes: Vec<Wish>,
    deadline: Option<Instant>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// It is to start, or waits for its turn.
    Starts { ticket: Option<u64> },
    /// It waits for the answer.
    Waits(CallId),
}

impl Scene<'_> {
    /// A call is to be made.
    pub(super) fn call(&mut self) {
        if self.session.is_over() && !self.random.one_in(8) {
            return;
        }
        // Rather one that is new.
        let count = self.desk.usable.len();
        let any = self.random.index(count);
        let at = self.random.either(3, count - 1, any);
        let connection = self.desk.usable[at];
        let deadline =
            self.random.one_in(8).then(|| self.now + Duration::from_micros(self.random.below(200)));
        let method = match self.random.below(20) {
            0 => &MISSING,
            1 => &DIFFERS,
            2..6 => &LONG,
            _ => &ECHO,
        };
        let (length, metadata, wishes) = (self.some_length(), self.some_metadata(), self.some_wishes());
        let token = self.truth.call(Call {
            metadata: metadata.clone(),
            wishes: wishes.clone(),
            length,
            deadline,
            not_run: true,
            began: false,
            answered: false,
            given_up: false,
            outcome: None,
        });
        self.note(|| format!("call {token} on {connection}: {length} bytes, {wishes:?}, {deadline:?}"));
        let state = State::Starts { ticket: None };
        self.added.push(Party::Caller(Caller {
            token,
            connection,
            method,
            length,
            metadata,
            wishes,
            deadline,
            state,
        }));
    }

    /// A length of a body, now and then too large.
    pub(super) fn some_length(&mut self) -> usize {
        let most = match self.random.below(10) {
            0 => self.setup.agreed.payload as usize + 20,
            1 => 300,
            _ => 40,
        };
        8 + self.random.up_to(most)
    }

    /// Metadata, mostly none, now and then too large.
    pub(super) fn some_metadata(&mut self) -> Metadata {
        let mut metadata = Metadata::new();
        if self.random.one_in(3) {
            for key in 0..1 + self.random.below(2) {
                let most = self.random.either(4, 600, 20);
                let value = vec![7; self.random.up_to(most)];
                metadata.push(Entry::new(key.to_string(), value)).expect("it is within the bounds of all");
            }
        }
        metadata
    }

    /// Channels to declare, mostly none.
    pub(super) fn some_wishes(&mut self) -> Vec<Wish> {
        let count = [0, 0, 0, 1, 1, 1, 2, 4][self.random.index(8)];
        let wish = |_| Wish {
            flow: if self.random.one_in(2) { Flow::Out } else { Flow::In },
            window: self.random.one_in(4).then(|| self.random.small(300)),
        };
        (0..count).map(wish).collect()
    }

    /// Checks why a call was not made, or ended without an answer.
    fn disconnected(&mut self, caller: &Caller, answer: &Answer, started: bool) {
        let Answer::Disconnected { reason, maybe_executed } = answer else {
            super::broken(format!("call {} ended with {answer:?}", caller.token))
        };
        ensure!(started || !maybe_executed, "call {} cannot have run", caller.token);
        self.truth.ended(self.me, caller.connection, reason);
        self.truth.called(caller.token).not_run = !maybe_executed;
    }

    /// Checks why a call cannot be made.
    fn refused(&mut self, caller: &Caller, answer: &Answer) {
        self.note(|| format!("call {} cannot be made: {answer:?}", caller.token));
        let token = caller.token;
        match answer {
            Answer::Failure(Failure::TooLarge { size, limit }) => {
                ensure!(size > limit, "{answer:?}")
            }
            Answer::Failure(Failure::DeadlineExceeded) => {
                let late = caller.deadline.is_some_and(|at| at <= self.now);
                ensure!(late, "call {token} had time left");
            }
            Answer::Failure(Failure::Channels { limit }) => {
                let open = self.session.connections.get(caller.connection).map_or(0, |it| it.channels.ours());
                ensure!(open + caller.wishes.len() > *limit as usize, "call {token} might have had channels");
            }
            answer => self.disconnected(caller, answer, false),
        }
    }

    /// Checks an answer.
    fn answered(&mut self, caller: &Caller, answer: Answer) {
        let token = caller.token;
        self.note(|| format!("call {token} is answered: {answer:?}"));
        let outcome = self.truth.called(token).outcome.clone();
        if !matches!(answer, Answer::Disconnected { .. } | Answer::Failure(Failure::DeadlineExceeded)) {
            self.check_order(token);
        }
        if matches!(answer, Answer::Failure(_)) {
            self.truth.reached.failures += 1;
        }
        match (answer, outcome) {
            (Answer::Response(response), Some(Outcome::Result { length, metadata, wishes })) => {
                let result = response.result() == body(!token, length);
                let Attached { metadata: said, channels, .. } =
                    response.attached.map_or_else(Attached::default, |it| *it);
                let right = result && said == metadata;
                ensure!(right, "call {token} has a wrong result");
                self.truth.reached.results += 1;
                self.truth.called(token).answered = true;
                self.arrived(caller.connection, &channels, &wishes);
            }
            (Answer::Failure(Failure::UnknownMethod), None) => {
                ensure!(caller.method.id == MISSING.id, "{token}")
            }
            (Answer::Failure(Failure::InvalidPayload(text)), None) => {
                ensure!(caller.method.id == DIFFERS.id && text.contains("sim.differs"), "{token}: {text}");
            }
            (Answer::Failure(Failure::HandlerPanicked), Some(Outcome::Panicked)) => {}
            (Answer::Failure(Failure::User(error)), Some(Outcome::Error { length })) => {
                ensure!(*error == body(!token, length), "call {token} has a wrong error");
            }
            (Answer::Failure(Failure::DeadlineExceeded), _) => {
                self.truth.called(token).given_up = true;
                let late = caller.deadline.is_some_and(|at| at <= self.now);
                ensure!(late, "call {token} had time left");
            }
            (
                Answer::Failure(Failure::TooLarge { size, limit }),
                Some(Outcome::Unsent | Outcome::Error { .. }),
            ) => {
                ensure!(size > limit, "{size} are not too large for {limit}");
            }
            (
                Answer::Failure(Failure::InvalidPayload(_) | Failure::Channels { .. }),
                Some(Outcome::Unsent),
            ) => {}
            (answer @ Answer::Disconnected { .. }, _) => self.disconnected(caller, &answer, true),
            (answer, outcome) => super::broken(format!("call {token}: {answer:?} for {outcome:?}")),
        }
    }

    /// Checks that what was sent before a call's answer has come before it.
    fn check_order(&mut self, token: u64) {
        for (id, stream) in self.truth.arguments(token) {
            let Some(connection) = self.session.connections.get(id.connection) else { continue };
            // Neither reset nor let go of, and it is this side that receives.
            let open = !stream.refused && stream.last != Some(Last::Reset);
            if let Some(waiting) = connection.channels.waiting(id.id).filter(|_| open) {
                let arrived = stream.fetched + waiting;
                ensure!(arrived >= stream.before, "the answer of call {token} comes before items of {id:?}");
            }
        }
    }

    /// Takes the ends of channels that the peer's message has declared.
    pub(super) fn arrived(&mut self, connection: u32, declared: &[Declared], wishes: &[Wish]) {
        let flows = declared.iter().map(|declared| declared.flow);
        let right = flows.eq(wishes.iter().map(|wish| wish.flow.other()));
        ensure!(right, "{declared:?} were declared as {wishes:?}");
        for &Declared { id, flow, .. } in declared {
            self.begin(crate::session::ChannelId { connection, id }, flow);
        }
    }
}

impl Caller {
    pub(super) fn run(&mut self, scene: &mut Scene<'_>) -> Then {
        match self.state {
            State::Waits(call) => match scene.session.poll_answer(call, Some(&scene.waker)) {
                Poll::Pending => Then::Waits,
                Poll::Ready(answer) => {
                    scene.answered(self, answer);
                    Then::Done
                }
            },
            State::Starts { ref mut ticket } => {
                let body = body(self.token, self.length);
                let request = CallRequest {
                    connection: self.connection,
                    method: self.method.into(),
                    body: &body.as_slice(),
                    metadata: &self.metadata,
                    channels: &self.wishes,
                    descriptors: &[],
                    deadline: self.deadline,
                };
                let started = match scene.session.start_call(&request, || scene.now, scene.out) {
                    StartCall::Busy => match scene.session.wait_turn(&request, ticket, &scene.waker) {
                        None => return Then::Waits,
                        Some(answer) => Err(answer),
                    },
                    StartCall::Started(started) => Ok(started),
                    StartCall::Refused(answer) => Err(answer),
                };
                if let Some(ticket) = ticket.take() {
                    scene.session.abandon(self.connection, ticket);
                }
                match started {
                    Ok(started) => self.started(started, scene),
                    Err(answer) => {
                        scene.refused(self, &answer);
                        Then::Done
                    }
                }
            }
        }
    }

    fn started(&mut self, started: Started, scene: &mut Scene<'_>) -> Then {
        let Started { call, first_channel } = started;
        scene.note(|| format!("call {} is {call:?}, channels from {first_channel}", self.token));
        scene.truth.started(call);
        scene.truth.called(self.token).not_run = false;
        scene.declared(Origin::Arguments(self.token), self.connection, first_channel, &self.wishes);
        self.state = State::Waits(call);
        Then::Again
    }

    /// Its caller is gone.
    pub(super) fn give_up(self, scene: &mut Scene<'_>) {
        scene.note(|| format!("call {} is given up", self.token));
        match self.state {
            State::Starts { ticket: Some(ticket) } => scene.session.abandon(self.connection, ticket),
            State::Starts { ticket: None } => {}
            State::Waits(call) => {
                scene.truth.called(self.token).given_up = true;
                scene.session.cancel(call, scene.out);
            }
        }
    }
}
