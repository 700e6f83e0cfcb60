//! What both applications together know, and nobody in the protocol: what was meant, to compare it with what came out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use rustc_hash::FxHashMap;

use super::ensure;
use crate::session::{
    CallId, ChannelId, CloseReason, ConnectionSettings, Flow, Gone, Metadata, Refusal, RejectReason,
    Rejection, Wish,
};

/// What both applications together know.
#[derive(Debug, Default)]
pub(super) struct Truth {
    calls: BTreeMap<u64, Call>,
    ids: BTreeSet<CallId>,
    pub(super) streams: FxHashMap<ChannelId, Stream>,
    pub(super) connections: BTreeMap<u32, Opened>,
    /// Who has said goodbye.
    pub(super) said: [bool; 2],
    /// Who has ended the session at once, or may have when its patience was over.
    pub(super) shut: [bool; 2],
    /// Why the session ended, at each side.
    pub(super) over: [Option<CloseReason>; 2],
    /// Why a side did not let the other in.
    pub(super) refused: [Option<Refusal>; 2],
    pub(super) reached: Reached,
}

/// How much has happened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reached {
    pub(super) results: u64,
    pub(super) failures: u64,
    pub(super) items: u64,
    pub(super) ends: u64,
    pub(super) resets: u64,
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    pub(super) goodbyes: u64,
    pub(super) broken: u64,
    pub(super) refused: u64,
}

impl Reached {
    /// Whether so many seeds have reached enough of everything.
    pub(super) fn is_much(&self, seeds: u64) -> bool {
        let often = self.results.min(self.failures).min(self.items).min(self.ends).min(self.resets);
        let seldom = self.accepted.min(self.rejected).min(self.goodbyes);
        often > seeds && seldom > seeds / 4 && self.broken.min(self.refused) > seeds / 50
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.results += other.results;
        self.failures += other.failures;
        self.items += other.items;
        self.ends += other.ends;
        self.resets += other.resets;
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.goodbyes += other.goodbyes;
        self.broken += other.broken;
        self.refused += other.refused;
    }
}

/// A call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) metadata: Metadata,
    pub(super) wishes: Vec<Wish>,
    pub(super) length: usize,
    pub(super) deadline: Option<Instant>,
    /// Its caller was told that it has not run.
    pub(super) not_run: bool,
    /// A handler has begun.
    pub(super) began: bool,
    /// Its caller has given up, or is out of time.
    pub(super) given_up: bool,
    /// Its caller has got a result.
    pub(super) answered: bool,
    pub(super) outcome: Option<Outcome>,
}

/// What a handler has answered.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// A result.
    Result { length: usize, metadata: Metadata, wishes: Vec<Wish> },
    /// A result that could not be sent, or that nobody wanted any more.
    Unsent,
    /// A failure of its own.
    Panicked,
    /// An error, encoded.
    Error { length: usize },
    /// Nothing: it was dropped.
    Dropped,
}

/// A channel.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) window: u32,
    /// The lengths of the items that were sent.
    pub(super) sent: Vec<usize>,
    /// How many of them were sent before the answer of the call that declared it.
    pub(super) before: usize,
    /// How many came to the application.
    pub(super) fetched: usize,
    /// How many of them were taken.
    pub(super) taken: usize,
    /// How its sender has ended it.
    pub(super) last: Option<Last>,
    /// Its receiver has reset it.
    pub(super) refused: bool,
    /// The call whose arguments or result have declared it.
    origin: Origin,
    /// One side was told that it was reset, while nobody had taken it at the other.
    untaken: bool,
}

/// What has declared a channel.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    /// The arguments of a call.
    Arguments(u64),
    /// The result of a call.
    Result(u64),
}

/// How a sender ends a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Last {
    End(Metadata),
    Reset,
}

/// A virtual connection.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) opener: usize,
    pub(super) metadata: Metadata,
    pub(super) settings: Option<ConnectionSettings>,
    pub(super) verdict: Option<Verdict>,
    /// Who has closed it.
    pub(super) closed: [bool; 2],
    /// Who holds it no more.
    pub(super) released: [bool; 2],
    /// Who was told to let go of what serves it.
    pub(super) told: [bool; 2],
}

/// What became of a connection that was asked for.
#[derive(Debug)]
pub(super) enum Verdict {
    Accepted(Metadata),
    Rejected(Rejection),
}

impl Truth {
    /// A call that is to be made; the token that its body begins with.
    pub(super) fn call(&mut self, call: Call) -> u64 {
        let token = self.calls.len() as u64 + 1;
        self.calls.insert(token, call);
        token
    }

    pub(super) fn called(&mut self, token: u64) -> &mut Call {
        match self.calls.get_mut(&token) {
            Some(call) => call,
            None => super::broken(format!("nobody made the call {token}")),
        }
    }

    /// A call is on its way.
    pub(super) fn started(&mut self, id: CallId) {
        ensure!(self.ids.insert(id), "the ID of {id:?} is used twice");
    }

    /// A message has declared channels.
    pub(super) fn declared(
        &mut self,
        origin: Origin,
        connection: u32,
        first: u64,
        wishes: &[Wish],
        window: u32,
    ) {
        for (at, wish) in wishes.iter().enumerate() {
            let id = ChannelId { connection, id: first + 2 * at as u64 };
            let own = wish.window.filter(|_| wish.flow == Flow::In);
            let window = own.unwrap_or(window);
            let stream = Stream {
                window,
                sent: Vec::new(),
                before: 0,
                fetched: 0,
                taken: 0,
                last: None,
                refused: false,
                origin,
                untaken: false,
            };
            ensure!(self.streams.insert(id, stream).is_none(), "the ID of {id:?} is used twice");
        }
    }

    pub(super) fn stream(&mut self, id: ChannelId) -> &mut Stream {
        match self.streams.get_mut(&id) {
            Some(stream) => stream,
            None => super::broken(format!("nobody declared {id:?}")),
        }
    }

    pub(super) fn connection(&mut self, id: u32) -> &mut Opened {
        match self.connections.get_mut(&id) {
            Some(opened) => opened,
            None => super::broken(format!("nobody asked for connection {id}")),
        }
    }

    /// Checks what a side was told about the end of a connection.
    pub(super) fn ended(&self, me: usize, connection: u32, reason: &CloseReason) {
        if self.over[me].as_ref() == Some(reason) {
            return;
        }
        let parted = match reason {
            CloseReason::Local => self.said[me],
            CloseReason::Goodbye => self.said[1 - me],
            _ => false,
        };
        let closed = self.connections.get(&connection).is_some_and(|opened| match reason {
            CloseReason::Local => opened.closed[me] || opened.released[me],
            CloseReason::Goodbye => {
                opened.closed[1 - me] || matches!(opened.verdict, Some(Verdict::Rejected(_)))
            }
            _ => false,
        });
        ensure!(parted || closed, "connection {connection} has not ended as {reason:?} at {me}");
    }

    /// Checks why a channel carries no more.
    pub(super) fn gone(&mut self, me: usize, channel: ChannelId, gone: &Gone, reset: bool) {
        match gone {
            Gone::Reset if reset => {}
            Gone::Reset => {
                let origin = self.stream(channel).origin;
                ensure!(!self.is_taken(origin), "nobody has reset {channel:?}");
                self.stream(channel).untaken = true;
            }
            Gone::Closed(reason) => self.ended(me, channel.connection, reason),
            Gone::TooLarge { .. } | Gone::Descriptors(_) => {
                super::broken(format!("{channel:?} is gone: {gone:?}"))
            }
        }
    }

    /// Whether what has declared a channel has come to an application at the other side.
    fn is_taken(&self, origin: Origin) -> bool {
        match origin {
            Origin::Arguments(token) => self.calls.get(&token).is_some_and(|call| call.began),
            Origin::Result(token) => self.calls.get(&token).is_some_and(|call| call.answered),
        }
    }

    /// The channels that the arguments of a call have declared.
    pub(super) fn arguments(&mut self, token: u64) -> impl Iterator<Item = (ChannelId, &mut Stream)> {
        let of = move |stream: &Stream| matches!(stream.origin, Origin::Arguments(call) if call == token);
        self.streams.iter_mut().filter(move |(_, stream)| of(stream)).map(|(id, stream)| (*id, stream))
    }

    /// Checks a rejection.
    pub(super) fn rejected(&mut self, id: u32, rejection: &Rejection) {
        let said = self.said;
        let opened = self.connection(id);
        let expected = match &opened.verdict {
            Some(Verdict::Rejected(expected)) => expected == rejection,
            // Not decided when the session was about to end, or let go of.
            None => match rejection.reason {
                RejectReason::Draining => said != [false; 2],
                RejectReason::NoAcceptor => opened.closed[1 - opened.opener],
                _ => false,
            },
            Some(Verdict::Accepted(_)) => false,
        };
        ensure!(expected, "connection {id} was not rejected with {rejection:?}: {opened:?}");
    }

    /// Checks at the end that nothing ran of which its caller was told that it had not.
    pub(super) fn finish(&self) {
        for (token, call) in &self.calls {
            ensure!(
                !(call.not_run && call.began),
                "call {token} ran, and its caller was told that it had not"
            );
        }
    }
}

/// The bytes of a call's or an answer's body.
pub(super) fn body(token: u64, length: usize) -> Vec<u8> {
    let mut bytes = token.to_le_bytes().to_vec();
    bytes.extend((8..length).map(|at| (token as usize).wrapping_add(at) as u8));
    bytes
}

/// The bytes of an item.
pub(super) fn item(channel: ChannelId, at: usize, length: usize) -> impl Iterator<Item = u8> {
    let seed = channel.id as usize * 7 + channel.connection as usize * 5 + at * 31;
    (0..length).map(move |place| (seed + place) as u8)
}
