//! Falling asleep in a core: whoever would sleep through something does not.

use std::os::unix::net::UnixStream;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::core::Core;
use crate::link::{Header, Kind, Link, Peer, Transport, stream_link};
use crate::session::{Limits, Metadata, Role, Session, Settings};

/// A core on a socket, what is at its other end, and when its handshake must be done.
fn core() -> (Core, UnixStream, Instant) {
    let (socket, other) = UnixStream::pair().unwrap();
    let Link { transmit, receive, .. } = stream_link(socket, false).unwrap();
    let due = Instant::now() + Duration::from_secs(20);
    let settings = Settings {
        limits: Limits::default(),
        metadata: Metadata::new(),
        transport: Transport::Mem,
        peer: Peer::this(),
        open_until: Some(due),
        methods: Box::new(|_| crate::session::Lookup::Unknown),
        keepalive: None,
        idle: None,
    };
    let mut core = Core::new(Session::new(Role::Acceptor, settings), transmit, receive);
    core.task_returned(Waker::noop());
    (core, other, due)
}

#[test]
fn a_task_sleeps_through_nothing_that_is_due() {
    let (mut core, _other, due) = core();
    for armed in [None, Some(due + Duration::from_secs(1))] {
        assert!(!core.task_falls_asleep(armed, false), "due at {due:?}, and armed for {armed:?}");
    }
    assert!(core.task_falls_asleep(Some(due), false));
}

#[test]
fn a_task_sleeps_through_no_room_to_write() {
    let (mut core, _other, due) = core();
    while !core.out.is_backed_up() {
        let length = core.out.max_payload();
        core.out.reserve(length).unwrap();
        core.out.commit(&Header { length: u32::try_from(length).unwrap(), ..Header::new(Kind::Call) });
        core.settle().wake();
    }
    assert!(!core.task_falls_asleep(Some(due), false));
    assert!(core.task_falls_asleep(Some(due), true));
}
