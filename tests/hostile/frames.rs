//! Frames that break the rules of an open session: each ends that session and no other.

use transom::{CloseReason, Limits, Options, ProtocolError, Rule, Side};

use crate::common::EchoClient;
use crate::raw::{Frame, Hello, PATIENCE, bind, call, flags, kind, options};
use crate::scene::{Case, Link, Scene};

/// Bytes of one letter, as an argument of `echo`.
const LETTER: [u8; 2] = *b"\x01x";

/// Sends these frames over an open session, and waits until this side says which rule they broke.
fn breaks(scene: &Scene, frames: &[Frame], rule: Rule) {
    let mut duel = scene.duel_with(1 << 20);
    for frame in frames {
        // This side may have had enough before the last of them.
        duel.theirs.send(frame);
    }
    println!("{}: {rule}", scene.case);
    duel.breaks(rule);
    scene.goes_on();
}

/// Sends these frames over an open session, which does no harm: a call is answered afterwards.
fn does_no_harm(scene: &Scene, frames: &[Frame]) {
    let mut duel = scene.duel();
    for frame in frames {
        assert!(duel.theirs.send(frame));
    }
    let id = duel.theirs.role.first_id() + 1000;
    assert!(duel.theirs.send(&bind::<EchoClient>("echo")));
    assert!(duel.theirs.send(&call::<EchoClient>("echo", id, LETTER)));
    loop {
        let answer = duel.theirs.receive().expect("an answer");
        if answer.id == id {
            assert_eq!(answer, Frame::new(kind::RESPONSE, LETTER).with_id(id));
            break;
        }
    }
    assert!(duel.ours.is_open());
    scene.goes_on();
}

/// A scene in which our side keeps to limits of its own.
fn limited(case: Case, limit: impl FnOnce(&mut Limits)) -> Scene {
    let mut limits = Limits::default();
    limit(&mut limits);
    Scene::with(case, Options::new().limits(limits).handshake_timeout(PATIENCE))
}

#[test]
fn a_header_is_one_of_this_version() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let good = call::<EchoClient>("echo", case.role.first_id(), LETTER);
        for kind in [23, 24, 64, 128, 255] {
            breaks(&scene, &[Frame { kind, ..good.clone() }], Rule::FrameHeader);
        }
        for bit in 4..8 {
            breaks(&scene, &[good.clone().with_flags(1 << bit)], Rule::FrameHeader);
        }
        for bit in 0..16 {
            breaks(&scene, &[Frame { descriptors: 1 << bit, ..good.clone() }], Rule::FrameHeader);
        }
        for bit in 0..32 {
            breaks(&scene, &[Frame { sequence: 1 << bit, ..good.clone() }], Rule::FrameHeader);
        }
        for connection in [1, 1 << 31, u32::MAX] {
            breaks(&scene, &[Frame { connection, ..good.clone() }], Rule::Connection);
        }
        // In a ring it is a pad, and one that does not fill the gap.
        let rule = if case.link == Link::Shm { Rule::FrameLength } else { Rule::FrameHeader };
        breaks(&scene, &[Frame { kind: kind::PAD, ..good }], rule);
    }
}

#[test]
fn a_frame_on_a_socket_is_no_longer_than_a_frame_may_be() {
    for case in Case::over(Link::Unix).chain(Case::over(Link::Tcp)) {
        let scene = Scene::new(case);
        let good = call::<EchoClient>("echo", case.role.first_id(), LETTER);
        for length in [64 * 1024 + 1, 1 << 20, u32::MAX] {
            breaks(&scene, &[Frame { length: Some(length), ..good.clone() }], Rule::FrameLength);
        }
        // One that is longer than what comes is waited for, and then the peer is gone.
        for cut in 1..good.encode().len() {
            let duel = scene.duel();
            assert!(duel.theirs.socket.say(&good.encode()[..cut]));
            duel.theirs.socket.stop_talking();
            duel.ends_as(CloseReason::PeerDied);
        }
        scene.goes_on();
    }
}

#[test]
fn a_frame_carries_only_flags_that_its_kind_knows() {
    for case in Case::all() {
        let scene = Scene::new(case);
        for kind in [kind::BIND, kind::FAILURE, kind::CANCEL, kind::GOODBYE, kind::PROTOCOL_ERROR] {
            breaks(&scene, &[Frame::new(kind, [0]).with_flags(flags::OPTIONS)], Rule::Flags);
        }
        for kind in [kind::CONFIRM, kind::REFUSE, kind::CANCEL, kind::GOODBYE, kind::PROTOCOL_ERROR] {
            breaks(&scene, &[Frame::new(kind, [0]).with_flags(flags::MORE)], Rule::Flags);
        }
    }
}

#[test]
fn the_handshake_is_over_once_it_is() {
    for case in Case::all() {
        let scene = Scene::new(case);
        for kind in [kind::HELLO, kind::WELCOME] {
            breaks(&scene, &[Hello::of(case.role).frame(kind)], Rule::HandshakeOrder);
        }
        breaks(&scene, &[Frame::new(kind::CONFIRM, [1, 0])], Rule::HandshakeOrder);
        breaks(&scene, &[Frame::new(kind::REFUSE, [2, 0, 0, 0, 0, 0, 0, 0, 0])], Rule::HandshakeOrder);
    }
}

#[test]
fn a_method_is_bound_before_it_is_called() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let id = case.role.first_id();
        breaks(&scene, &[call::<EchoClient>("echo", id, LETTER)], Rule::BindingFirst);
        breaks(
            &scene,
            &[bind::<EchoClient>("never"), call::<EchoClient>("echo", id, LETTER)],
            Rule::BindingFirst,
        );
    }
}

#[test]
fn a_binding_is_well_formed_and_said_once() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let good = bind::<EchoClient>("echo");
        for length in 0..good.payload.len() {
            let cut = Frame { payload: good.payload[..length].to_vec(), ..good.clone() };
            breaks(&scene, &[cut], Rule::BindingForm);
        }
        let trailing = Frame { payload: [&good.payload[..], b"x"].concat(), ..good.clone() };
        breaks(&scene, &[trailing], Rule::BindingForm);
        let mut garbled = good.clone();
        garbled.payload[10] = 0xff;
        breaks(&scene, &[garbled], Rule::BindingForm);
        breaks(&scene, &[good.clone(), good], Rule::BindingForm);
        // What nobody serves may be bound as often as one likes.
        let unknown = Frame { method: 12345, ..bind::<EchoClient>("never") };
        does_no_harm(&scene, &vec![unknown; 100]);
    }
}

#[test]
fn what_this_side_does_not_serve_is_answered_so() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let mut duel = scene.duel();
        let id = duel.theirs.role.first_id();
        let unknown = Frame { method: 12345, ..call::<EchoClient>("echo", id, LETTER) };
        assert!(duel.theirs.send(&unknown));
        assert_eq!(duel.theirs.receive(), Some(Frame::new(kind::FAILURE, [2]).with_id(id)));
        let mut other_types = bind::<EchoClient>("echo");
        other_types.payload[0] ^= 1;
        assert!(duel.theirs.send(&other_types));
        assert!(duel.theirs.send(&call::<EchoClient>("echo", id + 2, LETTER)));
        let failure = duel.theirs.receive().expect("an answer");
        assert_eq!((failure.kind, failure.id, failure.payload[0]), (kind::FAILURE, id + 2, 3));
        let text = String::from_utf8(failure.payload[1..].to_vec()).expect("a text");
        assert!(text.starts_with("the types of `echoes.echo` here differ"), "{text}");
        assert!(duel.ours.is_open());
        scene.goes_on();
    }
}

#[test]
fn request_ids_rise_and_have_their_callers_parity() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let first = case.role.first_id();
        let bound = bind::<EchoClient>("echo");
        let with = |id| call::<EchoClient>("echo", id, LETTER);
        for id in [0, first + 1, u64::MAX - first % 2] {
            breaks(&scene, &[bound.clone(), with(id)], Rule::RequestParity);
        }
        breaks(&scene, &[bound.clone(), with(first), with(first)], Rule::RequestOrder);
        breaks(&scene, &[bound.clone(), with(first + 4), with(first + 2)], Rule::RequestOrder);
        // The last ID there is can be used once.
        let last = u64::MAX - (first + 1) % 2;
        breaks(&scene, &[bound.clone(), with(last), with(first)], Rule::RequestOrder);
        // One that is in flight, and one that only announces itself.
        let never = [bind::<EchoClient>("never"), call::<EchoClient>("never", first, [])];
        breaks(&scene, &[&never[..], &never[1..]].concat(), Rule::RequestOrder);
        let begun = call::<EchoClient>("echo", first + 2, 100_u64.to_le_bytes()).with_flags(flags::MORE);
        breaks(&scene, &[bound, begun, with(first)], Rule::RequestOrder);
    }
}

#[test]
fn no_more_requests_are_in_flight_than_agreed() {
    for case in Case::all() {
        for agreed in [1, 3, 64] {
            let scene = limited(case, |limits| limits.requests = agreed);
            let first = case.role.first_id();
            let mut frames = vec![bind::<EchoClient>("never")];
            frames.extend((0..=u64::from(agreed)).map(|at| call::<EchoClient>("never", first + 2 * at, [])));
            breaks(&scene, &frames, Rule::RequestLimit);
            // Those that are only announced count, and those whose cancellation is not answered yet.
            let announced = frames[usize::try_from(agreed).expect("few")].clone();
            frames[usize::try_from(agreed).expect("few")] =
                Frame { payload: 100_u64.to_le_bytes().to_vec(), flags: flags::MORE, ..announced };
            breaks(&scene, &frames, Rule::RequestLimit);
        }
    }
}

#[test]
fn answers_and_cancellations_are_of_requests_that_were_made() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let (theirs, ours) = (case.role.first_id(), 3 - case.role.first_id());
        for id in [0, ours, ours + 2, theirs, u64::MAX] {
            breaks(&scene, &[Frame::new(kind::RESPONSE, LETTER).with_id(id)], Rule::AnswerToNothing);
            breaks(&scene, &[Frame::new(kind::FAILURE, [4]).with_id(id)], Rule::AnswerToNothing);
        }
        for id in [0, ours, theirs, u64::MAX] {
            breaks(&scene, &[Frame::new(kind::CANCEL, []).with_id(id)], Rule::CancelOfNothing);
        }
        // A request that was made may be cancelled as often as one likes.
        let never = [bind::<EchoClient>("never"), call::<EchoClient>("never", theirs, [])];
        let cancelled = vec![Frame::new(kind::CANCEL, []).with_id(theirs); 50];
        does_no_harm(&scene, &[&never[..], &cancelled].concat());
    }
}

#[test]
fn the_options_of_a_request_are_well_formed_and_within_limits() {
    for case in Case::all() {
        let first = case.role.first_id();
        let bound = bind::<EchoClient>("echo");
        let with = |options: &[u8]| {
            let frame = call::<EchoClient>("echo", first, [options, &LETTER].concat());
            [bound.clone(), frame.with_flags(flags::OPTIONS)]
        };
        let entry = |key: &[u8]| [&[0, 1, 1, 0][..], key, &[4, 0, 0, 0], b"text"].concat();
        let two = [&[2, 0][..], &entry(b"a"), &entry(b"b")].concat();
        let scene = Scene::new(case);
        let good = options(u64::MAX, &two);
        does_no_harm(&scene, &[]);
        let malformed: Vec<Vec<u8>> = vec![
            vec![],
            good[..3].to_vec(),
            good[..11].to_vec(),
            [&u32::MAX.to_le_bytes()[..], &good[4..]].concat(),
            options(1, b"\x01\0"),
            options(1, b"\0\0\0"),
            options(1, &two[..two.len() - 1]),
            options(1, b"\x01\0\x04\x01\x01\0k\0\0\0\0"),
        ];
        for options in malformed {
            breaks(&scene, &with(&options), Rule::OptionsForm);
        }
        let scene = limited(case, |limits| limits.metadata_entries = 1);
        breaks(&scene, &with(&good), Rule::MetadataLimit);
        let scene = limited(case, |limits| limits.metadata_size = 10);
        breaks(&scene, &with(&good), Rule::MetadataLimit);
    }
}

#[test]
fn times_without_sense_do_no_harm() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let mut duel = scene.duel();
        let first = duel.theirs.role.first_id();
        assert!(duel.theirs.send(&bind::<EchoClient>("never")));
        for (at, left) in [(0, 0), (1, 1)] {
            let frame = call::<EchoClient>("never", first + 2 * at, options(left, b"\0\0"));
            assert!(duel.theirs.send(&frame.with_flags(flags::OPTIONS)));
            assert_eq!(duel.theirs.receive(), Some(Frame::new(kind::FAILURE, [5]).with_id(first + 2 * at)));
        }
        assert!(duel.theirs.send(&bind::<EchoClient>("echo")));
        for (at, left) in [(2, u64::MAX - 1), (3, i64::MAX as u64)] {
            let id = first + 2 * at;
            let frame = call::<EchoClient>("echo", id, [&options(left, b"\0\0")[..], &LETTER].concat());
            assert!(duel.theirs.send(&frame.with_flags(flags::OPTIONS)));
            assert_eq!(duel.theirs.receive(), Some(Frame::new(kind::RESPONSE, LETTER).with_id(id)));
        }
        scene.goes_on();
    }
}

#[test]
fn fragments_add_up_and_come_in_order() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let first = case.role.first_id();
        let part = |id, payload: &[u8], flags| call::<EchoClient>("echo", id, payload).with_flags(flags);
        let begun =
            |total: u64, rest: &[u8]| part(first, &[&total.to_le_bytes()[..], rest].concat(), flags::MORE);
        let bound = bind::<EchoClient>("echo");
        for (frames, rule) in [
            (vec![part(first, &[1; 7], flags::MORE)], Rule::FragmentSize),
            (vec![begun(4, b"\x03ab"), part(first, b"cd", 0)], Rule::FragmentSize),
            (vec![begun(4, b"\x03ab"), part(first, b"", 0)], Rule::FragmentSize),
            (vec![begun(4, b"\x03ab"), part(first, b"", flags::MORE)], Rule::FragmentSize),
            (vec![begun(4, b"\x03ab"), part(first, b"c", flags::MORE)], Rule::FragmentSize),
            (vec![begun(3, b"\x02ab")], Rule::FragmentSize),
            (vec![begun(0, b"")], Rule::FragmentSize),
            (vec![begun((64 << 20) + 1, b"")], Rule::PayloadLimit),
            (vec![begun(u64::MAX, b"")], Rule::PayloadLimit),
            (
                vec![begun(4, b"\x03ab"), part(first + 2, &9_u64.to_le_bytes(), flags::MORE)],
                Rule::FragmentOrder,
            ),
            (vec![begun(4, b"\x03ab"), part(first, b"c", flags::OPTIONS)], Rule::FragmentOrder),
            (vec![begun(4, b"\x03ab"), part(first, b"c", flags::OPTIONS | flags::MORE)], Rule::FragmentOrder),
        ] {
            println!("{case}: {frames:?}");
            breaks(&scene, &[&[bound.clone()][..], &frames].concat(), rule);
        }
        // Whole messages may come in between, and what begins may never be done.
        let whole = part(first + 2, &LETTER, 0);
        does_no_harm(&scene, &[Frame { method: 1, ..begun(5, b"") }, Frame { method: 1, ..whole }]);
    }
}

#[test]
fn a_message_is_no_larger_than_agreed() {
    for case in Case::all() {
        let scene = limited(case, |limits| limits.payload = 1024);
        let first = case.role.first_id();
        let bound = bind::<EchoClient>("echo");
        let of = |size: usize| [&[0xfe, 0x07][..], &vec![7; size - 2]].concat();
        breaks(&scene, &[bound.clone(), call::<EchoClient>("echo", first, of(1025))], Rule::PayloadLimit);
        let begun = call::<EchoClient>("echo", first, 1025_u64.to_le_bytes()).with_flags(flags::MORE);
        breaks(&scene, &[bound.clone(), begun], Rule::PayloadLimit);
        let mut duel = scene.duel();
        assert!(duel.theirs.send(&bound));
        assert!(duel.theirs.send(&call::<EchoClient>("echo", first, of(1024))));
        assert_eq!(duel.theirs.receive(), Some(Frame::new(kind::RESPONSE, of(1024)).with_id(first)));
    }
}

#[test]
fn a_goodbye_is_well_formed_and_said_once() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let first = case.role.first_id();
        // A call that is never answered keeps the session open.
        let never = [bind::<EchoClient>("never"), call::<EchoClient>("never", first, [])];
        let goodbye = |payload: &[u8]| Frame::new(kind::GOODBYE, payload);
        for malformed in [&[][..], &[2], &[0, 0], &[255]] {
            breaks(&scene, &[goodbye(malformed)], Rule::GoodbyeForm);
        }
        let polite = [&never[..], &[goodbye(&[0])]].concat();
        breaks(&scene, &[&polite[..], &[goodbye(&[0])]].concat(), Rule::GoodbyeForm);
        let late = call::<EchoClient>("never", first + 2, []);
        breaks(&scene, &[&polite[..], &[late]].concat(), Rule::CallAfterGoodbye);
        for last in [0, 1] {
            let mut duel = scene.duel();
            assert!(duel.theirs.send(&goodbye(&[last])));
            duel.ends_as(CloseReason::Goodbye);
        }
        scene.goes_on();
    }
}

#[test]
fn a_peer_that_blames_this_side_is_believed_and_left() {
    for case in Case::all() {
        let scene = Scene::new(case);
        for (payload, rule) in [
            (&[12, 0][..], Rule::RequestOrder),
            (&[0, 1], Rule::Unknown),
            (&[], Rule::Unknown),
            (&[1; 99], Rule::Unknown),
        ] {
            let mut duel = scene.duel();
            assert!(duel.theirs.send(&Frame::new(kind::PROTOCOL_ERROR, payload)));
            duel.ends_as(CloseReason::Protocol(ProtocolError { rule, by: Side::Local }));
        }
        scene.goes_on();
    }
}
