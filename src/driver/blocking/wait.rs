//! A thread that waits for something of a session: it looks for itself while that pays, and sleeps on the bell, or
//! parks while another thread does either.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::task::{Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

use crate::driver::core::{Core, FRAMES_AT_A_TIME};
use crate::driver::engine::Engine;
use crate::link::{Note, Signal, Transmit};
use crate::session::Session;

/// A thread that waits.
pub(in crate::driver) struct Waiter {
    thread: Thread,
    signal: Arc<dyn Signal>,
    /// Where it waits: on the bell, or parked. Whoever wakes it may find it elsewhere; then it has looked since.
    on_bell: AtomicBool,
}

impl Waiter {
    /// This thread, which is to wait for something of the session with this signal.
    pub(in crate::driver) fn new(engine: &Engine) -> Arc<Self> {
        let (thread, signal) = (std::thread::current(), Arc::clone(&engine.signal));
        Arc::new(Self { thread, signal, on_bell: AtomicBool::new(false) })
    }

    /// Says where this thread is about to wait, before it looks for the last time at what it waits for.
    fn waits(&self, on_bell: bool) {
        self.on_bell.store(on_bell, Ordering::Relaxed);
        // Pairs with the fence in `wake_by_ref`: whoever wakes this thread sees where it waits, or the last look sees what
        // it is woken for. Who wakes a handler has not been in the core, which would order the two.
        fence(Ordering::SeqCst);
    }
}

impl Wake for Waiter {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        fence(Ordering::SeqCst); // Pairs with the fence in `waits`.
        if self.on_bell.load(Ordering::Relaxed) {
            self.signal.wake_local();
        } else {
            self.thread.unpark();
        }
    }
}

/// What a turn in the core came to.
enum Turn<T> {
    Done(T),
    /// Others want the core, or are to be rung and woken.
    Again,
    Sleep {
        note: Note,
        local: u32,
        until: Option<Instant>,
    },
    Park {
        until: Option<Instant>,
    },
}

/// Waits until `ready` gives something. It is called in the core: with a waker to register when this thread is about
/// to sleep, else without.
#[inline]
pub(in crate::driver) fn wait<T>(
    engine: &Engine,
    waiter: &mut Option<Arc<Waiter>>,
    ready: impl FnMut(&mut Session, &mut dyn Transmit, Option<&Waker>) -> Option<T>,
) -> T {
    wait_with::<T, false>(engine, waiter, None, ready)
}

/// Like [`wait`], for what cannot be there before something has been begun, which is done in the same turn. If it is not to be
/// begun, that is all.
#[inline]
pub(in crate::driver) fn begin_and_wait<B: Copy, T>(
    engine: &Engine,
    begin: impl FnOnce(&mut Session, &mut dyn Transmit) -> Result<B, T>,
    ready: impl Fn(&mut Session, B, Option<&Waker>) -> Option<T>,
) -> T {
    let mut waiter = None;
    let (begun, first) = match engine.with(|core| {
        let begun = begin(&mut core.session, &mut *core.out)?;
        let mut ready =
            |session: &mut Session, _: &mut dyn Transmit, waker: Option<&Waker>| ready(session, begun, waker);
        let heard = core.show(&*engine.signal);
        let turn =
            if heard { turn::<T, false>(engine, core, &mut waiter, true, &mut ready) } else { Turn::Again };
        Ok((begun, turn))
    }) {
        Ok(begun) => begun,
        Err(done) => return done,
    };
    wait_with::<T, false>(engine, &mut waiter, Some(first), |session, _, waker| ready(session, begun, waker))
}

/// Like [`wait`], for credit: that comes without a frame, so `ready` is called at each look.
pub(in crate::driver) fn wait_for_credit<T>(
    engine: &Engine,
    ready: impl FnMut(&mut Session, &mut dyn Transmit, Option<&Waker>) -> Option<T>,
) -> T {
    wait_with::<T, true>(engine, &mut None, None, ready)
}

fn wait_with<T, const CREDIT: bool>(
    engine: &Engine,
    waiter: &mut Option<Arc<Waiter>>,
    mut turned: Option<Turn<T>>,
    mut ready: impl FnMut(&mut Session, &mut dyn Transmit, Option<&Waker>) -> Option<T>,
) -> T {
    loop {
        let turn = turned.take().unwrap_or_else(|| {
            engine.with(|core| turn::<T, CREDIT>(engine, core, waiter, false, &mut ready))
        });
        match turn {
            Turn::Done(done) => return done,
            Turn::Again => engine.give_way(),
            Turn::Sleep { note, local, until } => engine.signal.wait(note, local, until),
            Turn::Park { until: None } => std::thread::park(),
            Turn::Park { until: Some(at) } => {
                std::thread::park_timeout(at.saturating_duration_since(Instant::now()));
            }
        }
    }
}

#[inline]
fn turn<T, const CREDIT: bool>(
    engine: &Engine,
    core: &mut Core,
    waiter: &mut Option<Arc<Waiter>>,
    mut just_begun: bool,
    ready: &mut impl FnMut(&mut Session, &mut dyn Transmit, Option<&Waker>) -> Option<T>,
) -> Turn<T> {
    // Before anything that a local wake-up tells of is looked at.
    let local = engine.signal.local();
    if let Some(waiter) = waiter {
        core.returned(waiter);
        core.expire();
    }
    if core.has_looker() {
        return park(engine, core, waiter, ready);
    }
    core.awake();
    let (mut looks, mut frames) = (0, 0);
    loop {
        if !std::mem::take(&mut just_begun)
            && let Some(done) = ready(&mut core.session, &mut *core.out, None)
        {
            core.leave();
            return Turn::Done(done);
        }
        let pays = loop {
            if core.advance() {
                (looks, frames) = (0, frames + 1);
                break true;
            }
            if engine.is_wanted() {
                core.give_way(waiter.get_or_insert_with(|| Waiter::new(engine)));
                return Turn::Again;
            }
            if !core.looks_on(looks, &*engine.signal) {
                break false;
            }
            looks += 1;
            std::hint::spin_loop();
            if CREDIT {
                break true;
            }
        };
        if !pays {
            break;
        }
        if frames == FRAMES_AT_A_TIME {
            // The next turn looks at the time.
            core.give_way(waiter.get_or_insert_with(|| Waiter::new(engine)));
            return Turn::Again;
        }
        if !core.show(&*engine.signal) {
            return Turn::Again;
        }
    }
    core.spin.about_to_sleep(Instant::now());
    if core.has_thread_asleep() {
        return park(engine, core, waiter, ready);
    }
    let waiter = waiter.get_or_insert_with(|| Waiter::new(engine));
    waiter.waits(true);
    if let Some(done) = ready(&mut core.session, &mut *core.out, Some(&Waker::from(Arc::clone(waiter)))) {
        core.leave();
        return Turn::Done(done);
    }
    match core.thread_falls_asleep(waiter) {
        Some(note) => Turn::Sleep { note, local, until: core.session.next_timeout() },
        None => Turn::Again,
    }
}

/// Another thread looks, or sleeps on the bell: it serves this thread, or hands that on.
#[cold]
fn park<T>(
    engine: &Engine,
    core: &mut Core,
    waiter: &mut Option<Arc<Waiter>>,
    ready: &mut impl FnMut(&mut Session, &mut dyn Transmit, Option<&Waker>) -> Option<T>,
) -> Turn<T> {
    let waiter = waiter.get_or_insert_with(|| Waiter::new(engine));
    waiter.waits(false);
    if let Some(done) = ready(&mut core.session, &mut *core.out, Some(&Waker::from(Arc::clone(waiter)))) {
        core.leave();
        return Turn::Done(done);
    }
    core.park(waiter);
    Turn::Park { until: core.session.next_timeout() }
}
