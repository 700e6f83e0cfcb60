//! A process that can take no more descriptors in.

use std::env;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::*;
use crate::link::{Lost, Quota};

/// Set in the process that is to run out of descriptors: what a process may have open is one for all of its tests.
const ALONE: &str = "TRANSOM_TEST_ALONE";

#[test]
fn descriptors_that_find_no_place_are_lost_with_their_frame_alone() {
    if env::var_os(ALONE).is_some() {
        return runs_out();
    }
    let name = "link::tests::scarce::descriptors_that_find_no_place_are_lost_with_their_frame_alone";
    let mut alone = Command::new(env::current_exe().unwrap());
    let ran = alone.args(["--exact", name]).env(ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}

fn runs_out() {
    for (name, [mut one, mut other]) in links() {
        // Within a process the descriptors are duplicated when they are sent, and that fails then.
        if name == "mem" {
            continue;
        }
        let (mut readers, mut writers) = pipes(4);
        let last = writers.pop().unwrap();
        let free = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(100), ..free }).unwrap();
        let all = || std::iter::from_fn(|| last.try_clone().ok());
        let mut taken: Vec<OwnedFd> = all().collect();
        taken.truncate(taken.len() - 2);
        send(&mut one, b"room for two", &borrowed(&writers)).unwrap();
        let some_lost = receive(&mut other);
        taken.extend(all());
        send(&mut one, b"room for none", &borrowed(&writers)).unwrap();
        let all_lost = receive(&mut other);
        drop((taken, writers));
        setrlimit(Resource::Nofile, free).unwrap();
        for (mut frame, payload) in [(some_lost, &b"room for two"[..]), (all_lost, b"room for none")] {
            assert_eq!(*frame.payload, payload);
            assert_eq!(frame.descriptors.take().unwrap_err(), Lost);
        }
        assert!(readers[..3].iter_mut().all(comes_to_its_end));
        send(&mut one, b"room again", &[last.as_fd()]).unwrap();
        drop(last);
        let mut frame = receive(&mut other);
        assert_eq!(frame.descriptors.take().unwrap().len(), 1);
        assert!(comes_to_its_end(&mut readers[3]));
    }
}

#[test]
fn what_waits_here_is_bounded_whatever_becomes_of_it() {
    for (name, [mut one, mut other]) in links() {
        println!("{name}");
        let quota = Quota::new(3);
        let (mut readers, mut writers) = pipes(5);
        let mut come = |count: usize| {
            let these: Vec<_> = writers.drain(..count).collect();
            send(&mut one, b"x", &borrowed(&these)).unwrap();
            let mut frame = receive(&mut other);
            frame.descriptors.wait_within(&quota);
            assert_eq!(frame.descriptors.sent(), count, "{name}");
            frame
        };
        let (mut two, mut too_many) = (come(2), come(2));
        assert_eq!(quota.waiting(), 2);
        assert_eq!(too_many.descriptors.take().unwrap_err(), Lost);
        assert!(readers[2..4].iter_mut().all(comes_to_its_end), "they are closed at once");
        let mut one_more = come(1);
        assert_eq!(quota.waiting(), 3);
        assert_eq!(two.descriptors.take().unwrap().len(), 2);
        assert_eq!(quota.waiting(), 1);
        one_more.descriptors.close();
        assert_eq!((quota.waiting(), one_more.descriptors.sent()), (0, 0));
        assert!(readers.iter_mut().all(comes_to_its_end));
    }
}
