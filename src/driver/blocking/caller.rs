//! A thread that waits for something of a session: it drains for itself while it may, and sleeps on the bell,
//! or parks while another thread does either.

use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

use crate::driver::engine::{Engine, Resident};
use crate::link::{Signal, SleepMode, Transmit};
use crate::session::{Answer, CallRequest, CloseReason, Negotiated, Session, StartCall};

/// A call on this thread.
pub(in crate::driver) fn call(engine: &Engine, call: &CallRequest<'_>) -> Answer {
    let first = engine.with(|session, out| session.start_call(call, Instant::now, out));
    let started = match first {
        StartCall::Started(id) => Ok(id),
        StartCall::Refused(answer) => Err(answer),
        StartCall::Busy => wait_turn(engine, call),
    };
    match started {
        Ok(id) => {
            if call.deadline.is_some() && engine.resident != Resident::None {
                engine.wake_resident();
            }
            wait(engine, call.deadline, |session, _, waker| match session.poll_answer(id, waker) {
                Poll::Ready(answer) => Some(answer),
                Poll::Pending => None,
            })
        }
        Err(answer) => answer,
    }
}

#[cold]
fn wait_turn(engine: &Engine, call: &CallRequest<'_>) -> Result<u64, Answer> {
    let mut ticket = None;
    let started = wait(engine, call.deadline, |session, out, waker| {
        match session.start_call(call, Instant::now, out) {
            StartCall::Started(id) => Some(Ok(id)),
            StartCall::Refused(answer) => Some(Err(answer)),
            StartCall::Busy => {
                session.wait_turn(&mut ticket, call.deadline, waker.unwrap_or(Waker::noop())).map(Err)
            }
        }
    });
    if let Some(ticket) = ticket {
        engine.with(|session, _| session.abandon(ticket));
    }
    started
}

/// Waits until the handshake is done.
pub(crate) fn wait_open(engine: &Engine) -> Result<Arc<Negotiated>, CloseReason> {
    wait(engine, None, |session, _, waker| match session.poll_open(waker.unwrap_or(Waker::noop())) {
        Poll::Ready(open) => Some(open),
        Poll::Pending => None,
    })
}

/// Waits until the session has ended.
pub(in crate::driver) fn wait_closed(engine: &Engine) -> CloseReason {
    if engine.resident == Resident::None {
        return wait(engine, None, |session, _, waker| {
            match session.poll_closed(waker.unwrap_or(Waker::noop())) {
                Poll::Ready(reason) => Some(reason),
                Poll::Pending => None,
            }
        });
    }
    // The resident drains. A second thread on the bell would take requests in only to hand them over.
    let waker = Waker::from(Arc::new(ThreadWaker(std::thread::current())));
    loop {
        match engine.with(|session, _| session.poll_closed(&waker)) {
            Poll::Ready(reason) => return reason,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Waits until `ready` gives something. It is called under the producer lock: first without a waker, and with
/// one to register before this thread sleeps.
fn wait<T>(
    engine: &Engine,
    deadline: Option<Instant>,
    mut ready: impl FnMut(&mut Session, &mut dyn Transmit, Option<&Waker>) -> Option<T>,
) -> T {
    let mut place: Option<Place> = None;
    let done = loop {
        let local = engine.signal.local();
        let Some(mut intake) = engine.take_role() else {
            if let Some(done) = park(engine, &mut place, deadline, &mut ready) {
                break done;
            }
            continue;
        };
        let mut done = match place {
            // The first look finds nothing that the caller did not know.
            None => None,
            Some(_) => engine.with(|session, out| ready(session, out, None)),
        };
        let mut looks = 0;
        while done.is_none() {
            let mut now = None;
            match engine.take_frame(&mut intake, |_| ()) {
                Some(()) => {
                    now = engine.with(|session, out| ready(session, out, None));
                    looks = 0;
                }
                None if intake.spin.looks_on(looks) && engine.signal.may_spin() => {
                    looks += 1;
                    std::hint::spin_loop();
                }
                None => break,
            }
            done = now;
        }
        if engine.is_lost() {
            engine.bury(&mut intake);
        }
        if done.is_some()
            || engine.peek(|session| session.has_requests()) && engine.resident != Resident::None
        {
            engine.leave(intake, false);
            if let Some(done) = done {
                break done;
            }
            engine.wake_resident();
            continue;
        }
        intake.spin.about_to_sleep(Instant::now());
        let place = place.get_or_insert_with(|| Place::new(engine));
        if engine.has_sleeper() {
            // Somebody sleeps on the bell already and will serve this thread too.
            engine.leave(intake, false);
            if let Some(done) = park(engine, &mut Some(place.clone()), deadline, &mut ready) {
                break done;
            }
            continue;
        }
        if let Some(done) = engine.with(|session, out| ready(session, out, Some(&place.on_bell))) {
            engine.leave(intake, false);
            break done;
        }
        engine.enter_bell(place.ticket);
        let note = engine.announce(&mut intake, SleepMode::Futex);
        if note.is_none() {
            engine.leave_bell(place.ticket);
        }
        if intake.release().wanted() && note.is_none() {
            engine.nominate();
        }
        if let Some(note) = note {
            engine.signal.wait(note, local, next_deadline(engine, deadline));
            engine.leave_bell(place.ticket);
            expire(engine);
        }
    };
    if let Some(place) = place {
        leave(engine, &place);
    }
    done
}

/// A waiting thread: its place among those parked, and the two ways to wake it.
#[derive(Clone)]
struct Place {
    ticket: u64,
    on_bell: Waker,
    parked: Waker,
}

impl Place {
    fn new(engine: &Engine) -> Self {
        Self {
            ticket: engine.ticket(),
            on_bell: Waker::from(Arc::new(BellWaker(Arc::clone(&engine.signal)))),
            parked: Waker::from(Arc::new(ThreadWaker(std::thread::current()))),
        }
    }
}

struct ThreadWaker(Thread);

impl Wake for ThreadWaker {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

struct BellWaker(Arc<dyn Signal>);

impl Wake for BellWaker {
    fn wake(self: Arc<Self>) {
        self.0.wake_local();
    }
}

/// Another thread holds the role or sleeps on the bell: it completes this thread's wait, or hands the role on.
fn park<T>(
    engine: &Engine,
    place: &mut Option<Place>,
    deadline: Option<Instant>,
    ready: &mut impl FnMut(&mut Session, &mut dyn Transmit, Option<&Waker>) -> Option<T>,
) -> Option<T> {
    let place = place.get_or_insert_with(|| Place::new(engine));
    engine.park_as(place.ticket);
    let done = engine.with(|session, out| ready(session, out, Some(&place.parked)));
    if done.is_some() {
        return done;
    }
    // Announced; try again before sleeping: the role may have become free with nobody left to hand it on.
    match engine.take_role() {
        Some(intake) if !engine.has_sleeper() => {
            drop_role(engine, intake);
            return None;
        }
        Some(intake) => engine.leave(intake, false),
        None => {}
    }
    match next_deadline(engine, deadline) {
        Some(at) => std::thread::park_timeout(at.saturating_duration_since(Instant::now())),
        None => std::thread::park(),
    }
    expire(engine);
    engine.unpark_as(place.ticket);
    engine.with(|session, out| ready(session, out, None))
}

fn drop_role(engine: &Engine, intake: transom_shm_layout::role::Held<'_, crate::driver::engine::Intake>) {
    if intake.release().wanted() {
        engine.nominate();
    }
}

/// When the session's own timers are nobody else's, this thread keeps them.
fn next_deadline(engine: &Engine, deadline: Option<Instant>) -> Option<Instant> {
    let timer = engine.peek(|session| session.next_timeout());
    match (deadline, timer) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn expire(engine: &Engine) {
    if let Some(at) = engine.peek(|session| session.next_timeout()) {
        let now = Instant::now();
        if at <= now {
            engine.with(|session, out| session.handle_timeout(now, out));
        }
    }
}

/// Whoever leaves passes on what it may have been nominated for.
fn leave(engine: &Engine, place: &Place) {
    engine.leave_bell(place.ticket);
    engine.unpark_as(place.ticket);
    if engine.has_sleeper() {
        return;
    }
    engine.nominate();
}
