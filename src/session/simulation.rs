//! Two sessions on a simulated link with virtual time: seeded, every invariant checked after every step.

use std::collections::BTreeMap;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use super::simulated::{DIFFERS, ECHO, MISSING, Peer, pair};
use super::{Answer, CallId, CloseReason, Failure, Limits, Outcome, StartCall};
use crate::link::Header;

/// A small generator of numbers (splitmix64, Steele et al. 2014), so that a seed is a whole run.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31) % bound
    }
}

/// What one side knows of its own calls.
#[derive(Default)]
struct Ledger {
    /// Calls in flight: what each sent.
    open: BTreeMap<CallId, Vec<u8>>,
    completed: usize,
    /// Requests being handled: id and argument.
    handling: Vec<(CallId, Vec<u8>)>,
}

struct Simulation {
    peers: [Peer; 2],
    ledgers: [Ledger; 2],
    random: Random,
    now: Instant,
    limits: Limits,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let limits = Limits {
            requests: u32::try_from(1 + random.below(6)).unwrap(),
            payload: Limits::LEAST_PAYLOAD + random.below(2000),
            ..Limits::default()
        };
        let most = 64 + usize::try_from(random.below(200)).unwrap();
        let capacity = (Header::LEN + most) * (1 + usize::try_from(random.below(4)).unwrap());
        let mut peers = pair(capacity, most, limits);
        for peer in &mut peers {
            peer.session.start(&mut peer.out);
        }
        Self { peers, ledgers: Default::default(), random, now: Instant::now(), limits }
    }

    fn step(&mut self) {
        let side = usize::from(self.random.below(2) == 1);
        match self.random.below(12) {
            0..=4 => {
                self.peers[side].receive(self.now);
            }
            5 | 6 => self.start(side),
            7 | 8 => self.serve(side),
            9 => self.cancel(side),
            10 => self.now += Duration::from_micros(self.random.below(50)),
            _ => {
                let peer = &mut self.peers[side];
                if peer.session.next_timeout().is_some_and(|at| at <= self.now) {
                    peer.session.handle_timeout(self.now, &mut peer.out);
                }
            }
        }
        self.peers[side].settle();
        self.drop_cancelled(side);
        self.collect(side);
        self.check(side);
    }

    fn start(&mut self, side: usize) {
        let length = usize::try_from(self.random.below(self.limits.payload + 20)).unwrap();
        let length = if self.random.below(3) == 0 { length } else { length % 40 };
        let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let deadline =
            (self.random.below(4) == 0).then(|| self.now + Duration::from_micros(self.random.below(200)));
        let method = match self.random.below(20) {
            0 => &MISSING,
            1 => &DIFFERS,
            _ => &ECHO,
        };
        match self.peers[side].call(method, &bytes, deadline, self.now) {
            StartCall::Started(started) => {
                let expected =
                    if method.id == ECHO.id { bytes } else { vec![u8::try_from(method.id).unwrap()] };
                assert!(
                    self.ledgers[side].open.insert(started.call, expected).is_none(),
                    "an ID was used twice"
                );
            }
            StartCall::Busy => {}
            StartCall::Refused(Answer::Failure(Failure::TooLarge { size, limit })) => assert!(size > limit),
            StartCall::Refused(Answer::Failure(Failure::DeadlineExceeded)) => assert!(deadline.is_some()),
            StartCall::Refused(answer) => panic!("refused: {answer:?}"),
        }
    }

    fn serve(&mut self, side: usize) {
        let peer = &mut self.peers[side];
        if let Some(request) = peer.session.next_request() {
            assert_eq!(request.method, ECHO.id);
            self.ledgers[side].handling.push((request.call, request.payload[request.body..].to_vec()));
        }
        let handling = &mut self.ledgers[side].handling;
        if handling.is_empty() || self.random.below(2) == 0 {
            return;
        }
        let at = usize::try_from(self.random.below(handling.len() as u64)).unwrap();
        let (id, bytes) = handling.swap_remove(at);
        if self.random.below(10) == 0 {
            peer.session.respond(id, Err(Failure::HandlerPanicked), &mut peer.out);
        } else {
            peer.session.respond(id, Ok(Outcome::plain(&bytes.as_slice())), &mut peer.out);
        }
    }

    fn drop_cancelled(&mut self, side: usize) {
        let peer = &mut self.peers[side];
        while let Some(id) = peer.session.next_cancelled() {
            let handling = &mut self.ledgers[side].handling;
            // Answered meanwhile, or the session is over.
            if let Some(at) = handling.iter().position(|(handled, _)| *handled == id) {
                handling.swap_remove(at);
                peer.session.respond(id, Err(Failure::Cancelled), &mut peer.out);
            }
        }
        peer.settle();
    }

    fn cancel(&mut self, side: usize) {
        let open: Vec<CallId> = self.ledgers[side].open.keys().copied().collect();
        if open.is_empty() {
            return;
        }
        let id = open[usize::try_from(self.random.below(open.len() as u64)).unwrap()];
        self.ledgers[side].open.remove(&id);
        let peer = &mut self.peers[side];
        peer.session.cancel(id, &mut peer.out);
    }

    fn collect(&mut self, side: usize) {
        let ledger = &mut self.ledgers[side];
        let ids: Vec<CallId> = ledger.open.keys().copied().collect();
        for id in ids {
            let Poll::Ready(answer) = self.peers[side].session.poll_answer(id, Some(Waker::noop())) else {
                continue;
            };
            let expected = ledger.open.remove(&id).unwrap();
            ledger.completed += 1;
            match answer {
                Answer::Response(response) => assert_eq!(response.result(), expected),
                Answer::Failure(Failure::UnknownMethod) => assert_eq!(expected, [8]),
                Answer::Failure(Failure::InvalidPayload(text)) => {
                    assert_eq!(expected, [9]);
                    assert!(text.contains("sim.differs"));
                }
                Answer::Failure(Failure::HandlerPanicked | Failure::DeadlineExceeded) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn check(&self, side: usize) {
        let session = &self.peers[side].session;
        assert!(session.close_reason().is_none(), "{:?}", session.close_reason());
        assert!(session.calls_in_flight() <= self.limits.requests as usize);
        assert!(
            session.connections.root.incoming.in_flight() <= usize::try_from(self.limits.requests).unwrap()
        );
    }

    /// Lets everything in flight finish and both sides say goodbye.
    fn finish(&mut self) {
        for round in 0..10_000 {
            for side in 0..2 {
                while self.peers[side].receive(self.now) {}
                if round == 50 && side == 0 {
                    let peer = &mut self.peers[0];
                    peer.session.goodbye(&mut peer.out, None);
                }
                self.peers[side].settle();
                self.drop_cancelled(side);
                while self.peers[side].session.has_requests() || !self.ledgers[side].handling.is_empty() {
                    self.serve(side);
                    self.drop_cancelled(side);
                }
                self.peers[side].settle();
                self.collect(side);
            }
            if self.peers.iter().all(|peer| peer.session.is_over()) {
                break;
            }
        }
        assert_eq!(self.peers[0].session.close_reason(), Some(&CloseReason::Local));
        assert_eq!(self.peers[1].session.close_reason(), Some(&CloseReason::Goodbye));
        for (peer, ledger) in self.peers.iter().zip(&self.ledgers) {
            assert!(ledger.open.is_empty(), "calls without an answer: {:?}", ledger.open.keys());
            assert_eq!(peer.session.calls_in_flight(), 0);
            assert!(peer.session.next_timeout().is_none());
            assert!(peer.incoming.lock().unwrap().frames.is_empty());
        }
    }
}

#[test]
fn every_call_ends_once_whatever_the_order() {
    let mut completed = 0;
    for seed in 0..400 {
        let outcome = std::panic::catch_unwind(|| {
            let mut simulation = Simulation::new(seed);
            for _ in 0..1500 {
                simulation.step();
            }
            simulation.finish();
            simulation.ledgers.iter().map(|ledger| ledger.completed).sum::<usize>()
        });
        match outcome {
            Ok(count) => completed += count,
            Err(panic) => {
                eprintln!("seed {seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert!(completed > 8_000, "the simulation does next to nothing: {completed}");
}

#[test]
fn a_link_that_breaks_answers_every_call() {
    for seed in 0..200 {
        let mut simulation = Simulation::new(seed);
        for _ in 0..simulation.random.below(400) {
            simulation.step();
        }
        for side in 0..2 {
            let peer = &mut simulation.peers[side];
            peer.session.link_lost(CloseReason::PeerDied);
            for (id, _) in std::mem::take(&mut simulation.ledgers[side].open) {
                match peer.session.poll_answer(id, None) {
                    Poll::Ready(
                        Answer::Disconnected { reason: CloseReason::PeerDied, .. } | Answer::Failure(_),
                    ) => {}
                    other => panic!("seed {seed}: {other:?}"),
                }
            }
            assert!(peer.session.connections.root.outgoing.is_empty(), "seed {seed}: state is left behind");
            assert_eq!(peer.session.connections.root.incoming.in_flight(), 0);
        }
    }
}
