//! The thread that looks after a blocking session that serves: it drains when no caller does and runs handlers.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use super::executor::Pending;
use crate::driver::engine::{Engine, FRAMES_AT_A_TIME, RESIDENT, Resident};
use crate::driver::serving::{Served, serve};
use crate::driver::{Dispatch, Slots};
use crate::link::{Link, SleepMode};
use crate::memory::Watch;
use crate::session::Session;

/// Rounds of serving and looking before the clock is looked at, too: time does not wait for the end of a flood.
const ROUNDS: u64 = 32;

/// Starts a session that only calls: no thread of its own.
///
/// # Errors
/// When the link's lifeline cannot be watched.
pub(crate) fn start(
    session: Session,
    link: Link,
    dispatch: Arc<dyn Dispatch>,
) -> io::Result<(Arc<Engine>, Option<Watch>)> {
    begin(session, link, dispatch, Resident::None)
}

/// Starts a session that serves, with a resident thread.
///
/// # Errors
/// When the lifeline cannot be watched or the thread cannot be started.
pub(crate) fn start_serving(
    session: Session,
    link: Link,
    dispatch: Arc<dyn Dispatch>,
) -> io::Result<Arc<Engine>> {
    let (engine, watch) = begin(session, link, dispatch, Resident::Thread)?;
    let shared = Arc::clone(&engine);
    std::thread::Builder::new().name("transom".to_owned()).spawn(move || {
        run(&shared);
        drop(watch);
    })?;
    Ok(engine)
}

fn begin(
    mut session: Session,
    mut link: Link,
    dispatch: Arc<dyn Dispatch>,
    resident: Resident,
) -> io::Result<(Arc<Engine>, Option<Watch>)> {
    session.start(&mut *link.transmit);
    let engine = Engine::new(session, link, dispatch, resident);
    engine.with(|_, _| ());
    let weak = Arc::downgrade(&engine);
    let watch = match engine.signal.lifeline() {
        Some(lifeline) => Some(Watch::new(lifeline.as_fd(), move || {
            if let Some(engine) = weak.upgrade() {
                engine.hung_up();
            }
        })?),
        None => None,
    };
    Ok((engine, watch))
}

fn run(engine: &Engine) {
    let mut slots = Slots::default();
    let mut pending = Pending::new(Arc::clone(&engine.signal));
    let ticket = engine.ticket();
    for round in 0_u64.. {
        if round % ROUNDS == 0 {
            engine.expire();
        }
        let local = engine.signal.local();
        let served = serve(engine, &mut slots, &mut pending);
        if pending.poll() || served == Served::Some {
            continue;
        }
        let Some(mut intake) = engine.take_role() else {
            // A caller drains; it hands the role on when it leaves.
            engine.park_as(ticket);
            match engine.take_role() {
                Some(intake) => engine.leave(intake, false),
                None => std::thread::park(),
            }
            engine.unpark_as(ticket);
            continue;
        };
        let (mut looks, mut frames) = (0, 0);
        let found = loop {
            match engine.take_frame(&mut intake, |session| (session.has_requests(), session.is_over())) {
                Some((true, _)) => break true,
                Some((false, true)) => break false,
                Some(_) if frames == FRAMES_AT_A_TIME => {
                    engine.expire();
                    break true;
                }
                Some(_) => (looks, frames) = (0, frames + 1),
                None if intake.spin.looks_on(looks) && engine.signal.may_spin() => {
                    looks += 1;
                    std::hint::spin_loop();
                }
                None => break false,
            }
        };
        if engine.is_lost() {
            engine.bury(&mut intake);
        }
        if found {
            engine.leave(intake, false);
            continue;
        }
        if engine.peek(|session| session.is_over()) {
            engine.leave(intake, false);
            engine.wake_all();
            return;
        }
        intake.spin.about_to_sleep(Instant::now());
        engine.enter_bell(RESIDENT);
        let Some(note) = engine.announce(&mut intake, SleepMode::Futex) else {
            engine.leave_bell(RESIDENT);
            engine.leave(intake, false);
            continue;
        };
        let _wanted_is_served_by_the_sleeper = intake.release();
        engine.signal.wait(note, local, engine.peek(|session| session.next_timeout()));
        engine.leave_bell(RESIDENT);
        engine.expire();
    }
}
