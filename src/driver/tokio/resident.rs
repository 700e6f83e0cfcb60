//! The task that looks after one session: drains when no caller does, serves requests, keeps time, notices death.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Sleep;

use super::tasks::Tasks;
use crate::driver::engine::{Engine, RESIDENT, Resident};
use crate::driver::serving::{Served, serve};
use crate::driver::{Dispatch, Slots};
use crate::link::{Link, SleepMode};
use crate::session::{CloseReason, Negotiated, Session};
use crate::sys::watch::{self, Watched};

/// Looks into an empty link within one poll, before other tasks get a turn.
const LOOKS_IN_POLL: u32 = 128;

/// Rounds of serving and looking within one poll: a peer that has its next request there as soon as it is answered must
/// not keep other tasks from their turn.
const ROUNDS_IN_POLL: u32 = 32;
/// Frames taken in within one round that bring no request.
const FRAMES_IN_ROUND: u32 = 256;

/// Starts a session on a link as a task of the current runtime.
///
/// # Errors
/// When the runtime cannot watch the link's descriptors.
pub(crate) fn start(
    mut session: Session,
    mut link: Link,
    dispatch: Arc<dyn Dispatch>,
) -> io::Result<Arc<Engine>> {
    session.start(&mut *link.transmit);
    let signal = Arc::clone(&link.signal);
    let bell = match signal.descriptor() {
        Some(descriptor) => {
            let interest =
                if signal.is_stream() { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            Some(watch::register(descriptor, interest)?)
        }
        None => None,
    };
    let lifeline = match signal.lifeline() {
        Some(lifeline) => Some(watch::register(lifeline, Interest::READABLE)?),
        None => None,
    };
    let engine = Engine::new(session, link, dispatch, Resident::Task);
    // The hello is on the link but not yet published.
    engine.with(|_, _| ());
    let mut task = Task {
        engine: Arc::clone(&engine),
        bell,
        lifeline,
        timer: Box::pin(tokio::time::sleep_until(tokio::time::Instant::now())),
        timer_at: None,
        slots: Slots::default(),
        tasks: Tasks::default(),
        rounds: 0,
    };
    tokio::spawn(poll_fn(move |cx| task.poll(cx)));
    Ok(engine)
}

/// Waits until the handshake is done.
///
/// # Errors
/// Why the session ended instead.
pub(crate) async fn wait_open(engine: &Engine) -> Result<Arc<Negotiated>, CloseReason> {
    poll_fn(|cx| engine.with(|session, _| session.poll_open(cx.waker()))).await
}

struct Task {
    engine: Arc<Engine>,
    bell: Option<AsyncFd<Watched>>,
    lifeline: Option<AsyncFd<Watched>>,
    timer: Pin<Box<Sleep>>,
    timer_at: Option<Instant>,
    slots: Slots,
    tasks: Tasks,
    /// Polls since the last message in which the link was looked into in vain.
    rounds: u32,
}

impl Task {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let engine = Arc::clone(&self.engine);
        engine.local.register(cx.waker());
        for _ in 0..ROUNDS_IN_POLL {
            if serve(&engine, &mut self.slots, &mut self.tasks) == Served::Some {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            // A caller that holds the role wakes this task when it leaves.
            let Some(mut intake) = engine.take_role() else { return Poll::Pending };
            engine.leave_bell(RESIDENT);
            let (mut looks, mut frames) = (0, 0);
            let found = loop {
                match engine.take_frame(&mut intake, |session| session.has_requests()) {
                    Some(true) => break true,
                    Some(false) if frames == FRAMES_IN_ROUND => break true,
                    Some(false) => {
                        self.rounds = 0;
                        (looks, frames) = (0, frames + 1);
                    }
                    None if looks >= LOOKS_IN_POLL || !intake.spin.pays() => break false,
                    None => {
                        looks += 1;
                        std::hint::spin_loop();
                    }
                }
            };
            if found {
                self.rounds = 0;
                engine.leave(intake, false);
                continue;
            }
            if engine.is_lost() {
                engine.bury(&mut intake);
            }
            if engine.peek(|session| session.is_over()) {
                engine.leave(intake, false);
                engine.wake_all();
                return Poll::Ready(());
            }
            self.rounds += 1;
            if intake.spin.looks_on(self.rounds * LOOKS_IN_POLL) && engine.signal.may_spin() {
                engine.leave(intake, false);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.rounds = 0;
            intake.spin.about_to_sleep(Instant::now());
            if self.poll_events(cx) {
                engine.leave(intake, false);
                continue;
            }
            engine.enter_bell(RESIDENT);
            if engine.announce(&mut intake, SleepMode::Descriptor).is_some() {
                let _wanted_is_served_by_the_sleeper = intake.release();
                return Poll::Pending;
            }
            engine.leave_bell(RESIDENT);
            engine.leave(intake, false);
        }
        // Time, and the peer's death, are not to wait for the end of a flood either.
        let _looks_again_anyway = self.poll_events(cx);
        // The role is free and nobody sleeps on the bell: this task is scheduled to look (E1).
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Arms everything that can wake this task; whether something calls for another round at once.
    fn poll_events(&mut self, cx: &mut Context<'_>) -> bool {
        let mut again = false;
        while let Some(Poll::Ready(Ok(mut bell))) = self.bell.as_ref().map(|bell| bell.poll_read_ready(cx)) {
            self.engine.signal.clear();
            if bell.ready().is_read_closed() {
                // Nobody is left who could ring: the peer is gone. This readiness stays, and looking for its end
                // would keep the task from ever looking at the lifeline.
                self.engine.hung_up();
                again = true;
                break;
            }
            bell.clear_ready();
        }
        if let Some(bell) = &self.bell {
            // Every step publishes what the kernel would not take before.
            while self.engine.with(|_, out| out.is_backed_up())
                && let Poll::Ready(Ok(mut room)) = bell.poll_write_ready(cx)
            {
                if self.engine.with(|_, out| out.is_backed_up()) {
                    room.clear_ready();
                }
            }
        }
        while let Some(Poll::Ready(Ok(mut hang_up))) =
            self.lifeline.as_ref().map(|line| line.poll_read_ready(cx))
        {
            if self.engine.signal.has_hung_up() {
                self.engine.hung_up();
                again = true;
                break;
            }
            hang_up.clear_ready();
        }
        again | self.poll_timer(cx).is_ready()
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let next = self.engine.peek(|session| session.next_timeout());
        let Some(next) = next else {
            self.timer_at = None;
            return Poll::Pending;
        };
        if self.timer_at != Some(next) {
            self.timer_at = Some(next);
            self.timer.as_mut().reset(next.into());
        }
        ready!(self.timer.as_mut().poll(cx));
        self.timer_at = None;
        self.engine.with(|session, out| session.handle_timeout(Instant::now(), out));
        Poll::Ready(())
    }
}

/// A runtime that ends before the session ends it: nobody looks after it any more.
impl Drop for Task {
    fn drop(&mut self) {
        self.engine.with(|session, out| session.close(CloseReason::Shutdown, out));
        self.engine.wake_all();
    }
}
