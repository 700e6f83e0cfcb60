//! Everybody at once, on a session that ends in the middle: every call ends, and nothing is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use transom::{CallError, Options};

use crate::callers::{is_disconnected, join, start};
use crate::numbers::Numbers;
use crate::sides::{Driver, Ground, TRANSPORTS, open};
use crate::watch::{assert_idle, eventually, rounds};
use crate::work::{ALL, Ask, How, Outcome, Work, WorksServer, alive, check};

/// Callers on each side.
const CALLERS: usize = 6;

/// What ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Close,
    Goodbye,
    GoodbyeWithin,
    /// The last who holds the session lets go of it.
    Drop,
    /// The runtime ends, or the thread that there is instead is told to close.
    Runtime,
}

const ENDS: [End; 5] = [End::Close, End::Goodbye, End::GoodbyeWithin, End::Drop, End::Runtime];

/// Goes on until the session is over.
fn to_the_end(ended: &Arc<AtomicUsize>) -> impl FnMut(&Ask, Option<Outcome>) -> bool + Send + use<> {
    let ended = Arc::clone(ended);
    move |ask, outcome| {
        match outcome {
            None => {}
            Some(outcome) if is_disconnected(&outcome) => {
                ended.fetch_add(1, Ordering::Relaxed);
                return false;
            }
            // Its handler went with the session, or could not call back any more.
            Some(Err(CallError::Cancelled)) => {}
            Some(Err(CallError::HandlerPanicked)) if ask.how == How::CallsBack => {}
            Some(outcome) => check(ask, &outcome),
        }
        true
    }
}

fn ended_by(end: End, by: usize, transport: &str, drivers: [Driver; 2], numbers: &mut Numbers) {
    let what = format!("{end:?} by {by}, {transport}, {drivers:?}, {numbers:?}");
    let mut grounds = drivers.map(Ground::new);
    let services = [(); 2].map(|()| WorksServer::new(Work));
    let sessions = open(transport, [&grounds[0], &grounds[1]], services, &Options::new());
    let ended = Arc::new(AtomicUsize::new(0));
    let (mut callers, mut calling) = (Vec::new(), 0);
    for (at, side) in grounds.iter().zip(&sessions).enumerate() {
        // Who calls holds the session, and goes with the runtime.
        if at != by || !matches!(end, End::Drop | End::Runtime) {
            callers.extend(start(side, CALLERS, &ALL, numbers, || to_the_end(&ended)));
            calling += CALLERS;
        }
    }
    thread::sleep(Duration::from_micros(numbers.below(8000)));
    let mut sessions = sessions.map(Some);
    match (end, &sessions[by]) {
        (End::Close, Some(session)) => session.close(),
        (End::Goodbye, Some(session)) => session.goodbye(),
        (End::GoodbyeWithin, Some(session)) => {
            session.goodbye_within(Duration::from_micros(numbers.below(3000)))
        }
        (End::Drop, _) => drop(sessions[by].take()),
        (End::Runtime, Some(session)) => match drivers[by] {
            Driver::Blocking => session.close(),
            _ => grounds[by].end(),
        },
        (_, None) => {}
    }
    join(callers);
    assert_eq!(ended.load(Ordering::Relaxed), calling, "{what}");
    eventually(&what, || sessions.iter().flatten().all(|session| !session.is_open()));
    eventually("all handlers are done or dropped", || alive() == 0);
    assert_idle(&what);
}

#[test]
fn whatever_ends_a_session_ends_all_calls() {
    rounds(1, |round| {
        let mut numbers = Numbers(round);
        for end in ENDS {
            for transport in TRANSPORTS {
                let all = [Driver::CurrentThread, Driver::MultiThread, Driver::Blocking];
                let drivers = [(); 2].map(|()| *numbers.pick(&all));
                let by = usize::try_from(numbers.below(2)).unwrap();
                ended_by(end, by, transport, drivers, &mut numbers);
            }
        }
    });
}
