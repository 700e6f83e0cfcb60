//! Memory that is not what a half must be: this side does not map it, goes on over the socket, and says why.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use transom::{
    AttachError, CloseReason, FallbackReason, HandoverError, OpenError, Options, PeerReason, Transport,
};

use crate::common::EchoClient;
use crate::raw::{
    Frame, Half, Offer, PATIENCE, Peer, Prologue, Role, SEALS, SIZE, bind, call, header, kind, memory,
    size_of_half, stance, word,
};
use crate::scene::{Case, Link, Scene};

/// Hands this over, whatever it is, and goes on as a peer without memory must.
fn hands_over(scene: &Scene, half: BorrowedFd<'_>, bell: BorrowedFd<'_>, announced: u64) -> Transport {
    let (socket, opened) = scene.meet();
    let role = scene.case.role;
    let word = if role == Role::Initiator { word::ASK } else { word::WELCOME };
    let prologue = Prologue { half: announced, ..Prologue::new(word, stance::MEMORY) };
    socket.hand(&prologue.encode(), &[half, bell]);
    let (said, descriptors) = socket.take(Prologue::LEN).expect("a prologue");
    match role {
        Role::Initiator => {
            assert_eq!(Prologue::decode(&said), Prologue::new(word::WELCOME, stance::ATTACH));
            assert!(descriptors.is_empty());
        }
        Role::Acceptor => {
            assert_eq!(descriptors.len(), 2);
            assert_eq!(socket.hear(1), Some(vec![stance::ATTACH]));
        }
    }
    let mut peer = Peer { role, socket, rings: None };
    peer.shake_hands();
    let session = opened.session();
    let id = role.first_id();
    assert!(peer.send(&bind::<EchoClient>("echo")));
    assert!(peer.send(&call::<EchoClient>("echo", id, *b"\x01x")));
    assert_eq!(peer.receive(), Some(Frame::new(kind::RESPONSE, *b"\x01x").with_id(id)));
    scene.goes_on();
    session.transport()
}

/// This side falls back to the socket and says `text`.
fn falls_back(scene: &Scene, half: impl AsFd, bell: impl AsFd, announced: u64, text: &str) {
    println!("{}: {text}", scene.case);
    let transport = hands_over(scene, half.as_fd(), bell.as_fd(), announced);
    let fallback = Some(FallbackReason::Attach(text.to_owned()));
    assert_eq!(transport, Transport::Unix { fallback });
}

fn each_scene() -> impl Iterator<Item = Scene> {
    Case::over(Link::Shm).map(Scene::new)
}

#[test]
fn good_memory_is_mapped_whatever_its_size() {
    for scene in each_scene() {
        for ring in [4096, 64 * 1024, 8 * 1024 * 1024] {
            let duel = scene.duel_with(ring);
            assert_eq!(duel.ours.transport(), Transport::Shm);
        }
        // The end of the pipe that is read from does as well: this side opens it anew.
        let (socket, opened) = scene.meet();
        let mut offer = Offer::new(SIZE);
        offer.bell_end = rustix::io::fcntl_dupfd_cloexec(&offer.bell, 0).expect("a descriptor");
        let mut peer = match scene.case.role {
            Role::Initiator => Peer::ask(socket, Some(offer)),
            Role::Acceptor => Peer::welcome(socket, Some(offer)),
        };
        peer.shake_hands();
        assert_eq!(opened.session().transport(), Transport::Shm);
    }
}

#[test]
fn every_seal_is_required() {
    for scene in each_scene() {
        let all = [SealFlags::SHRINK, SealFlags::GROW, SealFlags::FUTURE_WRITE, SealFlags::SEAL];
        for present in 0..(1 << all.len()) - 1 {
            let has = |bit: usize| present >> bit & 1 == 1;
            let seals = (0..all.len()).filter(|bit| has(*bit)).map(|bit| all[bit]).collect::<SealFlags>();
            let half = memory(&header(SIZE), size_of_half(SIZE), seals);
            let missing = (SEALS - seals).bits();
            let text = AttachError::Unsealed { missing }.to_string();
            falls_back(&scene, half, Offer::new(SIZE).bell_end, size_of_half(SIZE), &text);
        }
        // A seal too many is fine.
        let half = memory(&header(SIZE), size_of_half(SIZE), SEALS | SealFlags::WRITE);
        let (socket, opened) = scene.meet();
        let offer = Offer::new(SIZE);
        let word = if scene.case.role == Role::Initiator { word::ASK } else { word::WELCOME };
        socket.hand(&offer.prologue(word).encode(), &[half.as_fd(), offer.bell_end.as_fd()]);
        let (said, _) = socket.take(Prologue::LEN).expect("a prologue");
        assert_eq!(Prologue::decode(&said).stance, stance::MEMORY);
        if scene.case.role == Role::Acceptor {
            assert_eq!(socket.hear(1), Some(vec![stance::MEMORY]));
        }
        drop(socket);
        opened.fails_as(match scene.case.role {
            Role::Initiator => OpenError::Handover(HandoverError::Closed),
            Role::Acceptor => OpenError::Ended(CloseReason::PeerDied),
        });
    }
}

#[test]
fn another_size_than_announced_is_refused() {
    for scene in each_scene() {
        let found = size_of_half(SIZE);
        let half = memory(&header(SIZE), found, SEALS);
        for announced in [0, 1, 8, 4096, found - 4096, found - 1, found + 1, found + 4096] {
            let text = AttachError::Size { announced, found }.to_string();
            falls_back(&scene, &half, Offer::new(SIZE).bell_end, announced, &text);
        }
        for size in [0, 8, 55, 56, 4096] {
            let half = memory(&header(SIZE), size, SEALS);
            let text = match size {
                56.. => format!("the peer's half: the half is said to be {found} bytes long and is {size}"),
                _ => "the peer's half: the memory does not begin as a half does".to_owned(),
            };
            falls_back(&scene, half, Offer::new(SIZE).bell_end, size, &text);
        }
    }
}

#[test]
fn more_memory_than_the_cap_is_refused_before_it_is_looked_at() {
    let cap = size_of_half(SIZE) - 1;
    for case in Case::of(Role::Initiator, Link::Shm) {
        let scene = Scene::with(case, Options::new().memory_cap(cap).handshake_timeout(PATIENCE));
        for announced in [cap + 1, 1 << 40, u64::MAX] {
            let text = AttachError::OverCap { announced, cap }.to_string();
            let half = memory(&header(SIZE), size_of_half(SIZE), SEALS);
            falls_back(&scene, half, Offer::new(SIZE).bell_end, announced, &text);
        }
    }
    for case in Case::of(Role::Acceptor, Link::Shm) {
        let scene = Scene::new(case);
        let (announced, cap) = (u64::MAX, 16 * 1024 * 1024);
        let text = AttachError::OverCap { announced, cap }.to_string();
        falls_back(&scene, Half::new(SIZE).descriptor(), Offer::new(SIZE).bell_end, announced, &text);
    }
}

#[test]
fn what_is_no_memory_is_refused() {
    for scene in each_scene() {
        let size = size_of_half(SIZE);
        let bell = || Offer::new(SIZE).bell_end;
        let unsealable = "the peer's memory cannot be sealed: Invalid argument (os error 22)";
        let file = File::open(std::env::current_exe().expect("this test")).expect("it can be read");
        falls_back(&scene, &file, bell(), size, unsealable);
        falls_back(&scene, bell(), bell(), size, unsealable);
        falls_back(&scene, Offer::new(SIZE).bell_end, Half::new(SIZE).descriptor(), size, unsealable);
        let (socket, _other) = std::os::unix::net::UnixStream::pair().expect("sockets");
        falls_back(&scene, &socket, bell(), size, unsealable);
        let path = rustix::fs::open(
            "/",
            rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        )
        .expect("a path");
        let text = "the peer's memory cannot be sealed: Bad file descriptor (os error 9)";
        falls_back(&scene, &path, bell(), size, text);
    }
}

#[test]
fn a_file_in_a_file_system_of_memory_is_refused() {
    for scene in each_scene() {
        let path = format!("/dev/shm/transom-hostile-{}", std::process::id());
        let Ok(mut file) = File::create_new(&path) else {
            println!("skipped: nothing can be put into /dev/shm");
            return;
        };
        std::fs::remove_file(&path).expect("it was just created");
        file.write_all(&header(SIZE)).expect("its header");
        file.set_len(size_of_half(SIZE)).expect("its size");
        let bell = Offer::new(SIZE).bell_end;
        let transport = hands_over(&scene, file.as_fd(), bell.as_fd(), size_of_half(SIZE));
        // Files have one seal, against sealing; those in other file systems have none and no place for any.
        let missing = (SEALS - SealFlags::SEAL).bits();
        let text = AttachError::Unsealed { missing }.to_string();
        assert_eq!(transport, Transport::Unix { fallback: Some(FallbackReason::Attach(text)) });
    }
}

#[test]
fn memory_of_huge_pages_is_refused() {
    for scene in each_scene() {
        let flags =
            MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | MemfdFlags::HUGETLB | MemfdFlags::HUGE_2MB;
        let size = 2 * 1024 * 1024;
        let half = match memfd_create("hostile", flags) {
            Ok(half) => half,
            Err(error) => {
                println!("skipped: no huge pages here: {error}");
                return;
            }
        };
        ftruncate(&half, size).expect("its size");
        fcntl_add_seals(&half, SEALS).expect("its seals");
        let text = AttachError::NotMemory.to_string();
        falls_back(&scene, half, Offer::new(SIZE).bell_end, size, &text);
    }
}

/// What is wrong with a header, by the order of the checks that the documentation gives; nothing if it is another good one.
fn complaint(header: &[u8; 56]) -> Option<String> {
    let short = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let word = |at: usize| u32::from(short(at)) | u32::from(short(at + 2)) << 16;
    let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
    let good = crate::raw::header(SIZE);
    let differs = |range: std::ops::Range<usize>| header[range.clone()] != good[range];
    let (cells, slots) = (word(20), word(24));
    Some(if differs(0..8) {
        "the memory does not begin as a half does".to_owned()
    } else if differs(8..10) {
        format!("layout version {}, this side knows 1", short(8))
    } else if differs(10..12) {
        "the half was made with another byte order".to_owned()
    } else if differs(12..16) {
        format!("the half was made for {}-byte pointers", short(12))
    } else if differs(16..20) || differs(28..32) {
        format!("the half was made for pages of {} bytes", word(16))
    } else if differs(32..40) {
        format!("ring size {} is no power of two from 4 KiB to 1 GiB", long(32))
    } else if cells > 65_536 {
        format!("{cells} credit cells exceed 65536")
    } else if slots > 112 {
        format!("{slots} board slots exceed 112")
    } else if differs(40..48) || 8192 + u64::from(cells) * 8 > long(40) {
        format!("the ring is said to be at {}", long(40))
    } else if differs(48..56) {
        format!("the half is said to be {} bytes long", long(48))
    } else {
        return None;
    })
}

#[test]
fn a_header_with_any_byte_corrupted_is_refused() {
    for scene in each_scene() {
        for at in 0..56 {
            for flip in [0x01, 0x40, 0xff] {
                let mut header = header(SIZE);
                header[at] ^= flip;
                let half = memory(&header, size_of_half(SIZE), SEALS);
                let bell = Offer::new(SIZE).bell_end;
                match complaint(&header) {
                    Some(text) => {
                        let text = format!("the peer's half: {text}");
                        falls_back(&scene, half, bell, size_of_half(SIZE), &text);
                    }
                    None => assert!((20..28).contains(&at), "byte {at}"),
                }
            }
        }
    }
}

#[test]
fn a_bell_that_is_no_pipe_is_refused() {
    for scene in each_scene() {
        let half = Half::new(SIZE);
        let text = AttachError::NotAPipe.to_string();
        let size = size_of_half(SIZE);
        let null = File::options().read(true).write(true).open("/dev/null").expect("it exists");
        falls_back(&scene, half.descriptor(), &null, size, &text);
        falls_back(&scene, half.descriptor(), half.descriptor(), size, &text);
        let (socket, _other) = std::os::unix::net::UnixStream::pair().expect("sockets");
        falls_back(&scene, half.descriptor(), &socket, size, &text);
        let event = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).expect("an event");
        falls_back(&scene, half.descriptor(), &event, size, &text);
    }
}

#[test]
fn a_listener_that_cannot_map_what_it_got_is_believed() {
    for case in Case::of(Role::Acceptor, Link::Shm) {
        let scene = Scene::new(case);
        let (socket, opened) = scene.meet();
        let (said, descriptors) = socket.take(Prologue::LEN).expect("a prologue");
        assert_eq!((Prologue::decode(&said).stance, descriptors.len()), (stance::MEMORY, 2));
        assert!(socket.say(&Prologue::new(word::WELCOME, stance::ATTACH).encode()));
        let mut peer = Peer { role: case.role, socket, rings: None };
        peer.shake_hands();
        let fallback = Some(FallbackReason::Peer(PeerReason::Attach));
        assert_eq!(opened.session().transport(), Transport::Unix { fallback });
    }
}
