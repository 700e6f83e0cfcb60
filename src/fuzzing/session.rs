//! A session whose peer does as it likes.

use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use super::script::Script;
use crate::link::{Buffer, Frame, Header};
use crate::session::simulated::{DIFFERS, ECHO, MISSING, Peer, Shape, Wire, deliver, pair};
use crate::session::{
    Answer, CallId, CloseReason, Failure, Limits, Metadata, Outcome, RejectReason, Rejection, StartCall, Work,
};

/// A session whose peer sends whatever it likes, from the first frame or after an honest handshake, while this side
/// makes calls and handles requests. Gives back how many requests and answers came through.
pub fn session(data: &[u8]) -> usize {
    let mut script = Script(data);
    let setup = script.byte();
    let limits = match setup & TIGHT {
        0 => Limits::default(),
        _ => Limits { requests: 2, payload: Limits::LEAST_PAYLOAD, ..Limits::default() },
    };
    let shape = if setup & NARROW == 0 { Shape::WIDE } else { Shape::NARROW };
    let now = Instant::now();
    let mut peers = pair(shape, limits);
    for peer in &mut peers {
        peer.session.start(&mut peer.out);
    }
    if setup & OPENED != 0 {
        deliver(&mut peers, now);
        assert!(peers.iter().all(|peer| peer.session.negotiated().is_some()), "an honest handshake succeeds");
    }
    let [initiator, acceptor] = peers;
    let (peer, other) = if setup & ACCEPTOR == 0 { (initiator, acceptor) } else { (acceptor, initiator) };
    let mut attacked = Attacked {
        peer,
        sent: other.incoming,
        limits,
        now,
        handling: Vec::new(),
        calls: Vec::new(),
        turn: None,
        came_through: 0,
    };
    while let Some(step) = script.next() {
        attacked.step(step, &mut script);
    }
    attacked.finish();
    attacked.came_through
}

/// In a session's setup: it is the acceptor that is attacked, not the initiator.
const ACCEPTOR: u8 = 1;
/// The attack begins after the handshake.
const OPENED: u8 = 2;
/// Two requests at a time, of a kilobyte.
const TIGHT: u8 = 4;
/// Small frames and little room, so that this side has to wait.
const NARROW: u8 = 8;

/// A session, and what it owes.
struct Attacked {
    peer: Peer,
    /// What it has sent and nobody has read.
    sent: Arc<Mutex<Wire>>,
    limits: Limits,
    now: Instant,
    /// Requests that were handed out and not answered.
    handling: Vec<CallId>,
    /// Calls whose answers are awaited.
    calls: Vec<CallId>,
    /// The ticket of a caller that waits for its turn.
    turn: Option<u64>,
    came_through: usize,
}

impl Attacked {
    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        let over = self.peer.session.close_reason().cloned();
        let sent = self.sent_frames();
        match step % 10 {
            0..=3 => self.receive(script),
            4 => self.call(script),
            5 => self.respond(script),
            6 => self.give_up(script),
            7 => self.pass_time(script),
            8 => self.take_all(),
            _ => self.peer.session.goodbye(&mut self.peer.out, Some(self.now + Duration::from_millis(9))),
        }
        self.peer.settle();
        self.hand_out();
        self.check();
        if over.is_some() {
            assert_eq!(self.peer.session.close_reason(), over.as_ref(), "the end has one reason");
            assert!(self.sent_frames() <= sent, "nothing is sent after the end");
        }
    }

    fn sent_frames(&self) -> usize {
        self.sent.lock().unwrap().frames.len()
    }

    /// A frame from the peer: `kind, flags, id, method, length, payload`.
    fn receive(&mut self, script: &mut Script<'_>) {
        let mut bytes = [0; Header::LEN];
        bytes[4] = 1 + script.byte() % 11;
        let flags = script.byte();
        bytes[5] = flags & 3;
        bytes[8] = flags >> 7;
        bytes[16..24].copy_from_slice(&script.number().to_le_bytes());
        bytes[24..32].copy_from_slice(&script.number().to_le_bytes());
        let length = match script.byte() {
            u8::MAX => script.short().into(),
            short => short.into(),
        };
        let payload = Buffer::copy_of(script.bytes(length));
        bytes[..4].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        let header = Header::decode(&bytes).expect("only what a header may say was put into it");
        let now = self.now;
        self.peer.session.handle(&mut Frame::new(header, payload), &mut self.peer.out, &|| now);
        if header.connection != 0 {
            assert!(self.peer.session.is_over(), "a frame of no connection is a violation");
        }
    }

    fn call(&mut self, script: &mut Script<'_>) {
        let (choice, length) = (script.byte(), usize::from(script.byte()) * 8);
        if self.calls.len() > self.limits.requests as usize {
            return;
        }
        let method = [&ECHO, &MISSING, &DIFFERS][usize::from(choice % 3)];
        let deadline = (choice & 0x80 != 0).then(|| self.now + Duration::from_millis(script.byte().into()));
        match self.peer.call(method, &vec![choice; length], deadline, self.now) {
            StartCall::Started(started) => self.calls.push(started.call),
            StartCall::Refused(_) => {}
            StartCall::Busy => {
                let waits = self.peer.session.wait_turn(0, &mut self.turn, deadline, Waker::noop()).is_none();
                if waits && choice & 0x40 == 0 {
                    return;
                }
            }
        }
        // Its turn has come, or it waits no more.
        if let Some(ticket) = self.turn.take() {
            self.peer.session.abandon(0, ticket);
        }
    }

    fn respond(&mut self, script: &mut Script<'_>) {
        let (choice, length) = (script.byte(), usize::from(script.byte()) * 8);
        if self.handling.is_empty() {
            return;
        }
        let id = self.handling.swap_remove(usize::from(choice) % self.handling.len());
        let bytes = vec![choice; length];
        let bytes = bytes.as_slice();
        let result =
            if choice & 0x80 == 0 { Ok(Outcome::plain(&bytes)) } else { Err(Failure::HandlerPanicked) };
        self.peer.session.respond(id, result, &mut self.peer.out);
    }

    /// A caller drops its call, whatever has become of it.
    fn give_up(&mut self, script: &mut Script<'_>) {
        let choice = usize::from(script.byte());
        if !self.calls.is_empty() {
            let id = self.calls.swap_remove(choice % self.calls.len());
            self.peer.session.cancel(id, &mut self.peer.out);
        }
    }

    fn pass_time(&mut self, script: &mut Script<'_>) {
        self.now += Duration::from_millis(script.byte().into());
        self.peer.session.handle_timeout(self.now, &mut self.peer.out);
    }

    /// The peer reads all that was sent.
    fn take_all(&mut self) {
        *self.sent.lock().unwrap() = Wire::default();
    }

    /// What a driver does after each step: fetches what is to be handled, and what was answered.
    fn hand_out(&mut self) {
        let Peer { session, out, .. } = &mut self.peer;
        while let Poll::Ready(work) = session.poll_work(Some(Waker::noop())) {
            match work {
                Work::Serve(request) => {
                    assert_eq!(request.method, ECHO.id, "only what is served is handed out");
                    assert!(request.body <= request.payload.len());
                    assert!(!self.handling.contains(&request.call), "a request is handed out once");
                    self.handling.push(request.call);
                    self.came_through += 1;
                }
                Work::Drop(id) => {
                    self.handling.retain(|handled| *handled != id);
                    session.respond(id, Err(Failure::Cancelled), out);
                }
                Work::Open(request) => session.reject_connection(request.id, &nobody(), out),
                Work::Closed(_) => {}
                Work::Over => break,
            }
        }
        self.calls.retain(|id| match session.poll_answer(*id, Some(Waker::noop())) {
            Poll::Pending => true,
            Poll::Ready(Answer::Disconnected { .. }) => false,
            Poll::Ready(Answer::Response(_) | Answer::Failure(_)) => {
                self.came_through += 1;
                false
            }
        });
        self.peer.settle();
    }

    fn check(&self) {
        let session = &self.peer.session;
        let requests = self.limits.requests as usize;
        assert!(self.handling.len() <= requests, "more is handled than agreed");
        assert!(session.calls_in_flight() <= requests, "more calls are in flight than agreed");
        // P3: requests and answers, for each direction, one in assembly, and what opens and ends a session.
        let messages = (2 * requests + 1) as u64;
        assert!(session.kept() as u64 <= messages * self.limits.payload + 128 * 1024, "{}", session.kept());
        if session.is_over() {
            assert!(self.calls.is_empty(), "calls without an answer after the end");
            assert!(self.handling.is_empty(), "handlers that nobody cancelled after the end");
            assert!(!session.wants_space(), "it waits for room after the end");
            assert!(session.next_timeout().is_none(), "something is due after the end");
            assert_eq!(session.kept(), 0, "messages are kept after the end");
        }
    }

    /// The link ends, and with it everything.
    fn finish(&mut self) {
        self.peer.session.link_lost(CloseReason::PeerDied);
        self.hand_out();
        self.check();
        assert!(self.peer.session.is_over());
    }
}

fn nobody() -> Rejection {
    Rejection { reason: RejectReason::NoAcceptor, metadata: Metadata::new() }
}
