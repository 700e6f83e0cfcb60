//! Hand-overs that go wrong: from either side, at every stage.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::time::Duration;

use transom::{
    CloseReason, FallbackReason, HandoverError, Malformed, OpenError, Options, PeerReason, Refused,
    Transport, Versions,
};

use crate::common::EchoClient;
use crate::raw::{
    Frame, Hello, Offer, PATIENCE, Peer, Prologue, Role, SIZE, Socket, bind, call, kind, stance, wait_for,
    word,
};
use crate::scene::{Case, Link, Opened, Scene};

/// What this side speaks.
const OWN: Versions = Versions { newest: 1, least: 1 };

/// What a hostile peer of this role begins with by the rules.
fn opening(role: Role) -> Prologue {
    let word = if role == Role::Initiator { word::ASK } else { word::WELCOME };
    Prologue::new(word, stance::SOCKET)
}

/// The hostile connector is told why it is refused, and then left.
fn is_refused(socket: &Socket, word: u8) {
    let refusal = socket.hear(Prologue::LEN).expect("a refusal");
    assert_eq!(Prologue::decode(&refusal), Prologue::new(word, stance::SOCKET));
    socket.is_closed_by_the_other();
}

/// It went wrong as `expected`; a connector is told so by `word`.
fn goes_wrong(scene: &Scene, socket: &Socket, opened: Opened<'_>, expected: HandoverError, word: u8) {
    opened.fails_as(expected);
    match scene.case.role {
        Role::Initiator => is_refused(socket, word),
        Role::Acceptor => socket.is_closed_by_the_other(),
    }
    scene.goes_on();
}

#[test]
fn another_protocol_is_known_by_how_it_begins() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let texts: [&[u8]; 8] = [
            b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nUser-Agent: a browser, and a long name\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"\n",
            b"TRNSOM\n\r and so on",
            b"TRNSHALF",
            &[0; 64],
            &[0xff; 10_000],
        ];
        for text in texts {
            println!("{case}: {}", text[..text.len().min(20)].escape_ascii());
            let (socket, opened) = scene.meet();
            socket.say(text);
            let began = text[..text.len().min(8)].to_vec();
            goes_wrong(&scene, &socket, opened, HandoverError::NotTransom { began }, word::MALFORMED);
        }
    }
}

#[test]
fn another_version_is_refused_and_both_are_named() {
    for case in Case::all() {
        let scene = Scene::new(case);
        for (newest, least) in [(2, 2), (0, 0), (u16::MAX, 2), (0, 1), (1, 2)] {
            println!("{case}: {least} to {newest}");
            let (socket, opened) = scene.meet();
            assert!(socket.say(&Prologue { newest, least, ..opening(case.role) }.encode()));
            let expected = HandoverError::Version { own: OWN, peer: Versions { newest, least } };
            goes_wrong(&scene, &socket, opened, expected, word::NO_VERSION);
        }
        // A version that reaches down to this one is fine.
        let (socket, opened) = scene.meet();
        assert!(socket.say(&Prologue { newest: u16::MAX, ..opening(case.role) }.encode()));
        let said = Prologue::decode(&socket.hear(Prologue::LEN).expect("a prologue"));
        assert!([word::ASK, word::WELCOME].contains(&said.word), "{said:?}");
        drop(socket);
        opened.fails_as(OpenError::Ended(CloseReason::PeerDied));
    }
}

#[test]
fn another_version_may_differ_in_all_else() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let (socket, opened) = scene.meet();
        let prologue = Prologue { newest: 7, least: 6, stance: 99, zero: 0xaa, ..opening(case.role) };
        let null = std::fs::File::open("/dev/null").expect("it exists");
        socket.hand(&prologue.encode(), &[null.as_fd(); 3]);
        let expected = HandoverError::Version { own: OWN, peer: Versions { newest: 7, least: 6 } };
        goes_wrong(&scene, &socket, opened, expected, word::NO_VERSION);
    }
}

#[test]
fn a_connector_learns_why_it_is_refused() {
    let peer = Versions { newest: 3, least: 2 };
    for case in Case::all().filter(|case| case.role == Role::Acceptor) {
        let scene = Scene::new(case);
        for (word, expected) in [
            (word::NO_VERSION, HandoverError::Version { own: OWN, peer }),
            (word::FORBIDDEN, HandoverError::Refused(Refused::Forbidden)),
            (word::TICKET, HandoverError::Refused(Refused::Ticket)),
            (word::BUSY, HandoverError::Refused(Refused::Busy)),
            (word::MALFORMED, HandoverError::Refused(Refused::Malformed)),
            (77, HandoverError::Refused(Refused::Unknown)),
        ] {
            let (socket, opened) = scene.meet();
            let mut refusal = Prologue::new(word, stance::SOCKET);
            if word == word::NO_VERSION {
                (refusal.newest, refusal.least) = (peer.newest, peer.least);
            }
            assert!(socket.say(&refusal.encode()));
            // Whatever a refusal brings along goes nowhere.
            goes_wrong(&scene, &socket, opened, expected, word);
        }
    }
}

#[test]
fn a_truncated_prologue_ends_the_hand_over() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let prologue = opening(case.role).encode();
        for length in 0..prologue.len() {
            let (socket, opened) = scene.meet();
            socket.say(&prologue[..length]);
            // Both ways to be gone: for good, and for talking.
            let stays = if length % 2 == 0 {
                drop(socket);
                None
            } else {
                socket.stop_talking();
                Some(socket)
            };
            opened.fails_as(HandoverError::Closed);
            if let Some(socket) = stays {
                socket.is_closed_by_the_other();
            }
        }
        scene.goes_on();
    }
}

#[test]
fn a_prologue_of_the_wrong_side_is_refused() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let words = match case.role {
            Role::Initiator => vec![word::WELCOME, word::NO_VERSION, word::FORBIDDEN, word::MALFORMED, 77],
            Role::Acceptor => vec![word::ASK],
        };
        for word in words {
            let (socket, opened) = scene.meet();
            assert!(socket.say(&Prologue::new(word, stance::SOCKET).encode()));
            let expected = HandoverError::Malformed(Malformed::Side);
            goes_wrong(&scene, &socket, opened, expected, word::MALFORMED);
        }
    }
}

#[test]
fn descriptors_are_as_many_as_announced_and_none_is_kept() {
    for case in Case::local() {
        let scene = Scene::new(case);
        for (announced, found) in [(2, 0), (2, 1), (2, 3), (2, 4), (2, 5), (2, 60), (0, 1), (0, 2), (0, 5)] {
            println!("{case}: {found} descriptors, {announced} announced");
            let (socket, opened) = scene.meet();
            let (reader, writer) = std::io::pipe().expect("a pipe");
            let stance = if announced == 2 { stance::MEMORY } else { stance::SOCKET };
            let prologue = Prologue { stance, ..opening(case.role) };
            socket.hand(&prologue.encode(), &vec![writer.as_fd(); found]);
            drop(writer);
            let expected = if found > 4 {
                Malformed::TooManyDescriptors
            } else {
                Malformed::Descriptors { found, expected: announced }
            };
            goes_wrong(&scene, &socket, opened, HandoverError::Malformed(expected), word::MALFORMED);
            ends(reader);
        }
        // One with each byte.
        let (socket, opened) = scene.meet();
        let (reader, writer) = std::io::pipe().expect("a pipe");
        for byte in &opening(case.role).encode()[..5] {
            socket.hand(&[*byte], &[writer.as_fd()]);
        }
        drop(writer);
        let expected = HandoverError::Malformed(Malformed::TooManyDescriptors);
        goes_wrong(&scene, &socket, opened, expected, word::MALFORMED);
        ends(reader);
    }
}

#[test]
fn memory_cannot_come_over_tcp() {
    for case in Case::over(Link::Tcp) {
        let scene = Scene::new(case);
        let (socket, opened) = scene.meet();
        let (_reader, writer) = std::io::pipe().expect("a pipe");
        // The kernel leaves them out.
        let prologue = Prologue { stance: stance::MEMORY, ..opening(case.role) };
        socket.hand(&prologue.encode(), &[writer.as_fd(); 2]);
        let expected = Malformed::Descriptors { found: 0, expected: 2 };
        goes_wrong(&scene, &socket, opened, HandoverError::Malformed(expected), word::MALFORMED);
    }
}

/// Nobody holds the other end of this pipe any more.
fn ends(mut reader: std::io::PipeReader) {
    wait_for(&[reader.as_fd()]);
    assert_eq!(reader.read(&mut [0]).expect("a pipe"), 0);
}

/// A connection within this machine whose last close waits for longer than a test does, and its other end.
fn lingering() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let mut one = TcpStream::connect(listener.local_addr().expect("its address")).expect("a connection");
    let (other, _) = listener.accept().expect("its other end");
    // Bytes that nobody takes.
    one.set_nonblocking(true).expect("a socket");
    while one.write(&[0; 64 * 1024]).is_ok() {}
    rustix::net::sockopt::set_socket_linger(&one, Some(4 * PATIENCE)).expect("a socket");
    (one, other)
}

#[test]
fn descriptors_that_take_long_to_close_keep_nobody_waiting() {
    for case in Case::local() {
        let scene = Scene::new(case);
        for (stance, passed) in [(stance::SOCKET, 1), (stance::MEMORY, 2)] {
            println!("{case}: stance {stance}, {passed} descriptors");
            let (socket, opened) = scene.meet();
            let (one, _other) = lingering();
            let prologue = Prologue { stance, ..opening(case.role) }.encode();
            socket.hand(&prologue[..10], &vec![one.as_fd(); passed]);
            // It is on its way, so that the last to close it is not this side.
            drop(one);
            assert!(socket.say(&prologue[10..]));
            let expected = match stance {
                stance::SOCKET => {
                    let wrong = Malformed::Descriptors { found: passed, expected: 0 };
                    OpenError::Handover(HandoverError::Malformed(wrong))
                }
                _ if case.link == Link::Unix && case.role == Role::Acceptor => {
                    OpenError::Handover(HandoverError::Malformed(Malformed::Unasked))
                }
                _ => {
                    socket.hear(Prologue::LEN).expect("a prologue");
                    scene.goes_on();
                    OpenError::Ended(CloseReason::PeerDied)
                }
            };
            drop(socket);
            opened.fails_as(expected);
            scene.goes_on();
        }
    }
}

#[test]
fn memory_that_nobody_asked_for_is_refused() {
    for case in Case::of(Role::Acceptor, Link::Unix) {
        let scene = Scene::new(case);
        let (socket, opened) = scene.meet();
        let offer = Offer::new(SIZE);
        socket.hand(&offer.prologue(word::WELCOME).encode(), &offer.descriptors());
        let expected = HandoverError::Malformed(Malformed::Unasked);
        goes_wrong(&scene, &socket, opened, expected, word::MALFORMED);
    }
}

#[test]
fn what_a_prologue_leaves_zero_is_left_alone() {
    for case in Case::all() {
        let scene = Scene::new(case);
        let (socket, opened) = scene.meet();
        assert!(socket.say(&Prologue { zero: 0xff, ..opening(case.role) }.encode()));
        socket.hear(Prologue::LEN).expect("a prologue");
        let mut peer = Peer { role: case.role, socket, rings: None };
        peer.shake_hands();
        let transport = opened.session().transport();
        assert!(matches!(transport, Transport::Unix { .. } | Transport::Tcp), "{transport}");
    }
}

#[test]
fn a_peer_without_memory_says_why_or_says_nothing_known() {
    let reasons = [
        (stance::SOCKET, PeerReason::SocketOnly),
        (stance::SWITCHED_OFF, PeerReason::SwitchedOff),
        (stance::REFUSED, PeerReason::Refused),
        (stance::ATTACH, PeerReason::Attach),
        (99, PeerReason::Unknown),
    ];
    for case in Case::over(Link::Shm) {
        let scene = Scene::new(case);
        for (stance, reason) in reasons {
            println!("{case}: {reason:?}");
            let (socket, opened) = scene.meet();
            assert!(socket.say(&Prologue { stance, ..opening(case.role) }.encode()));
            socket.hear(Prologue::LEN).expect("a prologue");
            let mut peer = Peer { role: case.role, socket, rings: None };
            peer.shake_hands();
            // A connector that wants no memory has no reason to give.
            let wants = case.role == Role::Acceptor || stance != stance::SOCKET;
            let fallback = wants.then_some(FallbackReason::Peer(reason));
            assert_eq!(opened.session().transport(), Transport::Unix { fallback });
            scene.goes_on();
        }
    }
    // A connector can still change its mind at the end.
    for case in Case::of(Role::Initiator, Link::Shm) {
        let scene = Scene::new(case);
        for (stance, reason) in &reasons[1..] {
            let (socket, opened) = scene.meet();
            let offer = Offer::new(SIZE);
            socket.hand(&offer.prologue(word::ASK).encode(), &offer.descriptors());
            socket.take(Prologue::LEN).expect("a welcome");
            assert!(socket.say(&[*stance]));
            let mut peer = Peer { role: case.role, socket, rings: None };
            peer.shake_hands();
            let fallback = Some(FallbackReason::Peer(*reason));
            assert_eq!(opened.session().transport(), Transport::Unix { fallback });
        }
    }
}

/// A handshake takes no longer, however busy the machine is, and a test can wait for it.
const HASTE: Duration = Duration::from_secs(2);

/// How far a hostile peer goes by the rules.
const STAGES: u32 = 5;

/// Goes as far as `stage` by the rules; the peer then, with what it has offered, and whether the hand-over was done.
fn as_far_as(stage: u32, scene: &Scene, socket: Socket) -> (Peer, Option<Offer>, bool) {
    let role = scene.case.role;
    let (prologue, offer) = (opening(role), (scene.case.link == Link::Shm).then(|| Offer::new(SIZE)));
    let handed_over = match (stage, &offer) {
        (0, _) => false,
        (1, _) => {
            socket.say(&prologue.encode()[..Prologue::LEN / 2]);
            false
        }
        (2, None) => socket.say(&prologue.encode()),
        (2, Some(offer)) => {
            socket.hand(&offer.prologue(prologue.word).encode(), &offer.descriptors());
            // A connector with memory still owes its stance.
            role == Role::Acceptor
        }
        _ => {
            let mut peer = match role {
                Role::Initiator => Peer::ask(socket, offer),
                Role::Acceptor => Peer::welcome(socket, offer),
            };
            if stage == 4 && role == Role::Initiator {
                assert!(peer.send(&Hello::of(role).frame(kind::HELLO)));
                peer.receive().expect("a welcome");
            }
            return (peer, None, true);
        }
    };
    (Peer { role, socket, rings: None }, offer, handed_over)
}

#[test]
fn silence_at_any_stage_times_out_and_keeps_nobody_waiting() {
    for case in Case::all() {
        let scene = Scene::with(case, Options::new().handshake_timeout(HASTE));
        let mut silent = Vec::new();
        for stage in 0..STAGES {
            let (socket, opened) = scene.meet();
            silent.push((as_far_as(stage, &scene, socket), opened));
        }
        scene.goes_on();
        for (held, opened) in silent {
            opened.fails_as(OpenError::Timeout);
            held.0.socket.is_closed_by_the_other();
        }
        scene.goes_on();
    }
}

#[test]
fn closing_at_any_stage_ends_it() {
    for case in Case::all() {
        let scene = Scene::new(case);
        for stage in 0..STAGES {
            println!("{case}: closing after stage {stage}");
            let (socket, opened) = scene.meet();
            let (peer, offer, handed_over) = as_far_as(stage, &scene, socket);
            drop((peer, offer));
            opened.fails_as(match handed_over {
                true => OpenError::Ended(CloseReason::PeerDied),
                false => OpenError::Handover(HandoverError::Closed),
            });
        }
        let duel = scene.duel();
        let ours = duel.ours;
        drop(duel.theirs);
        assert_eq!(crate::scene::closed(&ours), CloseReason::PeerDied);
        scene.goes_on();
    }
}

#[test]
fn a_hand_over_in_single_bytes_is_a_hand_over() {
    for case in Case::over(Link::Unix).chain(Case::over(Link::Tcp)) {
        let scene = Scene::new(case);
        let (socket, opened) = scene.meet();
        for byte in opening(case.role).encode() {
            assert!(socket.say(&[byte]));
        }
        socket.hear(Prologue::LEN).expect("a prologue");
        let mut peer = Peer { role: case.role, socket, rings: None };
        peer.shake_hands();
        let session = opened.session();
        for frame in [bind::<EchoClient>("echo"), call::<EchoClient>("echo", case.role.first_id(), *b"\x01x")]
        {
            for byte in frame.encode() {
                assert!(peer.socket.say(&[byte]));
            }
        }
        let answer = peer.receive().expect("an answer");
        assert_eq!(answer, Frame::new(kind::RESPONSE, *b"\x01x").with_id(case.role.first_id()));
        assert!(session.is_open());
    }
}
