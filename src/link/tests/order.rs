//! Each descriptor comes with its frame, and is closed with it.

use std::fs::File;
use std::io::{Read as _, Write as _};

use rustix::io::FdFlags;

use super::*;
use crate::link::MOST_DESCRIPTORS;

#[test]
fn descriptors_come_with_their_frames_whatever_is_in_between() {
    for (name, [mut one, mut other]) in links() {
        println!("{name}");
        assert!(one.transmit.carries_descriptors());
        // Frames of many sizes, of which every third comes with one descriptor more than the last that did.
        let mut sent = Vec::new();
        let mut payload = Vec::new();
        for round in 0..40_usize {
            payload.resize(round * 97, round as u8);
            let count = if round % 3 == 0 { round / 3 } else { 0 };
            let (readers, writers) = pipes(count);
            send(&mut one, &payload, &borrowed(&writers)).unwrap();
            drop(writers);
            sent.push((payload.clone(), readers));
            // Some are on their way together.
            if round % 4 != 3 {
                continue;
            }
            for (payload, readers) in sent.drain(..) {
                let mut frame = receive(&mut other);
                assert_eq!(*frame.payload, payload);
                let descriptors = frame.descriptors.take().unwrap();
                assert_eq!(descriptors.len(), readers.len());
                for (descriptor, mut reader) in descriptors.into_iter().zip(readers) {
                    assert!(rustix::io::fcntl_getfd(&descriptor).unwrap().contains(FdFlags::CLOEXEC));
                    let mut writer = File::from(descriptor);
                    writer.write_all(name.as_bytes()).unwrap();
                    drop(writer);
                    let mut read = String::new();
                    reader.read_to_string(&mut read).unwrap();
                    assert_eq!(read, name);
                }
            }
        }
        assert!(sent.is_empty());
    }
}

#[test]
fn a_frame_shown_later_has_its_descriptors_all_the_same() {
    for (name, [mut one, mut other]) in links() {
        println!("{name}");
        let (_readers, writers) = pipes(3);
        stage(&mut one, b"plain", &[]).unwrap();
        stage(&mut one, b"one", &borrowed(&writers[..1])).unwrap();
        stage(&mut one, b"two", &borrowed(&writers[1..])).unwrap();
        stage(&mut one, b"last", &[]).unwrap();
        assert!(one.transmit.publish());
        assert!(!one.transmit.publish());
        let counts = [0; 4].map(|_| receive(&mut other).descriptors.take().unwrap().len());
        assert_eq!(counts, [0, 1, 2, 0], "{name}");
    }
}

#[test]
fn what_nobody_takes_is_closed() {
    for (name, [mut one, mut other]) in links() {
        println!("{name}");
        let (mut readers, writers) = pipes(4);
        for writer in &writers {
            send(&mut one, b"x", &[writer.as_fd()]).unwrap();
        }
        drop(writers);
        let mut frame = Frame::default();
        assert!(other.receive.next(&mut frame).unwrap());
        assert!(!is_at_its_end(&mut readers[0]));
        // By the next frame, by hand, with the frame, and with the link.
        assert!(other.receive.next(&mut frame).unwrap());
        assert!(comes_to_its_end(&mut readers[0]) && !is_at_its_end(&mut readers[1]));
        frame.descriptors.close();
        assert!(comes_to_its_end(&mut readers[1]));
        assert!(other.receive.next(&mut frame).unwrap());
        drop(frame);
        assert!(comes_to_its_end(&mut readers[2]) && !is_at_its_end(&mut readers[3]));
        // The end that was to take them is gone, and the other one is held on.
        drop(other);
        let (mut late, writer) = pipes(1);
        send(&mut one, b"late", &borrowed(&writer)).unwrap();
        drop(writer);
        assert!(comes_to_its_end(&mut readers[3]) && comes_to_its_end(&mut late[0]));
    }
}

#[test]
fn what_came_before_the_peer_s_death_is_taken() {
    for (name, [mut one, mut other]) in links() {
        println!("{name}");
        let (_readers, writers) = pipes(2);
        for writer in &writers {
            send(&mut one, b"x", &[writer.as_fd()]).unwrap();
        }
        one.signal.hang_up();
        drop(one);
        for _ in 0..2 {
            assert_eq!(receive(&mut other).descriptors.take().unwrap().len(), 1);
        }
    }
}

#[test]
fn as_many_go_with_a_frame_as_may_and_no_more() {
    for (name, [mut one, mut other]) in links() {
        println!("{name}");
        let (_reader, writer) = pipes(1);
        let too_many = vec![writer[0].as_fd(); MOST_DESCRIPTORS + 1];
        match send(&mut one, b"many", &too_many) {
            Err(NotPassed::Never(error)) => assert_eq!(error, FdError::TooMany { count: 65, limit: 64 }),
            other => panic!("{other:?}"),
        }
        send(&mut one, b"most", &too_many[1..]).unwrap();
        let mut frame = receive(&mut other);
        assert_eq!(*frame.payload, b"most");
        assert_eq!(frame.descriptors.take().unwrap().len(), MOST_DESCRIPTORS);
        assert_eq!(frame.descriptors.take().unwrap().len(), 0);
    }
}
