//! The task that looks after one session: drains when no caller does, serves requests, keeps time, notices death.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Sleep;

use super::tasks::Tasks;
use crate::driver::core::{Core, FRAMES_AT_A_TIME};
use crate::driver::engine::Engine;
use crate::driver::serving::{begin, closed, open};
use crate::driver::{Dispatch, Slots};
use crate::link::Link;
use crate::session::{CloseReason, Negotiated, Session, Work};
use crate::sys::watch::{self, Watched};

/// Looks into an empty link within one poll, before other tasks get a turn.
const LOOKS_IN_POLL: u32 = 128;
/// Turns within one poll: a peer that has its next request there as soon as it is answered must not keep other tasks
/// from theirs.
const TURNS_IN_POLL: u32 = 32;

/// Starts a session on a link as a task of the current runtime.
///
/// # Errors
/// When the runtime cannot watch the link's descriptors.
pub(crate) fn start(session: Session, link: Link, dispatch: Arc<dyn Dispatch>) -> io::Result<Arc<Engine>> {
    let signal = Arc::clone(&link.signal);
    let bell = match signal.descriptor() {
        Some(descriptor) => {
            let interest =
                if signal.is_stream() { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            Some(watch::register(&descriptor, interest)?)
        }
        None => None,
    };
    let lifeline = match signal.lifeline() {
        Some(lifeline) => Some(watch::register_hang_up(&lifeline)?),
        None => None,
    };
    let engine = Engine::new(session, link, dispatch);
    // Publishes the hello.
    engine.with(|_| ());
    let mut task = Task {
        engine: Arc::clone(&engine),
        bell,
        lifeline,
        timer: Box::pin(unarmed()),
        timer_at: None,
        to_write: false,
        slots: Slots::default(),
        tasks: Tasks::default(),
    };
    tokio::spawn(poll_fn(move |cx| task.poll(cx)));
    Ok(engine)
}

/// A timer that nothing waits for yet.
fn unarmed() -> Sleep {
    tokio::time::sleep_until(tokio::time::Instant::now())
}

/// Waits until the peer has introduced itself, on a session with a policy; `None` if nothing is to be decided any more.
pub(crate) async fn wait_introduced(engine: &Engine) -> Option<Arc<Negotiated>> {
    poll_fn(|cx| engine.with(|core| core.session.poll_introduced(cx.waker()))).await
}

/// Waits until the handshake is done.
///
/// # Errors
/// Why the session ended instead.
pub(crate) async fn wait_open(engine: &Engine) -> Result<Arc<Negotiated>, CloseReason> {
    poll_fn(|cx| engine.with(|core| core.session.poll_open(cx.waker()))).await
}

struct Task {
    engine: Arc<Engine>,
    bell: Option<AsyncFd<Watched>>,
    lifeline: Option<AsyncFd<Watched>>,
    timer: Pin<Box<Sleep>>,
    timer_at: Option<Instant>,
    /// Whether this task is woken when the kernel takes more bytes.
    to_write: bool,
    slots: Slots,
    tasks: Tasks,
}

/// What a turn in the core came to.
enum Turn {
    Work(Work),
    /// The peer is to be rung before this task looks on.
    Again,
    /// Others have their turn before this task looks on.
    Yield,
    /// Nothing is there, and looking on does not pay.
    Nothing,
    /// This task sleeps on the bell, or a thread does in its place.
    Asleep,
}

impl Task {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let engine = Arc::clone(&self.engine);
        for _ in 0..TURNS_IN_POLL {
            // Whoever is in the core is so for a moment only, and a task must not wait for it.
            let turn = engine.try_with(|core| self.look(core, cx)).unwrap_or(Turn::Yield);
            let turn = match turn {
                Turn::Nothing if self.poll_events(cx) => continue,
                Turn::Nothing => engine.try_with(|core| self.fall_asleep(core, cx)).unwrap_or(Turn::Yield),
                turn => turn,
            };
            match turn {
                Turn::Work(Work::Serve(inbound)) => begin(&engine, inbound, &mut self.slots, &mut self.tasks),
                Turn::Work(Work::Drop(call)) => self.tasks.cancel(call),
                Turn::Work(Work::Open(request)) => open(&engine, request),
                Turn::Work(Work::Closed(id)) => closed(&engine, id),
                Turn::Work(Work::Over) => return Poll::Ready(()),
                Turn::Again | Turn::Nothing => {}
                Turn::Yield => break,
                Turn::Asleep => return Poll::Pending,
            }
        }
        // Time, and the peer's death, are not to wait for the end of a flood.
        let _looks_again_anyway = self.poll_events(cx);
        // Nobody sleeps on the bell: this task is about to look (E1), after everybody else has had a turn. Woken at once it
        // would come before the task that a runtime was started with.
        let _pending = pin!(tokio::task::yield_now()).poll(cx);
        Poll::Pending
    }

    /// Looks for something to do, for as long as that may pay.
    fn look(&self, core: &mut Core, cx: &Context<'_>) -> Turn {
        core.task_returned(cx.waker());
        core.awake();
        let (mut looks, mut frames) = (0, 0);
        loop {
            if let Poll::Ready(work) = core.session.poll_work(None) {
                return Turn::Work(work);
            }
            if core.advance() {
                (looks, frames) = (0, frames + 1);
                if !core.show(&*self.engine.signal) {
                    return Turn::Again;
                }
                if frames == FRAMES_AT_A_TIME {
                    return Turn::Yield;
                }
            } else if !core.looks_on(looks, &*self.engine.signal) {
                core.spin.about_to_sleep(Instant::now());
                return Turn::Nothing;
            } else if looks == LOOKS_IN_POLL || self.engine.is_wanted() {
                return Turn::Yield;
            } else {
                looks += 1;
                std::hint::spin_loop();
            }
        }
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
        self.to_write = false;
        if let Some(bell) = &self.bell {
            // Every step publishes what the kernel would not take before.
            while self.engine.with(|core| core.out.is_backed_up()) {
                let Poll::Ready(Ok(mut room)) = bell.poll_write_ready(cx) else {
                    self.to_write = true;
                    break;
                };
                if self.engine.with(|core| core.out.is_backed_up()) {
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
            if self.timer_at.take().is_some() {
                // Another one: left armed, or put off, this one would wake its runtime for nothing.
                self.timer.set(unarmed());
            }
            return Poll::Pending;
        };
        if self.timer_at != Some(next) {
            self.timer_at = Some(next);
            self.timer.as_mut().reset(next.into());
        }
        ready!(self.timer.as_mut().poll(cx));
        self.timer_at = None;
        self.engine.with(Core::expire);
        Poll::Ready(())
    }

    /// Goes to sleep until what was armed, if nothing has come up since.
    fn fall_asleep(&self, core: &mut Core, cx: &Context<'_>) -> Turn {
        if let Poll::Ready(work) = core.session.poll_work(Some(cx.waker())) {
            return Turn::Work(work);
        }
        if core.task_falls_asleep(self.timer_at, self.to_write) { Turn::Asleep } else { Turn::Again }
    }
}

/// A runtime that ends before the session ends it: nobody looks after it any more.
impl Drop for Task {
    fn drop(&mut self) {
        self.engine.with(|core| core.session.close(CloseReason::Shutdown, &mut *core.out));
    }
}
