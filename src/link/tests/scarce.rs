//! A process that can take no more descriptors in.

use std::env;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::*;
use crate::link::descriptors::Lost;

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
