//! Senders that find no room for descriptors, and what they wait for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use super::*;
use crate::link::{Corrupt, Sleep, SleepMode};

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sends until there is no room; how many frames went.
fn fill(link: &mut Link, with: BorrowedFd<'_>) -> usize {
    let mut sent = 0;
    loop {
        match send(link, b"x", &[with]) {
            Ok(()) => sent += 1,
            Err(NotPassed::Full) => return sent,
            Err(error) => panic!("{error:?}"),
        }
        assert!(sent < 10_000, "there is no end to it");
    }
}

fn take(link: &mut Link, count: usize) {
    for _ in 0..count {
        assert_eq!(receive(link).descriptors.take().unwrap().len(), 1);
    }
    assert!(!link.receive.next(&mut Frame::default()).unwrap());
}

#[test]
fn who_finds_no_room_is_woken_when_there_is_some() {
    for (name, [mut one, mut other]) in links() {
        let (_reader, writer) = pipes(1);
        for round in 0..3 {
            let sent = fill(&mut one, writer[0].as_fd());
            println!("{name}, {round}: {sent} frames");
            assert!(sent > 0);
            assert!(!one.transmit.has_room_for(1));
            // The rest of the link is free, and a frame without any goes.
            let plain = !one.transmit.is_backed_up() && send(&mut one, b"plain", &[]).is_ok();
            let woken = Arc::new(Woken(AtomicBool::new(false)));
            let waker = Waker::from(Arc::clone(&woken));
            let to_write = one.transmit.is_backed_up();
            let sleep = Sleep { mode: SleepMode::Futex, want_space: true, to_write, waker: &waker };
            one.transmit.publish();
            let local = one.signal.local();
            let note = one.receive.announce(sleep).unwrap().expect("nothing is there yet");
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    for _ in 0..sent {
                        assert_eq!(receive(&mut other).descriptors.take().unwrap().len(), 1);
                    }
                    if plain {
                        assert_eq!(receive(&mut other).descriptors.take().unwrap().len(), 0);
                    }
                });
                if name == "mem" {
                    while !woken.0.load(Ordering::Relaxed) {
                        std::thread::yield_now();
                    }
                } else {
                    let until = Instant::now() + Duration::from_secs(20);
                    one.signal.wait(note, local, Some(until));
                    assert!(Instant::now() < until, "nobody wakes it");
                }
            });
            one.receive.awake();
            one.transmit.publish();
            assert!(one.transmit.has_room_for(1));
            assert!(!one.transmit.is_backed_up());
            send(&mut one, b"x", &[writer[0].as_fd()]).unwrap();
            take(&mut other, 1);
        }
    }
}

/// Whoever writes meanwhile relies on what the sleeper has announced.
#[test]
fn a_sleeper_waits_for_the_kernel_as_it_has_announced() {
    let (mut one, other) = half_stream();
    let mut other = stream_link(other, false).unwrap();
    while send(&mut one, &[b'x'; 60_000], &[]).is_ok() {}
    let (local, waker) = (one.signal.local(), Waker::noop());
    let sleep = Sleep { mode: SleepMode::Futex, want_space: true, to_write: true, waker };
    let note = one.receive.announce(sleep).unwrap().expect("nothing is there yet");
    while one.transmit.is_backed_up() {
        receive(&mut other);
        one.transmit.publish();
    }
    while other.receive.next(&mut Frame::default()).unwrap() {}
    let until = Instant::now() + Duration::from_secs(20);
    one.signal.wait(note, local, Some(until));
    assert!(Instant::now() < until, "nobody wakes it");
}

#[test]
fn a_stream_that_is_backed_up_takes_descriptors_when_its_bytes_are_gone() {
    let (mut one, other) = half_stream();
    let mut other = stream_link(other, false).unwrap();
    let (_reader, writer) = pipes(1);
    let (large, mut plain) = (vec![b'x'; 60_000], 0);
    while send(&mut one, &large, &[]).is_ok() {
        plain += 1;
    }
    assert!(one.transmit.is_backed_up() && !one.transmit.has_room_for(1));
    let mut refused = 0;
    for _ in 0..plain {
        refused += usize::from(matches!(send(&mut one, b"x", &[writer[0].as_fd()]), Err(NotPassed::Full)));
        assert_eq!(*receive(&mut other).payload, large);
        one.transmit.publish();
        if one.transmit.has_drained() {
            break;
        }
    }
    assert!(refused > 0);
    while one.transmit.has_drained() && other.receive.next(&mut Frame::default()).unwrap() {}
    send(&mut one, b"x", &[writer[0].as_fd()]).unwrap();
    take(&mut other, 1);
}

#[test]
fn a_lifeline_with_little_room_is_waited_for_too() {
    let ([mut one, mut other], [lifeline, _]) = shm_pair();
    rustix::net::sockopt::set_socket_send_buffer_size(&lifeline, 1).unwrap();
    let (_reader, writer) = pipes(1);
    let few = fill(&mut one, writer[0].as_fd());
    assert!((1..100).contains(&few), "{few}");
    for _ in 1..few {
        assert_eq!(receive(&mut other).descriptors.take().unwrap().len(), 1);
        assert!(!one.transmit.has_room_for(1));
    }
    take(&mut other, 1);
    assert!(one.transmit.has_room_for(1));
    assert_eq!(fill(&mut one, writer[0].as_fd()), few);
    take(&mut other, few);
    assert_eq!(one.transmit.fault(), None);
}

#[test]
fn who_takes_frames_and_leaves_their_descriptors_is_found_out() {
    let ([mut one, _other], [lifeline, _]) = shm_pair();
    // As if descriptors of frames that have been taken were still there.
    while sys::scm::send(&lifeline, &[0; 1024], &[]).is_ok() {}
    let (_reader, writer) = pipes(1);
    assert!(matches!(send(&mut one, b"x", &[writer[0].as_fd()]), Err(NotPassed::Full)));
    assert_eq!(one.transmit.fault(), Some(Corrupt::Lifeline));
}

/// Something that is not a socket in place of the one that descriptors are to go over.
fn no_socket() -> OwnedFd {
    let (_reader, writer) = io::pipe().unwrap();
    writer.into()
}

#[test]
fn what_the_kernel_does_not_pass_is_refused() {
    let ([shm, _], [unix]) = (shm_pair_over([no_socket(), no_socket()]), [no_socket()]);
    for mut one in [shm, stream_link(unix, false).unwrap()] {
        let (_reader, writer) = pipes(1);
        assert!(matches!(
            send(&mut one, b"x", &borrowed(&writer)),
            Err(NotPassed::Never(FdError::Refused { .. }))
        ));
        assert!(one.transmit.has_room_for(1) && !one.transmit.publish());
    }
}

#[test]
fn a_frame_that_was_refused_leaves_nothing_behind() {
    for (name, [mut one, mut other]) in links() {
        let (_reader, writer) = pipes(1);
        stage(&mut one, b"before", &[]).unwrap();
        assert!(stage(&mut one, b"void", &[writer[0].as_fd(); 65]).is_err(), "{name}");
        send(&mut one, b"x", &borrowed(&writer)).unwrap();
        assert_eq!(*receive(&mut other).payload, b"before");
        take(&mut other, 1);
    }
}
