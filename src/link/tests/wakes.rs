//! Who is woken, and how often that is said to have been.

use std::task::Waker;

use super::links;
use crate::link::{Frame, Header, Kind, Sleep, SleepMode};

#[test]
fn a_peer_is_woken_once_for_each_sleep() {
    for (name, [mut one, mut other]) in links() {
        let mut frame = Frame::default();
        let mut turn = |sleeps: bool| {
            if sleeps {
                let sleep = Sleep {
                    mode: SleepMode::Descriptor,
                    want_space: false,
                    to_write: false,
                    waker: Waker::noop(),
                };
                assert!(other.receive.announce(sleep).unwrap().is_some(), "{name}: nothing is there");
            }
            for _ in 0..3 {
                one.transmit.reserve(0).unwrap();
                one.transmit.commit(&Header::new(Kind::Goodbye));
                assert!(one.transmit.publish());
                one.signal.ring();
            }
            other.receive.awake();
            other.signal.clear();
            while other.receive.next(&mut frame).unwrap() {}
            one.signal.rings()
        };
        let rings = [turn(false), turn(true), turn(true), turn(false)];
        let by_kernel = name == "unix";
        let expected = [0, 1, 2, 2].map(|rings| (!by_kernel).then_some(rings));
        assert_eq!(rings, expected, "{name}");
        assert_eq!(other.signal.rings(), (!by_kernel).then_some(0), "{name}");
    }
}
