//! Falling asleep in a core: whoever would sleep through something does not.

use std::os::unix::net::UnixStream;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::core::Core;
use crate::link::{Header, Kind, Link, Peer, Transport, stream_link};
use crate::session::{Limits, Lookup, Metadata, Role, Session, Settings};

/// A core on a socket, what is at its other end, and when its handshake must be done.
fn core() -> (Core, UnixStream, Instant) {
    let (socket, other) = UnixStream::pair().unwrap();
    let Link { transmit, receive, .. } = stream_link(socket, false).unwrap();
    let due = Instant::now() + Duration::from_secs(20);
    let mut core = Core::new(Session::new(Role::Acceptor, settings(due)), transmit, receive);
    core.task_returned(Waker::noop());
    (core, other, due)
}

fn settings(due: Instant) -> Settings {
    Settings {
        limits: Limits::default(),
        metadata: Metadata::new(),
        transport: Transport::Mem,
        peer: Peer::this(),
        open_until: Some(due),
        methods: Box::new(|_| Lookup::Unknown),
        has_policy: false,
        keepalive: None,
        idle: None,
        descriptors: 64,
    }
}

#[test]
fn a_task_sleeps_through_nothing_that_is_due() {
    let (mut core, _other, due) = core();
    for armed in [None, Some(due + Duration::from_secs(1))] {
        assert!(!core.task_falls_asleep(armed, false), "due at {due:?}, and armed for {armed:?}");
    }
    assert_eq!(core.sleeps, 0, "who does not fall asleep has not slept");
    assert!(core.task_falls_asleep(Some(due), false));
    assert_eq!(core.sleeps, 1);
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

#[cfg(feature = "tokio")]
mod with_tokio {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::driver::{Calls, Dispatch, Handler, Request, Slots, tokio as driver};
    use crate::link::{Frame, LinkError, Note, Receive, Sleep, mem_pair};

    struct Nothing;

    impl Dispatch for Nothing {
        fn lookup(&self, _id: u64) -> Lookup {
            Lookup::Unknown
        }

        fn dispatch(&self, _request: Request, _slots: &mut Slots) -> Option<Handler> {
            None
        }
    }

    /// Counts how often somebody falls asleep.
    struct Sleeps {
        receive: Box<dyn Receive>,
        count: Arc<AtomicU32>,
    }

    impl Receive for Sleeps {
        fn next(&mut self, frame: &mut Frame) -> Result<bool, LinkError> {
            self.receive.next(frame)
        }

        fn most_unread(&self) -> u64 {
            self.receive.most_unread()
        }

        fn release(&mut self) {
            self.receive.release();
        }

        fn awake(&mut self) {
            self.receive.awake();
        }

        fn announce(&mut self, sleep: Sleep<'_>) -> Result<Option<Note>, LinkError> {
            self.count.fetch_add(1, Ordering::Relaxed);
            self.receive.announce(sleep)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_due_any_more_wakes_nobody() {
        let (mut one, other) = mem_pair();
        let count = Arc::new(AtomicU32::new(0));
        one.receive = Box::new(Sleeps { receive: one.receive, count: Arc::clone(&count) });
        let session = |role| Session::new(role, settings(Instant::now() + Duration::from_secs(5)));
        let client = driver::start(session(Role::Initiator), one, Arc::new(Nothing)).unwrap();
        let server = driver::start(session(Role::Acceptor), other, Arc::new(Nothing)).unwrap();
        driver::wait_open(&client).await.unwrap();
        ::tokio::time::sleep(Duration::from_secs(1)).await;
        let before = count.load(Ordering::Relaxed);
        ::tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(count.load(Ordering::Relaxed), before, "the handshake is done long since");
        client.close();
        poll_fn(|cx| server.poll_closed(cx)).await;
    }
}
