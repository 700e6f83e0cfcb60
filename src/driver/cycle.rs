//! What the software of a call costs: one call after the other over shared memory, both sides on one thread, so that nobody waits
//! and no line crosses between processors. Not a test: `docs/performance.md` says how to run it.

use std::hint::black_box;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use super::engine::Engine;
use super::serving::{Executor, begin};
use super::tests::{ECHO, Echo, request, session, shm_pair};
use super::{Handler, Slots, blocking};
use crate::session::{CallId, Inbound, Role, StartCall, Work};

/// Handlers here finish at once.
struct Nobody;

impl Executor for Nobody {
    fn adopt(&mut self, _: CallId, _: Handler) {
        unreachable!("an echo is never pending");
    }
}

#[test]
#[ignore = "a measurement"]
fn cycle() {
    let calls = std::env::var("TRANSOM_CYCLES").map_or(1_000_000, |calls| calls.parse().expect("a number"));
    let (one, other) = shm_pair().unwrap();
    let server = blocking::start(session(Role::Acceptor), other, Arc::new(Echo)).unwrap();
    let client = blocking::start(session(Role::Initiator), one, Arc::new(Echo)).unwrap();
    for _ in 0..10 {
        for engine in [&server, &client] {
            engine.with(|core| while core.advance() {});
        }
    }
    let mut slots = Slots::default();
    for _ in 0..5 {
        let begun = Instant::now();
        for _ in 0..calls {
            let id = start(&client);
            begin(&server, arrived(&server), &mut slots, &mut Nobody);
            let answer = client.with(|core| {
                core.awake();
                assert!(core.advance(), "the answer is there");
                core.session.poll_answer(id, None)
            });
            assert!(black_box(answer).is_ready());
        }
        println!("{:.1} ns a call", begun.elapsed().as_nanos() as f64 / f64::from(calls));
    }
}

fn start(client: &Engine) -> CallId {
    let body: &[u8] = &[7; 16];
    client.with(|core| match core.session.start_call(&request(&ECHO, &body), Instant::now, &mut *core.out) {
        StartCall::Started(started) => started.call,
        other => panic!("{other:?}"),
    })
}

fn arrived(server: &Engine) -> Inbound {
    server.with(|core| {
        core.awake();
        loop {
            assert!(core.advance(), "the request is there");
            if let Poll::Ready(Work::Serve(inbound)) = core.session.poll_work(None) {
                return inbound;
            }
        }
    })
}
