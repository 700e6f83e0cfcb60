//! Descriptors on their way through a session: with which frame they go, who waits for room for them, and that they are
//! closed wherever nobody takes them.

use std::io::{PipeReader, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use super::*;
use crate::link::{Descriptors, FdError};
use crate::session::simulated::{DIFFERS, MISSING};
use crate::session::{CallId, Failure, Method, Outcome};

/// A pipe: one end tells when all descriptors of the other have been closed.
fn pipe() -> (PipeReader, OwnedFd) {
    let (reader, writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&reader, true).unwrap();
    (reader, writer.into())
}

#[track_caller]
fn is_closed(reader: &mut PipeReader) {
    assert_eq!(reader.read(&mut [0]).expect("somebody has it open"), 0);
}

#[track_caller]
fn is_open(reader: &mut PipeReader) {
    assert!(reader.read(&mut [0]).is_err(), "nobody has it open");
}

impl Peer {
    /// Tries to call with so many descriptors.
    fn try_call(
        &mut self,
        method: &'static Method,
        body: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> StartCall {
        let request = CallRequest { descriptors, ..CallRequest::plain(method.into(), &body) };
        self.session.start_call(&request, Instant::now, &mut self.out)
    }

    fn pass(&mut self, method: &'static Method, body: &[u8], descriptors: &[BorrowedFd<'_>]) -> CallId {
        match self.try_call(method, body, descriptors) {
            StartCall::Started(started) => started.call,
            other => panic!("{other:?}"),
        }
    }

    /// Answers with so many descriptors.
    fn answer(&mut self, call: CallId, body: &[u8], descriptors: &[BorrowedFd<'_>]) -> bool {
        let outcome = Outcome { descriptors, ..Outcome::plain(&body) };
        self.session.respond(call, Ok(outcome), &mut self.out).is_some()
    }

    /// Takes the next request, and how many descriptors have come with it.
    fn serve(&mut self) -> Option<(CallId, usize)> {
        let inbound = match self.next_work()? {
            Work::Serve(inbound) => inbound,
            other => panic!("{other:?}"),
        };
        let count = inbound.attached.map_or(0, |mut attached| attached.descriptors.take().unwrap().len());
        Some((inbound.call, count))
    }

    /// Nothing is held on account of the peer's descriptors.
    #[track_caller]
    fn holds_none(&self) {
        assert_eq!(self.session.quota.waiting(), 0);
    }
}

fn now() -> Instant {
    Instant::now()
}

#[test]
fn they_come_with_their_call_and_with_its_answer() {
    for length in [1, 5000] {
        let mut peers = open();
        let (mut reader, fd) = pipe();
        let body = vec![7; length];
        let call = peers[0].pass(&ECHO, &body, &[fd.as_fd(); 3]);
        deliver(&mut peers, now());
        assert_eq!(peers[1].session.quota.waiting(), 3);
        let served = peers[1].serve();
        assert_eq!(served, Some((call, 3)), "{length}");
        peers[1].holds_none();
        assert!(peers[1].answer(call, &body, &[fd.as_fd(); 64]));
        drop(fd);
        peers[1].settle();
        deliver(&mut peers, now());
        let Poll::Ready(Answer::Response(response)) = peers[0].session.poll_answer(call, None) else {
            panic!()
        };
        let mut attached = response.attached.expect("they have come along");
        is_open(&mut reader);
        assert_eq!(attached.descriptors.take().unwrap().len(), 64);
        is_closed(&mut reader);
        peers[0].holds_none();
    }
}

#[test]
fn a_request_that_nobody_takes_leaves_none_open() {
    type Ends = fn(&mut [Peer; 2], CallId);
    let ends: [(&str, Ends); 3] = [
        ("it is cancelled", |[one, _], call| one.session.cancel(call, &mut one.out)),
        ("the caller's side ends", |[one, _], _| one.session.close(CloseReason::Local, &mut one.out)),
        ("the other side ends", |[_, other], _| {
            other.session.close(CloseReason::Local, &mut other.out);
        }),
    ];
    for (name, ends) in ends {
        for length in [1, 5000] {
            println!("{name}, {length} bytes");
            let mut peers = open();
            let (mut reader, fd) = pipe();
            let call = peers[0].pass(&ECHO, &vec![7; length], &[fd.as_fd()]);
            drop(fd);
            deliver(&mut peers, now());
            is_open(&mut reader);
            ends(&mut peers, call);
            deliver(&mut peers, now());
            is_closed(&mut reader);
            peers[1].holds_none();
        }
    }
    for method in [&MISSING, &DIFFERS] {
        let mut peers = open();
        let (mut reader, fd) = pipe();
        let call = peers[0].pass(method, b"", &[fd.as_fd()]);
        drop(fd);
        deliver(&mut peers, now());
        is_closed(&mut reader);
        assert!(matches!(peers[0].session.poll_answer(call, None), Poll::Ready(Answer::Failure(_))));
        peers[1].holds_none();
    }
}

#[test]
fn what_ends_amid_a_message_in_fragments_leaves_none_open() {
    let mut peers = open_on(Shape::NARROW, Limits::default());
    let (mut reader, fd) = pipe();
    peers[0].pass(&ECHO, &[7; 1000], &[fd.as_fd()]);
    drop(fd);
    peers[0].settle();
    while peers[1].receive(now()) {}
    is_open(&mut reader);
    assert_eq!(peers[1].session.quota.waiting(), 1);
    peers[1].session.link_lost(CloseReason::PeerDied);
    is_closed(&mut reader);
    peers[1].holds_none();
}

#[test]
fn an_answer_that_nobody_takes_leaves_none_open() {
    // Before it comes, and when it is there.
    for late in [false, true] {
        let mut peers = open();
        let (mut reader, fd) = pipe();
        let call = peers[0].pass(&ECHO, b"", &[]);
        deliver(&mut peers, now());
        assert_eq!(peers[1].serve(), Some((call, 0)));
        if !late {
            let [one, _] = &mut peers;
            one.session.cancel(call, &mut one.out);
        }
        assert!(peers[1].answer(call, b"", &[fd.as_fd()]));
        drop(fd);
        deliver(&mut peers, now());
        let [one, _] = &mut peers;
        if late {
            is_open(&mut reader);
            one.session.cancel(call, &mut one.out);
        }
        is_closed(&mut reader);
        one.holds_none();
    }
}

#[test]
fn an_answer_that_waits_for_room_keeps_its_own() {
    // For bytes, and for descriptors: three answers fit, and one.
    for (shape, count) in [(Shape::NARROW, 1), (Shape::WIDE, 40)] {
        let mut peers = open_on(shape, Limits::default());
        let (mut reader, fd) = pipe();
        let calls = [0; 12].map(|_| {
            let call = peers[0].pass(&ECHO, b"", &[]);
            deliver(&mut peers, now());
            assert_eq!(peers[1].serve(), Some((call, 0)));
            call
        });
        for call in calls {
            assert!(peers[1].answer(call, &[7; 50], &vec![fd.as_fd(); count]));
            // In vain, as often as not.
            peers[1].settle();
        }
        drop(fd);
        for call in calls {
            while peers[0].receive(now()) {}
            peers[1].settle();
            let answer = peers[0].session.poll_answer(call, None);
            let Poll::Ready(Answer::Response(response)) = answer else { panic!("{answer:?}") };
            is_open(&mut reader);
            let mut attached = response.attached.expect("they have come along");
            assert_eq!(attached.descriptors.take().unwrap().len(), count);
        }
        is_closed(&mut reader);
    }
}

#[test]
fn what_the_operating_system_refuses_is_said_or_is_missing() {
    let mut peers = open_on(Shape::NARROW, Limits::default());
    let (mut reader, fd) = pipe();
    peers[0].out.refuses = true;
    for body in [&b"short"[..], &[7; 1000]] {
        let refused = peers[0].try_call(&ECHO, body, &[fd.as_fd()]);
        let failure = Failure::Descriptors(FdError::Refused { errno: 1 });
        assert_eq!(format!("{refused:?}"), format!("{:?}", StartCall::Refused(Answer::Failure(failure))));
    }
    let calls = [0; 4].map(|_| {
        let call = peers[0].pass(&ECHO, b"", &[]);
        deliver(&mut peers, now());
        assert_eq!(peers[1].serve(), Some((call, 0)));
        call
    });
    // At once, so that it can be said; and while it waits, when it has been promised.
    peers[1].out.refuses = true;
    assert!(!peers[1].answer(calls[0], b"", &[fd.as_fd()]));
    peers[1].out.refuses = false;
    assert!(peers[1].answer(calls[1], &[7; 64], &[]));
    assert!(peers[1].answer(calls[2], &[7; 64], &[]));
    assert!(peers[1].answer(calls[3], &[7; 64], &[fd.as_fd()]), "when there is room");
    drop(fd);
    is_open(&mut reader);
    peers[1].out.refuses = true;
    deliver(&mut peers, now());
    is_closed(&mut reader);
    let [first, second, third, last] = calls.map(|call| peers[0].session.poll_answer(call, None));
    let said = Poll::Ready(Answer::Failure(Failure::Descriptors(FdError::Refused { errno: 1 })));
    assert_eq!(format!("{first:?}"), format!("{said:?}"));
    for answer in [second, third, last] {
        assert!(matches!(answer, Poll::Ready(Answer::Response(response)) if response.attached.is_none()));
    }
}

/// Counts how often it wakes.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Peer {
    /// Waits for a turn to call with these; the ticket.
    fn wait(&mut self, descriptors: &[BorrowedFd<'_>], wakes: &Arc<Wakes>) -> Option<u64> {
        let body = &b""[..];
        let request = CallRequest { descriptors, ..CallRequest::plain((&ECHO).into(), &body) };
        let (waker, mut ticket) = (Arc::clone(wakes).into(), None);
        assert!(self.session.wait_turn(&request, &mut ticket, &waker).is_none());
        ticket
    }

    /// Writes what waits, and wakes whom it is to wake; whether it waits for room.
    fn look(&mut self) -> bool {
        self.session.flush(&mut self.out);
        let mut wakers = Vec::new();
        self.session.take_wakers(&mut wakers);
        wakers.into_iter().for_each(Waker::wake);
        self.session.wants_space()
    }
}

#[test]
fn who_finds_no_room_for_descriptors_is_woken_for_that_alone() {
    let mut peers = open();
    let (_reader, fd) = pipe();
    let (most, wakes) = ([fd.as_fd(); 64], Arc::new(Wakes::default()));
    let woken = || wakes.0.load(Ordering::Relaxed);
    peers[0].pass(&ECHO, b"", &most[..60]);
    assert!(matches!(peers[0].try_call(&ECHO, b"", &most[..5]), StartCall::Busy));
    peers[0].wait(&most[..5], &wakes);
    // There is room for whatever has none, and for fewer.
    for count in [0, 1, 1, 0] {
        peers[0].pass(&ECHO, b"", &most[..count]);
        assert!(peers[0].look() && peers[0].look());
        assert_eq!(woken(), 0, "there is no use in it");
    }
    assert!(peers[1].receive(now()) && peers[1].receive(now()), "a binding and the first call");
    assert!(!peers[0].look());
    assert_eq!(woken(), 1);
    peers[0].pass(&ECHO, b"", &most[..5]);
    deliver(&mut peers, now());
    let counts: Vec<usize> = std::iter::from_fn(|| peers[1].serve()).map(|(_, count)| count).collect();
    assert_eq!(counts, [60, 0, 1, 1, 0, 5]);
}

#[test]
fn who_waits_for_room_for_bytes_is_not_held_up_by_who_waits_for_descriptors() {
    let mut peers = open_on(Shape { capacity: 4 * (Header::LEN + 64), ..Shape::NARROW }, Limits::default());
    let (_reader, fd) = pipe();
    peers[0].pass(&ECHO, b"", &[]);
    deliver(&mut peers, now());
    let most = [fd.as_fd(); 64];
    peers[0].pass(&ECHO, &[0; 64], &most);
    assert!(matches!(peers[0].try_call(&ECHO, &[0; 64], &most[..1]), StartCall::Busy));
    let wakes = Arc::new(Wakes::default());
    peers[0].wait(&most[..1], &wakes);
    for _ in 0..3 {
        peers[0].pass(&ECHO, &[0; 64], &[]);
    }
    assert!(matches!(peers[0].try_call(&ECHO, &[0; 64], &[]), StartCall::Busy));
    peers[0].wait(&[], &wakes);
    assert!(peers[0].look());
    assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
    assert!(peers[1].receive(now()));
    assert!(!peers[0].look(), "there is room for either");
    assert_eq!(wakes.0.load(Ordering::Relaxed), 2);
}

#[test]
fn who_waits_until_fewer_descriptors_are_in_flight_holds_up_nobody_without() {
    let mut peers = open_with(Limits { requests: 2, ..Limits::default() });
    let (_reader, fd) = pipe();
    let most = [fd.as_fd(); 64];
    let calls = [&most[..], &[]].map(|descriptors| peers[0].pass(&ECHO, b"", descriptors));
    deliver(&mut peers, now());
    while peers[1].serve().is_some() {}
    let wakes = [(); 3].map(|()| Arc::<Wakes>::default());
    let woken = || wakes.each_ref().map(|wakes| wakes.0.load(Ordering::Relaxed));
    for (count, wakes) in [2, 1, 0].into_iter().zip(&wakes) {
        assert!(matches!(peers[0].try_call(&ECHO, b"", &most[..count]), StartCall::Busy));
        peers[0].wait(&most[..count], wakes);
    }
    for (call, then) in calls.into_iter().rev().zip([[0, 0, 1], [1, 1, 1]]) {
        assert!(peers[1].answer(call, b"", &[]));
        peers[1].settle();
        assert!(peers[0].receive(now()));
        peers[0].look();
        assert_eq!(woken(), then);
    }
}

#[test]
fn no_more_are_in_requests_in_flight_than_may_be() {
    let limits = Limits { requests: 20, ..Limits::default() };
    let mut peers = open_with(limits);
    let (_reader, fd) = pipe();
    let (most, wakes) = ([fd.as_fd(); 64], Arc::new(Wakes::default()));
    // Four for each that may be in flight.
    let mut calls = Vec::new();
    for count in [60, 20] {
        calls.push(peers[0].pass(&ECHO, b"", &most[..count]));
        deliver(&mut peers, now());
        assert_eq!(peers[1].serve().map(|(_, count)| count), Some(count));
    }
    assert!(matches!(peers[0].try_call(&ECHO, b"", &most[..1]), StartCall::Busy));
    let ticket = peers[0].wait(&most[..1], &wakes);
    assert!(!peers[0].look(), "it waits for no room");
    peers[0].pass(&ECHO, b"", &[]);
    assert!(peers[1].answer(calls[1], b"", &[]));
    deliver(&mut peers, now());
    assert_eq!(peers[1].serve().map(|(_, count)| count), Some(0));
    peers[0].session.abandon(0, ticket.expect("it waits"));
    calls.push(peers[0].pass(&ECHO, b"", &most[..20]));
    deliver(&mut peers, now());
    assert_eq!(peers[1].serve().map(|(_, count)| count), Some(20));
    // A peer that passes more all the same.
    let call = |id: u64, count: usize| {
        let mut call = frame(Kind::Call, id, b"x");
        call.descriptors = Descriptors::own((0..count).map(|_| fd.try_clone().unwrap()).collect());
        call
    };
    let limits = Limits { requests: 2, ..Limits::default() };
    assert_eq!(broken_with(limits, [bind(), call(1, 64), call(3, 1)]), Rule::DescriptorLimit);
    let limits = Limits { requests: 20, ..Limits::default() };
    assert_eq!(broken_with(limits, [bind(), call(1, 60), call(3, 20), call(5, 1)]), Rule::DescriptorLimit);
}

#[test]
fn they_come_with_the_first_fragment_and_with_no_batch() {
    let (mut reader, fd) = pipe();
    let with = |frame: Frame| Frame { descriptors: Descriptors::own(vec![fd.try_clone().unwrap()]), ..frame };
    let first = || flagged(Flags::MORE, frame(Kind::Call, 1, &[&6_u64.to_le_bytes()[..], b"abc"].concat()));
    let last = || frame(Kind::Call, 1, b"def");
    assert_eq!(broken([bind(), first(), with(last())]), Rule::DescriptorPlace);
    assert_eq!(broken([bind(), with(first()), with(last())]), Rule::DescriptorPlace);
    let batch = flagged(Flags::BATCH, frame(Kind::Item, 1, &[0; 4]));
    let batch = Frame { header: Header { method: 1, ..batch.header }, ..batch };
    assert_eq!(broken([bind(), declaring(1, &[declared(1, Flow::Out)]), with(batch)]), Rule::DescriptorPlace);
    drop(fd);
    is_closed(&mut reader);
}
