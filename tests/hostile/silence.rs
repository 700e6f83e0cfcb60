//! Peers that say nothing, or nothing but that they are alive: K1, K2 and R8.

use std::time::Duration;

use transom::{CloseReason, Keepalive, Options};

use crate::raw::{Frame, PATIENCE, kind};
use crate::scene::{Case, Duel, Scene};

const SHORT: Duration = Duration::from_millis(20);

/// The number in the next ping.
fn asked(duel: &mut Duel) -> u64 {
    let frame = duel.theirs.receive().expect("a question");
    assert_eq!((frame.kind, frame.connection, frame.id), (kind::PING, 0, 0));
    u64::from_le_bytes(frame.payload.try_into().expect("a number"))
}

#[test]
fn a_peer_that_does_not_answer_is_given_up() {
    for case in Case::all() {
        let options = Options::new().keepalive(Keepalive { silence: SHORT, timeout: SHORT });
        let scene = Scene::with(case, options);
        let mut duel = scene.duel();
        assert_eq!(asked(&mut duel), 1, "{case}: it is asked once");
        duel.ends_as(CloseReason::Silent);
        assert!(duel.theirs.receive().is_none_or(|frame| frame.kind != kind::PING), "{case}");
    }
}

#[test]
fn a_peer_that_answers_is_asked_again() {
    for case in Case::all() {
        let options = Options::new().keepalive(Keepalive { silence: SHORT, timeout: PATIENCE });
        let scene = Scene::with(case, options);
        let mut duel = scene.duel();
        for round in 1..=5 {
            let nonce = asked(&mut duel);
            assert_eq!(nonce, round, "{case}");
            // An answer to another question is as good.
            let answer = if round % 2 == 0 { nonce } else { 77 };
            duel.theirs.send(&Frame::new(kind::PONG, answer.to_le_bytes()));
        }
        assert!(duel.ours.is_open(), "{case}");
    }
}

#[test]
fn to_ask_for_ever_is_not_to_be_busy() {
    for case in Case::all() {
        let options = Options::new().idle_timeout(5 * SHORT).no_keepalive();
        let scene = Scene::with(case, options);
        let mut duel = scene.duel();
        for nonce in 0_u64.. {
            if !duel.theirs.send(&Frame::new(kind::PING, nonce.to_le_bytes())) {
                break;
            }
            match duel.theirs.receive() {
                Some(answer) if answer.kind == kind::PONG => {
                    assert_eq!(answer.payload, nonce.to_le_bytes(), "{case}");
                }
                Some(farewell) => {
                    assert_eq!(farewell.kind, kind::GOODBYE, "{case}");
                    break;
                }
                None => break,
            }
        }
        duel.ends_as(CloseReason::Idle);
    }
}
