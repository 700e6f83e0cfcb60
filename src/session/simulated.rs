//! Two sessions on a simulated link: what simulation, tests and fuzzing drive step by step.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::{
    CallId, CallRequest, Inbound, Limits, Lookup, Metadata, Method, Role, Session, Settings, StartCall,
};
use crate::link::{Buffer, Frame, Full, Header, Peer as Other, Transmit, Transport};

/// Echoes its argument.
pub(crate) static ECHO: Method =
    Method { id: 7, service: "sim", name: "echo", types: || 1, idempotent: false };
/// Served by nobody.
pub(crate) static MISSING: Method =
    Method { id: 8, service: "sim", name: "missing", types: || 1, idempotent: false };
/// Known to both sides with different types.
pub(crate) static DIFFERS: Method =
    Method { id: 9, service: "sim", name: "differs", types: || 1, idempotent: false };
static DIFFERS_HERE: Method =
    Method { id: 9, service: "sim", name: "differs", types: || 2, idempotent: false };

/// One direction of the simulated link.
#[derive(Default)]
pub(crate) struct Wire {
    pub(crate) frames: VecDeque<Frame>,
    pub(crate) bytes: usize,
}

/// The sending end of a direction: small frames, little room, as on a tiny ring.
pub(crate) struct Sender {
    wire: Arc<Mutex<Wire>>,
    capacity: usize,
    most: usize,
    reserved: Vec<u8>,
}

impl Transmit for Sender {
    fn max_payload(&self) -> usize {
        self.most
    }

    fn reserve(&mut self, length: usize) -> Result<&mut [u8], Full> {
        assert!(length <= self.most);
        if self.wire.lock().unwrap().bytes + Header::LEN + length > self.capacity {
            return Err(Full);
        }
        self.reserved = vec![0xAA; length];
        Ok(&mut self.reserved)
    }

    fn commit(&mut self, header: &Header) {
        let payload = std::mem::take(&mut self.reserved);
        assert_eq!(usize::try_from(header.length), Ok(payload.len()));
        let mut wire = self.wire.lock().unwrap();
        wire.bytes += Header::LEN + payload.len();
        wire.frames.push_back(Frame::new(*header, Buffer::from(payload)));
    }

    fn publish(&mut self) -> bool {
        true
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

    /// The next request whose handler is to be dropped.
    pub(crate) fn next_cancelled(&mut self) -> Option<CallId> {
        self.io.inbox.cancelled.pop()
    }

    /// Whether a request waits to be handled, or a handler to be dropped.
    pub(crate) fn has_requests(&self) -> bool {
        !self.io.inbox.requests.is_empty() || !self.io.inbox.cancelled.is_empty()
    }

    /// Whether no request is in flight.
    pub(crate) fn is_serving_none(&self) -> bool {
        self.io.in_flight.requests == 0
    }

    /// Calls whose answers are awaited, by their callers or by nobody any more.
    pub(crate) fn calls_in_flight(&self) -> usize {
        self.io.in_flight.calls
    }

    /// The bytes of messages that are kept on account of the peer: P3 bounds them.
    pub(crate) fn kept(&self) -> usize {
        let queued = self.io.inbox.requests.iter().map(|inbound| inbound.payload.len()).sum::<usize>();
        queued + self.assembly.kept() + self.io.outbox.kept() + self.connections.kept()
    }
}

pub(crate) fn settings(limits: Limits) -> Settings {
    Settings {
        limits,
        metadata: Metadata::new(),
        transport: Transport::Mem,
        peer: Other::this(),
        open_until: None,
        methods: Box::new(served),
        keepalive: None,
        idle: None,
    }
}

/// What both sides serve, on every connection.
pub(crate) fn served(id: u64) -> Lookup {
    match id {
        7 => Lookup::Served(&ECHO),
        9 => Lookup::Served(&DIFFERS_HERE),
        _ => Lookup::Unknown,
    }
}

/// An initiator and an acceptor, not yet started.
pub(crate) fn pair(capacity: usize, most: usize, limits: Limits) -> [Peer; 2] {
    let wires = [Arc::new(Mutex::new(Wire::default())), Arc::new(Mutex::new(Wire::default()))];
    [(Role::Initiator, 0), (Role::Acceptor, 1)].map(|(role, at)| Peer {
        session: Session::new(role, settings(limits)),
        out: Sender { wire: Arc::clone(&wires[at]), capacity, most, reserved: Vec::new() },
        incoming: Arc::clone(&wires[1 - at]),
    })
}

impl Peer {
    /// Takes one frame in; whether there was one.
    pub(crate) fn receive(&mut self, now: Instant) -> bool {
        let Some(mut frame) = self.incoming.lock().unwrap().frames.pop_front() else { return false };
        self.incoming.lock().unwrap().bytes -= Header::LEN + frame.payload.len();
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
        let metadata = Metadata::empty();
        let method = method.into();
        let request = CallRequest { connection: 0, method, body: &bytes, metadata, channels: &[], deadline };
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
