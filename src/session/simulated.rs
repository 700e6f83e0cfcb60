//! Two sessions on a simulated link: what simulation, tests and fuzzing drive step by step.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use transom_shm_layout::word::PeerWord;

use super::connection::Connection;
use super::handshake::MAX_HELLO;
use super::timers::Timer;
use super::{CallRequest, Inbound, Limits, Lookup, Metadata, Method, Role, Session, Settings, StartCall};
use crate::link::{
    Buffer, Descriptors, FdError, Frame, Full, Header, NotPassed, Peer as Other, Transmit, Transport,
};

/// Echoes its argument.
pub(crate) static ECHO: Method = method(7, "echo", || 1);
/// Served by nobody.
pub(crate) static MISSING: Method = method(8, "missing", || 1);
/// Known to both sides with different types.
pub(crate) static DIFFERS: Method = method(9, "differs", || 1);
static DIFFERS_HERE: Method = method(9, "differs", || 2);
/// Served, with a name that takes several frames on a narrow link.
pub(crate) static LONG: Method = method(
    10,
    "a method with a name that is longer than many a frame on a narrow link, where it takes more than one",
    || 1,
);

const fn method(id: u64, name: &'static str, types: fn() -> u64) -> Method {
    Method { id, service: "sim", name, types, idempotent: false }
}

/// One direction of the simulated link.
#[derive(Default)]
pub(crate) struct Wire {
    pub(crate) frames: VecDeque<Frame>,
    pub(crate) bytes: usize,
    descriptors: usize,
    /// Nothing more goes in.
    cut: bool,
}

impl Wire {
    /// The link breaks: of what is on its way the first few frames arrive, and nothing goes in any more.
    pub(crate) fn cut(&mut self, arrive: usize) {
        self.frames.truncate(arrive);
        self.cut = true;
    }
}

/// What a simulated link is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Bytes on their way in one direction, headers included.
    pub(crate) capacity: usize,
    /// The most payload of a frame.
    pub(crate) most: usize,
    /// Credit cells on each side.
    pub(crate) cells: u32,
}

impl Shape {
    /// A link with plenty of room, and without cells.
    pub(crate) const WIDE: Self = Self { capacity: 1 << 20, most: 1024, cells: 0 };
    /// A link on which three small frames fit.
    pub(crate) const NARROW: Self = Self { capacity: 3 * (Header::LEN + 64), most: 64, cells: 0 };
}

/// The sending end of a direction: small frames, little room, as on a tiny ring.
pub(crate) struct Sender {
    wire: Arc<Mutex<Wire>>,
    shape: Shape,
    reserved: Vec<u8>,
    /// This side's credit cells.
    pub(crate) own_cells: Arc<[AtomicU64]>,
    /// What shows here of the peer's.
    pub(crate) peer_cells: Arc<[AtomicU64]>,
    /// Whether the operating system passes no descriptors.
    pub(crate) refuses: bool,
}

/// Descriptors on their way in one direction.
const DESCRIPTORS: usize = 64;

fn cells(count: u32) -> Arc<[AtomicU64]> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

impl Transmit for Sender {
    fn max_payload(&self) -> usize {
        self.shape.most
    }

    fn reserve(&mut self, length: usize) -> Result<&mut [u8], Full> {
        assert!(length <= self.shape.most);
        if self.wire.lock().unwrap().bytes + Header::LEN + length > self.shape.capacity {
            return Err(Full);
        }
        self.reserved = vec![0xAA; length];
        Ok(&mut self.reserved)
    }

    fn commit(&mut self, header: &Header) {
        let payload = std::mem::take(&mut self.reserved);
        assert_eq!(usize::try_from(header.length), Ok(payload.len()));
        let mut wire = self.wire.lock().unwrap();
        if wire.cut {
            return;
        }
        wire.bytes += Header::LEN + payload.len();
        wire.frames.push_back(Frame::new(*header, Buffer::from(payload)));
    }

    fn carries_descriptors(&self) -> bool {
        true
    }

    fn commit_passing(&mut self, header: &Header, descriptors: &[BorrowedFd<'_>]) -> Result<(), NotPassed> {
        if self.refuses {
            return Err(FdError::Refused { errno: 1 }.into());
        }
        if !self.has_room_for(descriptors.len()) {
            return Err(NotPassed::Full);
        }
        let own = descriptors.iter().map(|fd| fd.try_clone_to_owned().unwrap()).collect();
        self.commit(header);
        let mut wire = self.wire.lock().unwrap();
        if !wire.cut
            && let Some(frame) = wire.frames.back_mut()
        {
            frame.descriptors = Descriptors::own(own);
            wire.descriptors += descriptors.len();
        }
        Ok(())
    }

    fn has_room_for(&mut self, descriptors: usize) -> bool {
        self.wire.lock().unwrap().descriptors + descriptors <= DESCRIPTORS
    }

    fn publish(&mut self) -> bool {
        true
    }

    fn cells(&self) -> u32 {
        self.shape.cells
    }

    fn own_cell(&self, index: u32) -> Option<&AtomicU64> {
        self.own_cells.get(usize::try_from(index).ok()?)
    }

    fn peer_cell(&self, index: u32) -> Option<PeerWord<'_>> {
        self.peer_cells.get(usize::try_from(index).ok()?).map(PeerWord::new)
    }
}

/// A session and its end of the link.
pub(crate) struct Peer {
    pub(crate) session: Session,
    pub(crate) out: Sender,
    pub(crate) incoming: Arc<Mutex<Wire>>,
}

impl Session {
    /// The next request to handle.
    pub(crate) fn next_request(&mut self) -> Option<Inbound> {
        self.io.inbox.requests.pop_front()
    }

    /// The bytes of messages that are kept on account of the peer.
    pub(crate) fn kept(&self) -> usize {
        let queued = self.io.inbox.requests.iter().map(|inbound| inbound.payload.len()).sum::<usize>();
        queued + self.assembly.kept() + self.io.outbox.kept() + self.connections.kept()
    }

    /// What does not hold of all that always does, whatever the peer does: P2, P3, N1.
    pub(crate) fn flaw(&self) -> Option<String> {
        let (mut calls, mut requests, mut channels) = (0, 0, 0);
        let (mut bytes, mut messages) = (MAX_HELLO + 2 * self.connections.root.limits.payload_length(), 8);
        for connection in self.connections.iter() {
            let (id, limits) = (connection.id, &connection.limits);
            let (live, incoming) = (connection.outgoing.in_flight(), connection.incoming.in_flight());
            let (ours, theirs) = (connection.channels.ours(), connection.channels.theirs());
            if live.max(incoming) > limits.requests as usize {
                return Some(format!(
                    "{live} calls and {incoming} requests are in flight on connection {id}"
                ));
            }
            if ours.max(theirs) > limits.channels as usize {
                return Some(format!("{ours} and {theirs} channels are open on connection {id}"));
            }
            (calls, requests, channels) = (calls + live, requests + incoming, channels + ours + theirs);
            let (payload, metadata) = (limits.payload_length(), limits.metadata_length());
            let ends = connection.channels.count();
            bytes += limits.requests as usize * payload + metadata + SMALL;
            bytes += ends * (payload.max(limits.window as usize) + metadata + SMALL);
            messages += 2 * limits.requests as usize + 3 * ends + METHODS + 2;
        }
        let counted = (self.io.in_flight.calls, self.io.in_flight.requests, self.io.in_flight.channels);
        if counted != (calls, requests, channels) {
            return Some(format!("{counted:?} are in flight, by count {calls}, {requests}, {channels}"));
        }
        for role in [Role::Initiator, Role::Acceptor] {
            let open = self.connections.opened_by(role);
            if open > self.connections.root.limits.connections as usize {
                return Some(format!("{open} connections are open of the {role:?}"));
            }
        }
        let (kept, waiting) = (self.kept(), self.io.outbox.count());
        if kept > bytes || waiting > messages {
            return Some(format!("{kept} bytes are kept of {bytes}, {waiting} messages of {messages}"));
        }
        (self.is_over()).then(|| self.left()).flatten()
    }

    /// What is left although nothing is under way, besides what applications hold.
    pub(crate) fn left(&self) -> Option<String> {
        let lasting = [Timer::Keepalive, Timer::Idle, Timer::Goodbye];
        if let Some(timer) = self.io.timers.all().find(|timer| self.is_over() || !lasting.contains(timer)) {
            return Some(format!("{timer:?} is due"));
        }
        let lost = self.io.cells.lost();
        if !self.io.in_flight.is_none() || self.wants_space() || lost > 0 {
            return Some(format!("{:?}, {lost} cells, waits: {}", self.io.in_flight, self.wants_space()));
        }
        let kept = self.kept() - self.connections.kept();
        (kept > 0).then(|| format!("{kept} bytes are kept"))
    }

    /// Whether no request is in flight.
    pub(crate) fn is_serving_none(&self) -> bool {
        self.io.in_flight.requests == 0
    }

    /// How many calls, channels' ends and virtual connections are kept for applications to ask of.
    pub(crate) fn held(&self) -> usize {
        let of = |it: &Connection| it.channels.count() + usize::from(!it.outgoing.is_empty());
        self.connections.iter().map(|connection| 1 + of(connection)).sum::<usize>() - 1
    }
}

/// What opens, accepts, rejects and binds, without metadata, and the small frames of a connection or a channel, in bytes.
const SMALL: usize = 4 * 1024;
/// How many methods are called.
const METHODS: usize = 4;

pub(crate) fn settings(limits: Limits) -> Settings {
    Settings {
        limits,
        metadata: Metadata::new(),
        transport: Transport::Mem,
        peer: Other::this(),
        open_until: None,
        methods: Box::new(served),
        has_policy: false,
        keepalive: None,
        idle: None,
        descriptors: 128,
    }
}

/// What both sides serve, on every connection.
pub(crate) fn served(id: u64) -> Lookup {
    match id {
        7 => Lookup::Served(&ECHO),
        10 => Lookup::Served(&LONG),
        9 => Lookup::Served(&DIFFERS_HERE),
        _ => Lookup::Unknown,
    }
}

/// An initiator and an acceptor, not yet started. What either stores in a cell shows to the other at once.
pub(crate) fn pair(shape: Shape, limits: Limits) -> [Peer; 2] {
    let settings = || settings(limits);
    let mut peers = pair_with(shape, [settings(), settings()]);
    for at in 0..2 {
        peers[at].out.peer_cells = Arc::clone(&peers[1 - at].out.own_cells);
    }
    peers
}

/// An initiator and an acceptor, not yet started. What either stores in a cell never shows to the other by itself.
pub(crate) fn pair_with(shape: Shape, settings: [Settings; 2]) -> [Peer; 2] {
    let wires = [Arc::new(Mutex::new(Wire::default())), Arc::new(Mutex::new(Wire::default()))];
    let sides = [Role::Initiator, Role::Acceptor].into_iter().zip(settings).enumerate();
    let mut peers = sides.map(|(at, (role, settings))| Peer {
        session: Session::new(role, settings),
        out: Sender {
            wire: Arc::clone(&wires[at]),
            shape,
            reserved: Vec::new(),
            own_cells: cells(shape.cells),
            peer_cells: cells(shape.cells),
            refuses: false,
        },
        incoming: Arc::clone(&wires[1 - at]),
    });
    std::array::from_fn(|_| peers.next().expect("two sides"))
}

impl Peer {
    /// Takes one frame in; whether there was one.
    pub(crate) fn receive(&mut self, now: Instant) -> bool {
        let mut wire = self.incoming.lock().unwrap();
        let Some(mut frame) = wire.frames.pop_front() else { return false };
        wire.bytes -= Header::LEN + frame.payload.len();
        wire.descriptors -= frame.descriptors.sent();
        drop(wire);
        self.session.handle(&mut frame, &mut self.out, &|| now);
        true
    }

    pub(crate) fn call(
        &mut self,
        method: &'static Method,
        bytes: &[u8],
        deadline: Option<Instant>,
        now: Instant,
    ) -> StartCall {
        let request = CallRequest { deadline, ..CallRequest::plain(method.into(), &bytes) };
        self.session.start_call(&request, || now, &mut self.out)
    }

    pub(crate) fn settle(&mut self) {
        if self.session.wants_space() {
            self.session.flush(&mut self.out);
        }
        self.session.end_if_done();
        self.session.take_wakers(&mut Vec::new());
    }
}

/// Delivers everything until nothing moves; handles no requests.
pub(crate) fn deliver(peers: &mut [Peer; 2], now: Instant) {
    loop {
        let mut moved = false;
        for peer in peers.iter_mut() {
            while peer.receive(now) {
                moved = true;
            }
            peer.settle();
        }
        if !moved {
            return;
        }
    }
}
