//! Answers that a hostile peer gives to calls of this side.

use std::thread::JoinHandle;

use transom::{CallError, CallOptions, CloseReason, Limits, Options, Rule, Session};

use crate::common::{EchoBlockingClient, EchoClient};
use crate::raw::{Frame, PATIENCE, flags, kind};
use crate::scene::{Api, Case, Duel, Scene, broken, closed, within};

type Answer = Result<Vec<u8>, CallError>;

/// This side calls `echo`, in the way of its driver.
fn calls(api: Api, session: &Session) -> JoinHandle<Answer> {
    let (echo, blocking) = (session.client::<EchoClient>(), session.client::<EchoBlockingClient>());
    std::thread::spawn(move || match api {
        Api::Async => within(async { echo.echo(b"ours").await }),
        Api::Blocking => blocking.with(CallOptions::new().deadline(PATIENCE)).echo(b"ours"),
    })
}

/// The call as the hostile peer receives it, after its binding if that is the first.
fn received(duel: &mut Duel) -> Frame {
    loop {
        let frame = duel.theirs.receive().expect("a call");
        if frame.kind == kind::CALL {
            return frame;
        }
        assert_eq!(frame.kind, kind::BIND);
    }
}

/// Each call is answered with these frames under its ID; what it comes to.
fn answered(scene: &Scene, duel: &mut Duel, frames: &[Frame]) -> Answer {
    let call = calls(scene.case.api, &duel.ours);
    let id = received(duel).id;
    for frame in frames {
        // This side may have had enough before the last of them.
        duel.theirs.send(&frame.clone().with_id(id));
    }
    call.join().expect("a call does not panic")
}

fn disconnected(reason: CloseReason) -> Answer {
    Err(CallError::Disconnected { reason, maybe_executed: true })
}

#[test]
fn an_answer_that_does_not_decode_is_an_error_of_its_call() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let mut duel = scene.duel();
        let texts: [(&[u8], &str); 6] = [
            (b"", "the bytes end inside a value"),
            (b"\x05four", "5 elements announced and 4 bytes left"),
            (b"\x02too much", "6 bytes too many"),
            (
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                "18446744073709551615 elements announced and 0 bytes left",
            ),
            (
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                "a number is overlong or too large for its type",
            ),
            (b"\x80\x00", "a number is overlong or too large for its type"),
        ];
        for (payload, text) in texts {
            let answer = answered(&scene, &mut duel, &[Frame::new(kind::RESPONSE, payload)]);
            assert_eq!(answer, Err(CallError::InvalidPayload { detail: text.to_owned() }));
        }
        let good = answered(&scene, &mut duel, &[Frame::new(kind::RESPONSE, *b"\x03yes")]);
        assert_eq!(good, Ok(b"yes".to_vec()));
        scene.goes_on();
    }
}

#[test]
fn every_failure_is_what_its_code_says() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let mut duel = scene.duel();
        let too_large = [&[7][..], &5_u64.to_le_bytes(), &4_u64.to_le_bytes()].concat();
        let text = "this method has no error of its own".to_owned();
        for (payload, error) in [
            (vec![1], CallError::InvalidPayload { detail: text.clone() }),
            (vec![1, 2, 3], CallError::InvalidPayload { detail: text }),
            (vec![2], CallError::UnknownMethod),
            (b"\x03as it says".to_vec(), CallError::InvalidPayload { detail: "as it says".to_owned() }),
            (vec![4], CallError::Cancelled),
            (vec![5], CallError::DeadlineExceeded),
            (vec![6], CallError::HandlerPanicked),
            (too_large, CallError::TooLarge { size: 5, limit: 4 }),
            (vec![8], CallError::Refused),
        ] {
            assert_eq!(answered(&scene, &mut duel, &[Frame::new(kind::FAILURE, payload)]), Err(error));
        }
        assert!(duel.ours.is_open());
        scene.goes_on();
    }
}

#[test]
fn a_failure_is_well_formed() {
    let long = [&[3][..], &[b'x'; 513]].concat();
    let malformed: [&[u8]; 8] =
        [b"", b"\x00", b"\x09", b"\xff", b"\x02x", b"\x03\xff\xff", b"\x07too short", &long];
    for case in Case::all() {
        let scene = Scene::new(case);
        for payload in malformed {
            let mut duel = scene.duel();
            let answer = answered(&scene, &mut duel, &[Frame::new(kind::FAILURE, payload)]);
            assert_eq!(answer, disconnected(broken(Rule::FailureForm)));
            duel.breaks(Rule::FailureForm);
        }
        scene.goes_on();
    }
}

#[test]
fn a_second_answer_goes_nowhere() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let mut duel = scene.duel();
        let [first, second] = [*b"\x03one", *b"\x03two"].map(|answer| Frame::new(kind::RESPONSE, answer));
        for _ in 0..20 {
            let frames = [&[first.clone()][..], &vec![second.clone(); 5]].concat();
            assert_eq!(answered(&scene, &mut duel, &frames), Ok(b"one".to_vec()));
        }
        scene.goes_on();
    }
}

#[test]
fn an_answer_in_fragments_adds_up() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let part = |payload: &[u8], flags| Frame::new(kind::RESPONSE, payload).with_flags(flags);
        let begun = part(&[&6_u64.to_le_bytes()[..], b"\x05ab"].concat(), flags::MORE);
        let mut duel = scene.duel();
        let whole = [begun.clone(), part(b"c", flags::MORE), part(b"de", 0)];
        assert_eq!(answered(&scene, &mut duel, &whole), Ok(b"abcde".to_vec()));
        for (rest, rule) in [
            (part(b"cdef", 0), Rule::FragmentSize),
            (part(b"c", 0), Rule::FragmentSize),
            (part(b"cde", flags::MORE), Rule::FragmentSize),
            (Frame { method: 1, ..part(b"c", flags::MORE) }, Rule::FragmentOrder),
        ] {
            let mut duel = scene.duel();
            let answer = answered(&scene, &mut duel, &[begun.clone(), rest]);
            assert_eq!(answer, disconnected(broken(rule)));
            duel.breaks(rule);
        }
        scene.goes_on();
    }
}

#[test]
fn an_answer_is_no_larger_than_agreed() {
    let mut limits = Limits::default();
    limits.payload = 1024;
    for case in Case::all() {
        let scene = Scene::with(case, Options::new().limits(limits).handshake_timeout(PATIENCE));
        let announced = Frame::new(kind::RESPONSE, 1025_u64.to_le_bytes()).with_flags(flags::MORE);
        for large in [Frame::new(kind::RESPONSE, [1; 1025]), Frame::new(kind::FAILURE, [1; 1025]), announced]
        {
            let mut duel = scene.duel();
            assert_eq!(answered(&scene, &mut duel, &[large]), disconnected(broken(Rule::PayloadLimit)));
            duel.breaks(Rule::PayloadLimit);
        }
        scene.goes_on();
    }
}

#[test]
fn a_call_ends_with_its_peer() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let mut duel = scene.duel();
        let call = calls(case.api, &duel.ours);
        received(&mut duel);
        drop(duel.theirs);
        assert_eq!(call.join().expect("a call does not panic"), disconnected(CloseReason::PeerDied));
        scene.goes_on();
    }
}

#[test]
fn a_goodbye_without_an_answer_keeps_the_call_until_its_deadline() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let mut duel = scene.duel();
        let echo = duel.ours.client::<EchoBlockingClient>();
        let hasty = echo.with(CallOptions::new().deadline(std::time::Duration::from_millis(200)));
        let call = std::thread::spawn(move || hasty.echo(b"ours"));
        received(&mut duel);
        assert!(duel.theirs.send(&Frame::new(kind::GOODBYE, [0])));
        assert_eq!(call.join().expect("a call does not panic"), Err(CallError::DeadlineExceeded));
        // The slot is the peer's to free, and it never did.
        drop(duel.theirs);
        assert_eq!(closed(&duel.ours), CloseReason::PeerDied);
    }
}
