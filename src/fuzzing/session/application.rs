//! What the application of an attacked session does: calls, handlers, channels, connections.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::{Attacked, Script};
use crate::session::simulated::{DIFFERS, ECHO, LONG, MISSING, Peer, Wire, served};
use crate::session::{
    Answer, CallRequest, ChannelId, ConnectionSettings, Failure, Flow, Gone, ItemRun, Metadata, Outcome,
    Received, RejectReason, Rejection, StartCall, Wish, Work,
};

impl Attacked {
    pub(super) fn call(&mut self, script: &mut Script<'_>) {
        let (choice, length) = (script.byte(), usize::from(script.byte()) * 8);
        let deadline = (choice & 0x80 != 0).then(|| self.now + Duration::from_millis(script.byte().into()));
        self.start(0, choice, length, deadline, &[]);
    }

    /// A call is made, unless too many are; now and then its caller waits for its turn.
    fn start(
        &mut self,
        connection: u32,
        choice: u8,
        length: usize,
        deadline: Option<std::time::Instant>,
        channels: &[Wish],
    ) {
        if self.calls.len() > self.limits.requests as usize {
            return;
        }
        let method = [&ECHO, &MISSING, &DIFFERS][usize::from(choice % 3)].into();
        let bytes = vec![choice; length];
        let body = &bytes.as_slice();
        let request = CallRequest { connection, channels, deadline, ..CallRequest::plain(method, body) };
        let Peer { session, out, .. } = &mut self.peer;
        match session.start_call(&request, || self.now, out) {
            StartCall::Started(started) => {
                self.calls.push(started.call);
                self.declared(connection, started.first_channel, channels);
            }
            StartCall::Refused(_) => {}
            StartCall::Busy if connection == 0 => {
                let waits = session.wait_turn(&request, &mut self.turn, Waker::noop()).is_none();
                if waits && choice & 0x40 == 0 {
                    return;
                }
            }
            StartCall::Busy => {}
        }
        // Its turn has come, or it waits no more.
        if let Some(ticket) = self.turn.take() {
            self.peer.session.abandon(0, ticket);
        }
    }

    /// This side has declared channels.
    fn declared(&mut self, connection: u32, first: u64, wishes: &[Wish]) {
        let ids = (0..wishes.len() as u64).map(|at| ChannelId { connection, id: first + 2 * at });
        self.ends.extend(ids.zip(wishes.iter().map(|wish| wish.flow)));
    }

    pub(super) fn respond(&mut self, script: &mut Script<'_>) {
        let (choice, length) = (script.byte(), usize::from(script.byte()) * 8);
        self.answer(choice, length, &[]);
    }

    fn answer(&mut self, choice: u8, length: usize, channels: &[Wish]) {
        if self.handling.is_empty() {
            return;
        }
        let call = self.handling.swap_remove(usize::from(choice) % self.handling.len());
        let bytes = vec![choice; length];
        let (body, metadata) = (&bytes.as_slice(), Metadata::empty());
        let result = match choice & 0x80 {
            0 => Ok(Outcome { body, metadata, channels, descriptors: &[] }),
            _ => Err(Failure::HandlerPanicked),
        };
        if let Some(first) = self.peer.session.respond(call, result, &mut self.peer.out) {
            self.declared(call.connection, first, channels);
        }
    }

    /// A call or an answer with channels: `which, flows, length`.
    pub(super) fn declare(&mut self, script: &mut Script<'_>) {
        let (choice, flows, length) = (script.byte(), script.byte(), usize::from(script.byte()) * 8);
        let wish = |at: u8| Wish {
            flow: if flows >> at & 1 == 0 { Flow::Out } else { Flow::In },
            window: (flows & 0x80 != 0).then_some(u32::from(flows)),
        };
        let wishes: Vec<Wish> = (0..1 + choice % 4).map(wish).collect();
        match choice & 0x40 {
            0 => self.start(self.held_or_root(choice), choice & 0x3F, length, None, &wishes),
            _ => self.answer(choice, length, &wishes),
        }
    }

    fn held_or_root(&self, choice: u8) -> u32 {
        let at = usize::from(choice) % (self.held.len() + 1);
        if at == 0 { 0 } else { self.held[at - 1] }
    }

    /// A caller drops its call, whatever has become of it.
    pub(super) fn give_up(&mut self, script: &mut Script<'_>) {
        let choice = usize::from(script.byte());
        if !self.calls.is_empty() {
            let id = self.calls.swap_remove(choice % self.calls.len());
            self.peer.session.cancel(id, &mut self.peer.out);
        }
    }

    fn end(&self, script: &mut Script<'_>) -> Option<(ChannelId, Flow)> {
        let choice = usize::from(script.byte());
        self.ends.get(choice % self.ends.len().max(1)).copied()
    }

    /// Sends items: `which end, how many, length`. What the peer stores in its cells is put there before.
    pub(super) fn send(&mut self, script: &mut Script<'_>) {
        let Some((channel, _)) = self.end(script) else { return };
        let (count, length) = (1 + script.byte() % 3, script.byte());
        for cell in self.peer.out.peer_cells.iter() {
            cell.store(script.number(), Ordering::Relaxed);
        }
        let batch = count > 1;
        let item = [u32::from(length).to_le_bytes().as_slice(), &vec![7; length.into()]].concat();
        let bytes = if batch { item.repeat(count.into()) } else { item.split_at(4).1.to_vec() };
        let run = ItemRun { body: &bytes.as_slice(), count: count.into(), batch, descriptors: &[] };
        let Peer { session, out, .. } = &mut self.peer;
        let open = session.credit(channel, out).is_ok();
        match session.poll_send(channel, &run, Some(Waker::noop()), out) {
            Poll::Ready(Ok(())) | Poll::Pending => assert!(open, "what is gone takes nothing"),
            Poll::Ready(Err(Gone::TooLarge { size, limit })) => assert!(open && size > limit),
            Poll::Ready(Err(_)) => assert!(!open, "it is not gone"),
        }
        assert_eq!(session.poll_gone(channel, Waker::noop()).is_pending(), open);
    }

    /// Takes what has come on a channel: `which end`.
    pub(super) fn take_items(&mut self, script: &mut Script<'_>) {
        let Some((channel, Flow::In)) = self.end(script) else { return };
        let mut items = VecDeque::new();
        let Peer { session, out, .. } = &mut self.peer;
        let mut consumed = 0;
        for waker in [None, Some(Waker::noop())] {
            match session.poll_receive(channel, consumed, &mut items, waker, out) {
                Poll::Ready(Ok(Received::Items)) => assert!(!items.is_empty(), "there are items"),
                Poll::Ready(Ok(Received::End(_)) | Err(_)) | Poll::Pending => {
                    assert!(items.is_empty(), "items come before what else there is");
                    break;
                }
            }
            self.came_through += items.len();
            consumed = items.drain(..).map(|items| items.cost()).sum();
        }
    }

    /// Lets go of an end: `which, how`.
    pub(super) fn let_go(&mut self, script: &mut Script<'_>) {
        let Some(end) = self.end(script) else { return };
        self.ends.retain(|known| *known != end);
        let Peer { session, out, .. } = &mut self.peer;
        match (end, script.byte() & 1) {
            ((channel, Flow::Out), 0) => session.finish_channel(channel, Metadata::empty(), out),
            ((channel, _), _) => session.reset_channel(channel, out),
        }
    }

    /// Asks for a connection, or closes or releases one: `what, which`.
    pub(super) fn connect(&mut self, script: &mut Script<'_>) {
        let (what, which) = (script.byte(), usize::from(script.byte()));
        let Peer { session, out, .. } = &mut self.peer;
        let held = self.held.get(which % self.held.len().max(1)).copied();
        match (what % 4, held) {
            (0, _) => {
                let settings = (what & 0x80 != 0).then(|| ConnectionSettings::new(1, 40, 1));
                let metadata = Metadata::empty();
                self.held.extend(session.open_connection("it", metadata, settings, Box::new(served), out));
            }
            (1, Some(id)) => session.close_connection(id, out),
            (_, Some(id)) => {
                self.held.retain(|held| *held != id);
                session.release_connection(id, what & 1 == 0, out);
            }
            (_, None) => {}
        }
    }

    /// Decides about a connection that the peer has asked for, or about the peer itself: `how`.
    pub(super) fn decide(&mut self, script: &mut Script<'_>) {
        let choice = script.byte();
        if let Poll::Ready(Some(_)) = self.peer.session.poll_introduced(Waker::noop()) {
            return self.decide_about_peer(choice & 1 == 0);
        }
        let Some(id) = self.asked.pop() else { return };
        let Peer { session, out, .. } = &mut self.peer;
        if choice & 1 == 0 {
            let settings = (choice & 0x80 != 0).then(|| ConnectionSettings::new(1, 40, 1));
            if session.accept_connection(id, Metadata::empty(), settings, Box::new(served), out) {
                self.held.push(id);
                self.came_through += 1;
            }
        } else {
            let rejection = Rejection::new(RejectReason::NotReady);
            session.reject_connection(id, &rejection, out);
        }
    }

    fn decide_about_peer(&mut self, lets_in: bool) {
        let (now, Peer { session, out, .. }) = (self.now, &mut self.peer);
        if lets_in {
            session.admit(out, &|| now);
        } else {
            session.refuse(Rejection::new(RejectReason::Forbidden).with_text("no"), out);
            assert!(session.is_over());
        }
        assert!(matches!(session.poll_introduced(Waker::noop()), Poll::Ready(None)), "it is decided");
    }

    /// What a driver does after each step: fetches what is to be handled, and what was answered.
    pub(super) fn hand_out(&mut self) {
        let Peer { session, out, .. } = &mut self.peer;
        while let Poll::Ready(work) = session.poll_work(Some(Waker::noop())) {
            match work {
                Work::Serve(request) => {
                    assert!(
                        [ECHO.id, LONG.id].contains(&request.method),
                        "only what is served is handed out"
                    );
                    assert!(request.body <= request.payload.len());
                    assert!(!self.handling.contains(&request.call), "a request is handed out once");
                    self.handling.push(request.call);
                    let channels = request.attached.map_or_else(Vec::new, |attached| attached.channels);
                    let ends = channels.iter().map(|channel| (request.call.connection, channel));
                    self.ends.extend(
                        ends.map(|(connection, end)| (ChannelId { connection, id: end.id }, end.flow)),
                    );
                    self.came_through += 1;
                }
                Work::Drop(id) => {
                    self.handling.retain(|handled| *handled != id);
                    session.respond(id, Err(Failure::Cancelled), out);
                }
                Work::Open(request) => self.asked.push(request.id),
                Work::Closed(_) => {}
                Work::Over => break,
            }
        }
        self.calls.retain(|call| match session.poll_answer(*call, Some(Waker::noop())) {
            Poll::Pending => true,
            Poll::Ready(Answer::Disconnected { .. }) => false,
            Poll::Ready(Answer::Failure(_)) => {
                self.came_through += 1;
                false
            }
            Poll::Ready(Answer::Response(mut response)) => {
                let channel = |id| ChannelId { connection: call.connection, id };
                let channels = response.take_channels();
                self.ends.extend(channels.iter().map(|end| (channel(end.id), end.flow)));
                self.came_through += 1;
                false
            }
        });
        for id in &self.held {
            let over = session.poll_connection_over(*id, Waker::noop()).is_ready();
            assert!(over || !session.is_over(), "a connection goes on after the session's end");
        }
        self.peer.settle();
    }

    pub(super) fn pass_time(&mut self, script: &mut Script<'_>) {
        self.now += Duration::from_millis(script.byte().into());
        self.peer.session.handle_timeout(self.now, &mut self.peer.out);
    }

    /// The peer reads all that was sent.
    pub(super) fn take_all(&mut self) {
        *self.sent.lock().unwrap() = Wire::default();
    }

    /// Nobody wants anything of the session any more.
    pub(super) fn leave(&mut self) {
        let Peer { session, out, .. } = &mut self.peer;
        for (channel, _) in self.ends.drain(..) {
            session.reset_channel(channel, out);
        }
        if let Some(ticket) = self.turn.take() {
            session.abandon(0, ticket);
        }
        for id in self.held.drain(..) {
            session.release_connection(id, true, out);
        }
        assert_eq!(session.held(), 0, "something is left");
    }
}
