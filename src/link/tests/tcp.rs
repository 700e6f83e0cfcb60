//! What differs over TCP: nothing but bytes is carried, and the kernel still has to send what it has taken.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, sockopt};

use super::*;
use crate::link::{Corrupt, Flags, LinkError, tcp_link};

/// A link over TCP, and the other end of its socket, in which only so many bytes wait to be read.
fn half_tcp(room: Option<usize>) -> (Link, TcpStream) {
    let (listener, address) = sys::tcp::listen(&["127.0.0.1:0".parse().unwrap()]).unwrap();
    let theirs = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    if let Some(room) = room {
        sockopt::set_socket_recv_buffer_size(&theirs, room).unwrap();
    }
    rustix::net::connect(&theirs, &address).unwrap();
    let theirs = TcpStream::from(theirs);
    theirs.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (ours, _) = sys::socket::accept(&listener).unwrap();
    // As much as every system allows.
    sockopt::set_socket_send_buffer_size(&ours, 200_000).unwrap();
    (tcp_link(ours).unwrap(), theirs)
}

#[test]
fn what_was_sent_arrives_although_the_peer_speaks_after_the_end() {
    const FRAMES: usize = 3;
    // So little room that nearly all of it stays with the kernel on this side.
    let (mut link, mut theirs) = half_tcp(Some(4096));
    let payload = vec![7; link.transmit.max_payload()];
    for _ in 0..FRAMES {
        send(&mut link, &payload, &[]).unwrap();
        assert!(link.transmit.has_drained(), "the kernel has it all");
    }
    link.signal.hang_up();
    drop((link.transmit, link.receive));
    theirs.write_all(b"late").unwrap();
    assert_eq!(theirs.read_to_end(&mut Vec::new()).unwrap(), FRAMES * (Header::LEN + payload.len()));
}

#[test]
fn descriptors_are_neither_sent_nor_believed() {
    let (mut link, mut theirs) = half_tcp(None);
    let (_readers, writers) = pipes(1);
    assert!(!link.transmit.carries_descriptors());
    assert!(matches!(
        send(&mut link, b"x", &borrowed(&writers)),
        Err(NotPassed::Never(FdError::Unsupported))
    ));
    send(&mut link, b"y", &[]).unwrap();
    let mut said = [0; Header::LEN + 1];
    theirs.read_exact(&mut said).unwrap();
    assert_eq!(said.last(), Some(&b'y'), "nothing of the other is left");

    let announced = Header { flags: Flags::DESCRIPTORS, descriptors: 1, ..header(b"") };
    theirs.write_all(&announced.encode()).unwrap();
    let mut frame = Frame::default();
    let error = loop {
        match link.receive.next(&mut frame) {
            Ok(false) => std::thread::yield_now(),
            Ok(true) => panic!("{frame:?}"),
            Err(error) => break error,
        }
    };
    let LinkError::Corrupt(corrupt) = error else { panic!("{error}") };
    assert_eq!(corrupt, Corrupt::Descriptors { announced: 1, came: 0 });
}
