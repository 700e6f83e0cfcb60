//! Bells that are rung for nothing.

use rustix::thread::futex;
use transom::Rule;

use crate::common::EchoClient;
use crate::raw::{RINGS, Rings, bind, call, kind};
use crate::scene::{Api, Case, Link, Scene, eventually};

fn each_scene() -> impl Iterator<Item = Scene> {
    Case::over(Link::Shm).map(Scene::new)
}

/// A way to wake the other side.
type Way = (&'static str, fn(&Rings));

const ALL_AT_ONCE: Way = ("by all means", Rings::wake);
const BY_BYTES: Way = ("by bytes alone", |rings| {
    rustix::io::write(&rings.other_bell, &[1; 100]).unwrap_or(0);
});
const BY_FUTEX: Way = ("by the futex alone", |rings| {
    let word = rings.own.short_word(RINGS);
    futex::wake(word, futex::Flags::empty(), i32::MAX.cast_unsigned()).expect("a futex");
});

#[test]
fn a_bell_rung_again_and_again_for_nothing_ends_the_session() {
    for scene in each_scene() {
        let ways: &[Way] = match scene.case.api {
            Api::Async => &[ALL_AT_ONCE, BY_BYTES],
            Api::Blocking => &[ALL_AT_ONCE, BY_FUTEX],
        };
        for (name, wake) in ways {
            println!("{}: {name}", scene.case);
            let mut duel = scene.duel();
            let rings = duel.theirs.rings();
            eventually("the session ends", || {
                wake(rings);
                !duel.ours.is_open()
            });
            duel.breaks(Rule::EmptyWake);
            scene.goes_on();
        }
    }
}

#[test]
fn a_bell_rung_in_vain_now_and_then_is_forgiven() {
    for scene in each_scene() {
        let (mut duel, first) = (scene.duel(), scene.case.role.first_id());
        assert!(duel.theirs.send(&bind::<EchoClient>("echo")));
        for id in (first..).step_by(2).take(10_000) {
            assert!(duel.theirs.send(&call::<EchoClient>("echo", id, [0])));
            let answer = duel.theirs.receive().expect("an answer");
            assert_eq!((answer.kind, answer.id), (kind::RESPONSE, id));
            if id % 8 < 2 {
                duel.theirs.rings().wait_for_sleep();
                duel.theirs.rings().wake();
            }
        }
        assert!(duel.ours.is_open());
    }
}
