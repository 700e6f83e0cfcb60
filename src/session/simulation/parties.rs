//! Those who want something of a session: callers, ends of channels, whoever serves. Each is run again only when it has
//! something to do or has been woken, so that a lost wake-up shows: somebody never comes to an end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use super::calling::Caller;
use super::connecting::Watch;
use super::random::Random;
use super::receiving::Receiving;
use super::sending::Sending;
use super::serving::Server;
use super::world::Scene;

/// Somebody who wants something of a session.
#[derive(Debug)]
pub(super) enum Party {
    /// Takes what is to be done for the peer.
    Server(Server),
    /// Makes a call.
    Caller(Caller),
    /// Sends on a channel.
    Sending(Sending),
    /// Receives on a channel.
    Receiving(Receiving),
    /// Waits for what becomes of a connection.
    Watch(Watch),
    /// Waits for what becomes of the session.
    Session,
    /// Lets the other side in, or not.
    Policy,
}

/// What a party does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// It has more to do.
    Again,
    /// It waits to be woken.
    Waits,
    /// Nothing.
    Done,
}

impl Party {
    fn run(&mut self, scene: &mut Scene<'_>) -> Then {
        match self {
            Self::Server(server) => server.run(scene),
            Self::Caller(caller) => caller.run(scene),
            Self::Sending(sending) => sending.run(scene),
            Self::Receiving(receiving) => receiving.run(scene),
            Self::Watch(watch) => watch.run(scene),
            Self::Session => scene.watch_session(),
            Self::Policy => scene.decide_about_peer(),
        }
    }
}

/// Whether somebody has been woken.
#[derive(Debug)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Entry {
    party: Party,
    flag: Arc<Flag>,
}

/// The parties of one side.
#[derive(Debug, Default)]
pub(super) struct Parties {
    entries: BTreeMap<u64, Entry>,
    next: u64,
}

impl Parties {
    /// Adds one that has something to do.
    pub(super) fn add(&mut self, party: Party) {
        self.entries.insert(self.next, Entry { party, flag: Arc::new(Flag(AtomicBool::new(true))) });
        self.next += 1;
    }

    /// One of those that have something to do or have been woken; or any, if they may look for no reason.
    pub(super) fn pick(&self, random: &mut Random, any: bool) -> Option<u64> {
        let woken = || self.entries.iter().filter(|(_, entry)| any || entry.flag.0.load(Ordering::Relaxed));
        let count = woken().count();
        (count > 0).then(|| random.index(count)).and_then(|at| woken().nth(at)).map(|(key, _)| *key)
    }

    /// Takes one out to run it, with the waker that it is to register. Who waits may have another waker each time; then the
    /// earlier ones wake nobody.
    pub(super) fn begin(&mut self, key: u64, random: &mut Random) -> Option<(Running, Waker)> {
        let Entry { party, mut flag } = self.entries.remove(&key)?;
        if random.one_in(3) {
            flag = Arc::new(Flag(AtomicBool::new(false)));
        }
        flag.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&flag));
        Some((Running { key, party, flag }, waker))
    }

    /// Puts one back that has run, unless it is done.
    pub(super) fn put_back(&mut self, running: Running, then: Then) {
        let Running { key, party, flag } = running;
        if then == Then::Again {
            flag.0.store(true, Ordering::Relaxed);
        }
        if then != Then::Done {
            self.entries.insert(key, Entry { party, flag });
        }
    }

    /// Takes one away for good, of those that `is_it` picks.
    pub(super) fn take(&mut self, random: &mut Random, is_it: impl Fn(&Party) -> bool) -> Option<Party> {
        let picked: Vec<u64> =
            self.entries.iter().filter(|(_, entry)| is_it(&entry.party)).map(|(key, _)| *key).collect();
        let key = *picked.get(random.index(picked.len().max(1)))?;
        self.entries.remove(&key).map(|entry| entry.party)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Party> {
        self.entries.values().map(|entry| &entry.party)
    }

    /// Has every one look again, with what it does from now on changed by `change`.
    pub(super) fn change(&mut self, change: impl Fn(&mut Party) -> bool) {
        for entry in self.entries.values_mut() {
            if change(&mut entry.party) {
                entry.flag.0.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// A party that runs.
pub(super) struct Running {
    key: u64,
    party: Party,
    flag: Arc<Flag>,
}

impl Running {
    pub(super) fn run(&mut self, scene: &mut Scene<'_>) -> Then {
        self.party.run(scene)
    }
}
