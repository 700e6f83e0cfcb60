//! The thread that looks after a blocking session that serves: it looks when no caller does, and runs handlers.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::task::Poll;

use super::executor::Pending;
use super::wait::{Waiter, wait};
use crate::driver::engine::Engine;
use crate::driver::serving::{self, closed, open};
use crate::driver::{Dispatch, Slots};
use crate::link::Link;
use crate::memory::Watch;
use crate::session::{Session, Work};

/// Starts a session that only calls: no thread of its own.
///
/// # Errors
/// When the link's lifeline cannot be watched.
pub(crate) fn start(
    mut session: Session,
    link: Link,
    dispatch: Arc<dyn Dispatch>,
) -> io::Result<Arc<Engine>> {
    session.leave_unattended();
    begin(session, link, dispatch)
}

fn begin(session: Session, link: Link, dispatch: Arc<dyn Dispatch>) -> io::Result<Arc<Engine>> {
    let engine = Engine::new(session, link, dispatch);
    // Publishes the hello.
    engine.with(|_| ());
    let weak = Arc::downgrade(&engine);
    if let Some(lifeline) = engine.signal.lifeline() {
        let watch = Watch::new(lifeline.as_fd(), move || {
            if let Some(engine) = weak.upgrade() {
                engine.hung_up();
            }
        })?;
        drop(engine.with(|core| core.keep(watch)));
    }
    Ok(engine)
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
    let engine = begin(session, link, dispatch)?;
    let shared = Arc::clone(&engine);
    std::thread::Builder::new().name("transom".to_owned()).spawn(move || run(&shared))?;
    Ok(engine)
}

fn run(engine: &Arc<Engine>) {
    let waiter = Waiter::of(engine);
    let (mut slots, mut pending) = (Slots::default(), Pending::new(Arc::clone(&waiter).into()));
    let mut waiter = Some(waiter);
    loop {
        let work = wait(engine, &mut waiter, |session, _, waker| {
            if pending.is_woken() {
                return Some(None);
            }
            match session.poll_work(waker) {
                Poll::Ready(work) => Some(Some(work)),
                Poll::Pending => None,
            }
        });
        match work {
            None => pending.poll(),
            Some(Work::Serve(inbound)) => serving::begin(engine, inbound, &mut slots, &mut pending),
            Some(Work::Drop(call)) => pending.cancel(call),
            Some(Work::Open(request)) => open(engine, request),
            Some(Work::Closed(id)) => closed(engine, id),
            Some(Work::Over) => return,
        }
    }
}
