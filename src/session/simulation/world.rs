//! Two sides, the link between them, and the time: what a step may do to them.

use std::fmt::Write;
use std::time::{Duration, Instant};

use super::connecting::Watch;
use super::parties::{Parties, Party, Running, Then};
use super::random::Random;
use super::serving::{Handling, Server};
use super::setup::{Action, Setup};
use super::truth::Truth;
use super::{check, ensure};
use crate::session::simulated::{Peer, Sender, pair_with, settings};
use crate::session::{CloseReason, OpenRequest, RejectReason, Rejection, Session, Settings};

/// Two sides and the link between them.
pub(super) struct World {
    pub(super) setup: Setup,
    pub(super) now: Instant,
    pub(super) sides: [Side; 2],
    pub(super) truth: Truth,
    /// Why the link carries nothing any more.
    pub(super) broken: Option<CloseReason>,
    /// What happened, if somebody wants to read it.
    pub(super) trace: Option<String>,
}

/// One side: its session, and those who want something of it.
pub(super) struct Side {
    pub(super) peer: Peer,
    pub(super) parties: Parties,
    pub(super) desk: Desk,
    /// When the peer was last heard.
    pub(super) heard: Instant,
    /// It was told that the link has ended.
    pub(super) hung_up: bool,
}

/// What the application of one side has before it.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// Requests that are being handled.
    pub(super) handling: Vec<Handling>,
    /// Connections to decide about.
    pub(super) asked: Vec<OpenRequest>,
    /// Connections that are held.
    pub(super) held: Vec<u32>,
    /// Connections to call on.
    pub(super) usable: Vec<u32>,
    /// Nothing new is begun.
    pub(super) rests: bool,
}

/// What somebody on one side sees and may change.
pub(super) struct Scene<'a> {
    pub(super) me: usize,
    pub(super) session: &'a mut Session,
    pub(super) out: &'a mut Sender,
    pub(super) desk: &'a mut Desk,
    pub(super) truth: &'a mut Truth,
    pub(super) random: &'a mut Random,
    pub(super) setup: &'a Setup,
    pub(super) now: Instant,
    pub(super) waker: std::task::Waker,
    pub(super) added: Vec<Party>,
    pub(super) trace: &'a mut Option<String>,
}

impl Scene<'_> {
    /// Notes what happens.
    pub(super) fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = self.trace {
            writeln!(trace, "    {}: {}", self.me, what()).expect("a string takes all");
        }
    }

    /// Waits for the other side to introduce itself, then lets it in or not.
    pub(super) fn decide_about_peer(&mut self) -> Then {
        let agreed = match self.session.poll_introduced(&self.waker) {
            std::task::Poll::Pending => return Then::Waits,
            std::task::Poll::Ready(agreed) => agreed,
        };
        if let Some(agreed) = agreed {
            ensure!(agreed.limits == self.setup.agreed, "both sides would agree on {:?}", agreed.limits);
            let lets_in = self.setup.lets_in[self.me];
            self.note(|| format!("lets the other side in: {lets_in:?}"));
            match lets_in {
                None => super::broken(format!("{} is asked, and has no policy", self.me)),
                Some(true) => self.session.admit(self.out, &|| self.now),
                Some(false) => {
                    let rejection = Rejection::new(RejectReason::Forbidden).with_text("no");
                    self.truth.refused[self.me] = Some(rejection.clone().into());
                    self.truth.reached.refused += 1;
                    self.session.refuse(rejection, self.out);
                }
            }
        }
        Then::Done
    }

    /// Waits for the opening, then for the end of the session.
    pub(super) fn watch_session(&mut self) -> Then {
        if let std::task::Poll::Ready(Ok(negotiated)) = self.session.poll_open(&self.waker) {
            ensure!(negotiated.limits == self.setup.agreed, "both sides agree on {:?}", negotiated.limits);
        }
        match self.session.poll_closed(&self.waker) {
            std::task::Poll::Ready(_) => Then::Done,
            std::task::Poll::Pending => Then::Waits,
        }
    }
}

impl World {
    pub(super) fn new(seed: u64, traced: bool) -> Self {
        let setup = Setup::new(&mut Random::new(seed, u64::MAX));
        let now = Instant::now();
        let both = [0, 1].map(|at| Settings {
            keepalive: setup.keepalive[at],
            idle: setup.idle[at],
            has_policy: setup.lets_in[at].is_some(),
            descriptors: 64,
            ..settings(setup.limits[at])
        });
        let sides = pair_with(setup.shape, both).map(|mut peer| {
            peer.session.start(&mut peer.out);
            let mut parties = Parties::default();
            parties.add(Party::Server(Server));
            parties.add(Party::Session);
            parties.add(Party::Policy);
            let desk = Desk { usable: vec![0], ..Desk::default() };
            Side { peer, parties, desk, heard: now, hung_up: false }
        });
        let trace = traced.then(|| format!("{setup:?}\n"));
        Self { setup, now, sides, truth: Truth::default(), broken: None, trace }
    }

    /// Something happens.
    pub(super) fn step(&mut self, random: &mut Random) {
        let me = random.index(2);
        let action = self.setup.action(random);
        if let Some(trace) = &mut self.trace {
            writeln!(trace, "  {me}: {action:?}").expect("a string takes all");
        }
        match action {
            Action::Deliver => drop(self.deliver(me)),
            Action::Run => {
                let any = random.one_in(12);
                self.run(me, random, any);
            }
            Action::Look => {}
            Action::Call => self.with(me, random, |scene| scene.call()),
            Action::Respond => self.with(me, random, |scene| scene.respond()),
            Action::Cancel => self.cancel(me, random),
            Action::LetGo => self.let_go(me, random),
            Action::Open => self.with(me, random, |scene| scene.open()),
            Action::Decide => self.with(me, random, |scene| scene.decide()),
            Action::Close => self.with(me, random, |scene| scene.close()),
            Action::Leave => self.release(me, random),
            Action::Show => self.show(me, random),
            Action::Pass => self.now += Duration::from_micros(random.below(60)),
            Action::Expire => self.expire(me),
            Action::Goodbye => self.goodbye(me, random),
            Action::Shut => self.shut(me),
            Action::Break => self.break_link(random),
        }
        self.settle(me);
        check::after_step(self, me);
    }

    /// Somebody on one side does something.
    pub(super) fn with<R>(
        &mut self,
        me: usize,
        random: &mut Random,
        step: impl FnOnce(&mut Scene<'_>) -> R,
    ) -> R {
        self.with_waker(me, random, std::task::Waker::noop().clone(), step)
    }

    fn with_waker<R>(
        &mut self,
        me: usize,
        random: &mut Random,
        waker: std::task::Waker,
        step: impl FnOnce(&mut Scene<'_>) -> R,
    ) -> R {
        let Self { setup, now, sides, truth, trace, .. } = self;
        let Side { peer: Peer { session, out, .. }, desk, parties, .. } = &mut sides[me];
        let mut scene = Scene {
            me,
            session,
            out,
            desk,
            truth,
            random,
            setup,
            now: *now,
            waker,
            added: Vec::new(),
            trace,
        };
        let result = step(&mut scene);
        scene.added.into_iter().for_each(|party| parties.add(party));
        result
    }

    /// What a driver does after each step.
    pub(super) fn settle(&mut self, me: usize) {
        let Side { peer, .. } = &mut self.sides[me];
        if peer.session.wants_space() {
            peer.session.flush(&mut peer.out);
        }
        peer.session.end_if_done();
        let mut woken = Vec::new();
        peer.session.take_wakers(&mut woken);
        woken.into_iter().for_each(std::task::Waker::wake);
        peer.session.take_spent(&mut Vec::new());
        if self.truth.over[me].is_none()
            && let Some(reason) = self.sides[me].peer.session.close_reason().cloned()
        {
            if let Some(trace) = &mut self.trace {
                writeln!(trace, "    {me}: over, {reason:?}").expect("a string takes all");
            }
            check::ended(self, me, &reason);
            self.truth.over[me] = Some(reason);
        }
    }

    /// Takes in a frame, or learns of the link's end behind the last one; whether there was anything.
    pub(super) fn deliver(&mut self, me: usize) -> bool {
        let (now, gone) = (self.now, self.truth.over[1 - me].is_some());
        let side = &mut self.sides[me];
        if let Some(trace) = &mut self.trace
            && let Some(frame) = side.peer.incoming.lock().unwrap().frames.front()
        {
            writeln!(trace, "    {me}: takes {:?}", frame.header).expect("a string takes all");
        }
        if side.peer.receive(now) {
            side.heard = now;
            return true;
        }
        let end = match &self.broken {
            Some(reason) => reason.clone(),
            None if gone => CloseReason::PeerDied,
            None => return false,
        };
        if std::mem::replace(&mut side.hung_up, true) {
            return false;
        }
        side.peer.session.link_lost(end);
        true
    }

    /// Runs one of those who have something to do, or any; whether there was one.
    pub(super) fn run(&mut self, me: usize, random: &mut Random, any: bool) -> bool {
        let parties = &mut self.sides[me].parties;
        let Some(key) = parties.pick(random, any) else { return false };
        let Some((mut running, waker)) = parties.begin(key, random) else { return false };
        let then = self.with_waker(me, random, waker, |scene| Running::run(&mut running, scene));
        self.sides[me].parties.put_back(running, then);
        true
    }

    fn cancel(&mut self, me: usize, random: &mut Random) {
        let caller = self.sides[me].parties.take(random, |party| matches!(party, Party::Caller(_)));
        if let Some(Party::Caller(caller)) = caller {
            self.with(me, random, |scene| caller.give_up(scene));
        }
    }

    fn let_go(&mut self, me: usize, random: &mut Random) {
        let is_end = |party: &Party| matches!(party, Party::Sending(_) | Party::Receiving(_));
        match self.sides[me].parties.take(random, is_end) {
            Some(Party::Sending(sending)) => self.with(me, random, |scene| scene.end(sending.channel())),
            Some(Party::Receiving(receiving)) => {
                self.with(me, random, |scene| scene.refuse(receiving.channel()));
            }
            _ => {}
        }
    }

    fn release(&mut self, me: usize, random: &mut Random) {
        let desk = &mut self.sides[me].desk;
        if desk.held.is_empty() {
            return;
        }
        let id = desk.held.swap_remove(random.index(desk.held.len()));
        self.release_connection(me, id, random);
    }

    /// Nobody on this side holds a connection any more.
    pub(super) fn release_connection(&mut self, me: usize, id: u32, random: &mut Random) {
        let watches = |party: &Party| matches!(party, Party::Watch(watch) if watch.id() == id);
        let watch: Option<Party> = self.sides[me].parties.take(random, watches);
        self.with(me, random, |scene| Watch::release(id, scene));
        drop(watch);
    }

    fn show(&mut self, me: usize, random: &mut Random) {
        use std::sync::atomic::Ordering::Relaxed;
        let cells = self.setup.shape.cells as usize;
        if cells > 0 {
            let at = random.index(cells);
            let [one, other] = &mut self.sides;
            let (from, to) = if me == 0 { (one, other) } else { (other, one) };
            to.peer.out.peer_cells[at].store(from.peer.out.own_cells[at].load(Relaxed), Relaxed);
        }
    }

    /// Does what is due.
    pub(super) fn expire(&mut self, me: usize) {
        let Peer { session, out, .. } = &mut self.sides[me].peer;
        if session.next_timeout().is_some_and(|at| at <= self.now) {
            session.handle_timeout(self.now, out);
        }
    }

    /// One side says goodbye, perhaps with bounded patience.
    pub(super) fn goodbye(&mut self, me: usize, random: &mut Random) {
        let deadline = random.one_in(4).then(|| self.now + Duration::from_micros(random.below(300)));
        let Peer { session, out, .. } = &mut self.sides[me].peer;
        // Before the session is open there is nothing to be polite about.
        self.truth.shut[me] |= deadline.is_some() || session.negotiated().is_none();
        self.truth.said[me] = true;
        session.goodbye(out, deadline);
    }

    fn shut(&mut self, me: usize) {
        self.truth.shut[me] = true;
        let Peer { session, out, .. } = &mut self.sides[me].peer;
        session.close(CloseReason::Local, out);
    }

    /// The link breaks; some of what is on its way arrives.
    fn break_link(&mut self, random: &mut Random) {
        if self.broken.is_some() {
            return;
        }
        let io = CloseReason::Transport(std::io::ErrorKind::ConnectionReset);
        self.broken = Some(if random.one_in(2) { io } else { CloseReason::PeerDied });
        self.truth.reached.broken += 1;
        for side in &mut self.sides {
            side.peer.incoming.lock().unwrap().cut(random.up_to(4));
        }
    }
}
