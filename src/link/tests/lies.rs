//! Peers whose descriptors are not what they say.

use super::*;
use crate::link::{BadFrameHeader, Corrupt, LinkError};

/// Shows a frame that announces descriptors in the message with this number, and sends none.
fn announce(link: &mut Link, count: usize, number: u32) {
    let header = header(b"x").announcing(count, number);
    link.transmit.reserve(1).unwrap().copy_from_slice(b"x");
    link.transmit.commit(&header);
    link.transmit.publish();
}

/// A message on a lifeline.
fn message(lifeline: &UnixStream, number: u32, descriptors: &[BorrowedFd<'_>]) {
    assert_eq!(sys::scm::send(lifeline, &number.to_le_bytes(), descriptors).unwrap(), 4);
}

fn refused(link: &mut Link) -> Corrupt {
    let mut frame = Frame::default();
    loop {
        match link.receive.next(&mut frame) {
            Ok(true) => {}
            Err(LinkError::Corrupt(corrupt)) => return corrupt,
            other => panic!("{other:?}"),
        }
    }
}

fn wrong(announced: usize, came: usize) -> Corrupt {
    Corrupt::Descriptors { announced, came }
}

#[test]
fn a_lifeline_s_messages_are_those_that_frames_name() {
    type Lie = fn(&mut Link, &UnixStream, BorrowedFd<'_>);
    let lies: [(&str, Corrupt, Lie); 11] = [
        ("nothing", wrong(1, 0), |link, _, _| announce(link, 1, 0)),
        ("the end", wrong(1, 0), |link, lifeline, _| {
            lifeline.shutdown(std::net::Shutdown::Both).unwrap();
            announce(link, 1, 0);
        }),
        ("a later one", wrong(1, 0), |link, lifeline, with| {
            message(lifeline, 1, &[with]);
            announce(link, 1, 0);
        }),
        ("a much later one", wrong(1, 0), |link, lifeline, with| {
            message(lifeline, 1 << 31 | 4, &[with]);
            announce(link, 1, 5);
        }),
        ("none but earlier ones", wrong(1, 0), |link, lifeline, with| {
            (0..20).for_each(|number| message(lifeline, number, &[with]));
            announce(link, 1, 100);
        }),
        ("one behind many", wrong(1, 0), |link, lifeline, with| {
            (0..=16).for_each(|number| message(lifeline, number, &[with]));
            announce(link, 1, 16);
        }),
        ("too few", wrong(3, 2), |link, lifeline, with| {
            message(lifeline, 0, &[with; 2]);
            announce(link, 3, 0);
        }),
        ("too many", wrong(1, 2), |link, lifeline, with| {
            message(lifeline, 0, &[with; 2]);
            announce(link, 1, 0);
        }),
        ("no descriptors", Corrupt::Lifeline, |link, lifeline, _| {
            message(lifeline, 0, &[]);
            announce(link, 1, 0);
        }),
        ("half a number", Corrupt::Lifeline, |link, lifeline, with| {
            sys::scm::send(lifeline, &[0; 2], &[with]).unwrap();
            announce(link, 1, 0);
        }),
        ("words", Corrupt::Lifeline, |link, lifeline, with| {
            sys::scm::send(lifeline, b"words on the lifeline", &[with]).unwrap();
            announce(link, 1, u32::from_le_bytes(*b"word"));
            announce(link, 1, u32::from_le_bytes(*b"s on"));
        }),
    ];
    for (name, expected, lie) in lies {
        println!("{name}");
        let ([mut liar, mut other], [lifeline, _]) = shm_pair();
        let (mut reader, writer) = pipes(1);
        lie(&mut liar, &lifeline, writer[0].as_fd());
        drop(writer);
        assert_eq!(refused(&mut other), expected);
        drop((liar, other));
        drop(lifeline);
        assert!(comes_to_its_end(&mut reader[0]));
    }
}

#[test]
fn messages_without_a_frame_are_passed_over_and_closed() {
    let ([mut liar, mut other], [lifeline, _]) = shm_pair();
    let (mut readers, mut writers) = pipes(2);
    let wanted = writers.pop().unwrap();
    for number in [u32::MAX - 1, u32::MAX, 0, 1] {
        message(&lifeline, number, &borrowed(&writers));
    }
    message(&lifeline, 2, &[wanted.as_fd()]);
    message(&lifeline, 3, &[wanted.as_fd()]);
    drop(writers);
    assert!(!is_at_its_end(&mut readers[0]));
    announce(&mut liar, 1, 2);
    let descriptors = receive(&mut other).descriptors.take().unwrap();
    assert!(comes_to_its_end(&mut readers[0]));
    drop((wanted, descriptors));
    // The one that no frame has named yet.
    assert!(!is_at_its_end(&mut readers[1]));
    announce(&mut liar, 1, 3);
    receive(&mut other);
    assert!(comes_to_its_end(&mut readers[1]));
}

#[test]
fn a_flooded_lifeline_is_no_hang_up_and_holds_what_the_kernel_lets_it() {
    let ([mut liar, other], [lifeline, _]) = shm_pair();
    let (mut readers, writers) = pipes(1);
    let mut number = 0_u32;
    while sys::scm::send(&lifeline, &number.to_le_bytes(), &borrowed(&writers)).is_ok() {
        number += 1;
        assert!(number < 100_000, "there is no end to it");
    }
    drop(writers);
    assert!(!other.signal.has_hung_up());
    let mut other = other;
    for id in 0..100 {
        send(&mut liar, &[id], &[]).unwrap();
        assert_eq!(*receive(&mut other).payload, [id]);
    }
    liar.signal.hang_up();
    assert!(other.signal.has_hung_up());
    drop((liar, other, lifeline));
    assert!(comes_to_its_end(&mut readers[0]));
}

#[test]
fn a_stream_s_descriptors_come_with_the_first_byte_of_a_frame() {
    type Lie = fn(&UnixStream, BorrowedFd<'_>);
    fn say(to: &UnixStream, bytes: &[u8], with: &[BorrowedFd<'_>]) {
        assert_eq!(sys::scm::send(to, bytes, with).unwrap(), bytes.len());
    }
    /// A frame with one byte of payload that announces so many descriptors.
    fn bytes(announced: usize) -> Vec<u8> {
        let header = header(b"x");
        let header = if announced > 0 { header.announcing(announced, 0) } else { header };
        [&header.encode()[..], b"x"].concat()
    }
    let lies: [(&str, Corrupt, Lie); 9] = [
        ("a number", Corrupt::Header(BadFrameHeader::Reserved), |to, with| {
            let numbered = header(b"x").announcing(1, 1).encode();
            say(to, &numbered[..1], &[with]);
            say(to, &numbered[1..], &[]);
            say(to, b"x", &[]);
        }),
        ("none", wrong(2, 0), |to, _| say(to, &bytes(2), &[])),
        ("too few", wrong(2, 1), |to, with| {
            say(to, &bytes(2)[..1], &[with]);
            say(to, &bytes(2)[1..], &[]);
        }),
        ("too many", wrong(2, 3), |to, with| {
            say(to, &bytes(2)[..1], &[with; 3]);
            say(to, &bytes(2)[1..], &[]);
        }),
        ("some for a frame that announces none", wrong(0, 1), |to, with| {
            say(to, &bytes(0)[..1], &[with]);
            say(to, &bytes(0)[1..], &[]);
        }),
        ("with the second byte", wrong(1, 0), |to, with| {
            say(to, &bytes(1)[..1], &[]);
            say(to, &bytes(1)[1..2], &[with]);
            say(to, &bytes(1)[2..], &[]);
        }),
        ("with all bytes", wrong(1, 0), |to, with| say(to, &bytes(1), &[with])),
        ("again with the payload", wrong(0, 2), |to, with| {
            say(to, &bytes(1)[..1], &[with]);
            say(to, &bytes(1)[1..32], &[]);
            say(to, b"x", &[with; 2]);
        }),
        ("with each byte", wrong(0, 4), |to, with| {
            (0..30).for_each(|at| say(to, &bytes(1)[at..=at], &vec![with; at + 2]));
        }),
    ];
    for (name, expected, lie) in lies {
        println!("{name}");
        let (mut link, theirs) = half_stream();
        let (mut reader, writer) = pipes(1);
        say(&theirs, &bytes(0), &[]);
        lie(&theirs, writer[0].as_fd());
        drop(writer);
        assert_eq!(refused(&mut link), expected);
        drop((link, theirs));
        assert!(comes_to_its_end(&mut reader[0]));
    }
}
