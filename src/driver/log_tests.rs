//! What a session logs may itself go over that session.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::blocking;
use super::engine::Engine;
use super::{Calls, Dispatch, Handler, Request, Slots};
use crate::link::{Header, Kind, Peer, Transport, mem_pair};
use crate::session::{CloseReason, Limits, Lookup, Metadata as CallMetadata, Role, Rule, Session, Settings};

/// Looks into a session at each event, and tells what it finds.
struct Looks(Arc<Engine>, Mutex<Sender<Option<CloseReason>>>);

impl Subscriber for Looks {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "transom::session"
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, _event: &Event<'_>) {
        self.1.lock().unwrap().send(self.0.close_reason()).unwrap();
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

/// Serves nothing.
struct Nothing;

impl Dispatch for Nothing {
    fn lookup(&self, _id: u64) -> Lookup {
        Lookup::Unknown
    }

    fn dispatch(&self, _request: Request, _slots: &mut Slots) -> Option<Handler> {
        None
    }
}

#[test]
fn a_broken_rule_is_logged_outside_the_core() {
    let settings = Settings {
        limits: Limits::default(),
        metadata: CallMetadata::new(),
        transport: Transport::Mem,
        peer: Peer::this(),
        open_until: None,
        methods: Box::new(|_| Lookup::Unknown),
        has_policy: false,
        keepalive: None,
        idle: None,
        descriptors: 64,
    };
    let (one, mut other) = mem_pair();
    let engine = blocking::start(Session::new(Role::Acceptor, settings), one, Arc::new(Nothing)).unwrap();
    other.transmit.reserve(0).unwrap();
    other.transmit.commit(&Header::new(Kind::Call));
    assert!(other.transmit.publish());
    let (sender, told) = channel();
    std::thread::spawn(move || {
        let looks = Looks(Arc::clone(&engine), Mutex::new(sender));
        tracing::subscriber::with_default(looks, || blocking::wait_open(&engine))
    });
    match told.recv_timeout(Duration::from_secs(20)) {
        Ok(Some(CloseReason::Protocol(error))) => assert_eq!(error.rule, Rule::HandshakeFirst),
        other => panic!("{other:?}"),
    }
}
