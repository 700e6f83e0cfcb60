//! Everybody at once, on a session that stays open: every call ends as it may, and then nothing is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use transom::{Limits, Options, Session};

use crate::callers::{join, start};
use crate::numbers::Numbers;
use crate::sides::{Driver, Ground, TRANSPORTS, open};
use crate::watch::{assert_idle, eventually, rounds};
use crate::work::{ALL, Ask, How, Outcome, Work, WorksBlockingClient, WorksServer, alive, check};

/// Callers on each side, and what each asks.
const CALLERS: usize = 8;
const CALLS: usize = 60;

/// A call back would wait for its turn for ever, where each side has its one call in a handler that calls back.
const ONE_WAY: [How; 7] =
    [How::AtOnce, How::Apart, How::Once, How::Elsewhere, How::Sleeps, How::Panics, How::Never];

/// Goes on until so many calls have ended, each plausibly.
fn so_many(
    calls: usize,
    total: &Arc<AtomicUsize>,
) -> impl FnMut(&Ask, Option<Outcome>) -> bool + Send + use<> {
    let (mut left, total) = (calls, Arc::clone(total));
    move |ask, outcome| {
        if let Some(outcome) = &outcome {
            check(ask, outcome);
        }
        total.fetch_add(1, Ordering::Relaxed);
        left -= 1;
        left > 0
    }
}

fn everybody(
    transport: &str,
    drivers: [Driver; 2],
    options: &Options,
    ways: &'static [How],
    numbers: &mut Numbers,
) {
    let what = format!("{transport}, {drivers:?}, {numbers:?}");
    let begun = std::time::Instant::now();
    eprintln!("{what}");
    let grounds = drivers.map(Ground::new);
    let sessions =
        open(transport, [&grounds[0], &grounds[1]], [(); 2].map(|()| WorksServer::new(Work)), options);
    let total = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = grounds
        .iter()
        .zip(&sessions)
        .flat_map(|side| start(side, CALLERS, ways, numbers, || so_many(CALLS, &total)))
        .collect();
    join(callers);
    eprintln!("{:?}", begun.elapsed());
    assert_eq!(total.load(Ordering::Relaxed), 2 * CALLERS * CALLS, "{what}");
    calls_again(&sessions, &what);
    eventually("all handlers are done or dropped", || alive() == 0);
    assert_idle(&what);
    calls_again(&sessions, &what);
}

/// Nothing is left that would be in the way of another call.
fn calls_again(sessions: &[Session; 2], what: &str) {
    for session in sessions {
        let works: WorksBlockingClient = session.client();
        assert_eq!(works.at_once(1, &[1], 2), Ok((1, vec![254; 2])), "{what}");
    }
}

#[test]
fn everybody_calls_everybody_else() {
    rounds(1, |round| {
        for transport in TRANSPORTS {
            for drivers in [
                [Driver::CurrentThread, Driver::MultiThread],
                [Driver::Blocking, Driver::Blocking],
                [Driver::MultiThread, Driver::Blocking],
                [Driver::Blocking, Driver::CurrentThread],
            ] {
                everybody(transport, drivers, &Options::new(), &ALL, &mut Numbers(round));
            }
        }
    });
}

#[test]
fn everybody_waits_for_a_turn() {
    rounds(1, |round| {
        for transport in TRANSPORTS {
            for drivers in
                [[Driver::Blocking, Driver::MultiThread], [Driver::CurrentThread, Driver::Blocking]]
            {
                let mut limits = Limits::default();
                limits.requests = 1;
                everybody(transport, drivers, &Options::new().limits(limits), &ONE_WAY, &mut Numbers(round));
            }
        }
    });
}
