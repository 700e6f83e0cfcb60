//! Descriptors that a hostile peer passes by the rules of the link, but not as a session wants them: too many, twice, none,
//! or for nobody. Whatever it comes to, none stay open.

use std::io::PipeReader;
use std::os::fd::{AsFd as _, OwnedFd};
use std::thread::JoinHandle;

use transom::{CallError, CallOptions, Fd, Options, Rule, Rx};

use crate::channels::{BATCH, ITEM, SENDS, declaring, until_answered};
use crate::common::EchoClient;
use crate::raw::{Frame, PATIENCE, bind, call, flags, kind, wait_for};
use crate::scene::{Api, Case, Duel, Scene, within};

/// Takes descriptors.
#[transom::service]
pub trait Taking {
    /// One, and perhaps another.
    async fn take(&self, one: Fd, other: Option<Fd>) -> bool;
    /// Any number, and never looks at them.
    async fn hold(&self, files: Rx<Fd>);
    /// Gives one.
    async fn give(&self) -> Fd;
}

/// A [`Taking`].
pub struct Taker;

impl Taking for Taker {
    async fn take(&self, _: Fd, other: Option<Fd>) -> bool {
        other.is_some()
    }
    async fn hold(&self, _files: Rx<Fd>) {
        std::future::pending().await
    }
    async fn give(&self) -> Fd {
        let (reader, _) = std::io::pipe().expect("a pipe");
        Fd::new(reader)
    }
}

/// Sees when all descriptors that it has given out have been closed.
struct Pipe {
    reader: PipeReader,
    writer: OwnedFd,
}

impl Pipe {
    fn new() -> Self {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        Self { reader, writer: writer.into() }
    }

    /// Sends a frame with so many.
    fn pass(&self, duel: &mut Duel, frame: &Frame, count: usize, number: u32) {
        assert!(duel.theirs.pass(frame, &vec![self.writer.as_fd(); count], number));
    }

    /// Waits until all have been closed.
    fn comes_to_its_end(self) {
        drop(self.writer);
        wait_for(&[self.reader.as_fd()]);
    }
}

#[test]
fn numbers_that_stand_for_no_descriptor_are_an_error_of_their_call() {
    // How many come, and the arguments.
    let attacks: [(usize, &[u8]); 9] = [
        (0, &[0, 0]),
        (1, &[1, 0]),
        (1, &[0, 1, 1]),
        (2, &[0, 1, 0]),
        (2, &[1, 1, 1]),
        (64, &[64, 0]),
        (1, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0]),
        (2, &[0, 1]),
        (2, &[0, 1, 1, 1]),
    ];
    // The last with one that nobody names.
    let good: [(usize, &[u8]); 4] = [(1, &[0, 0]), (2, &[0, 1, 1]), (2, &[1, 1, 0]), (64, &[63, 0])];
    for case in Case::local() {
        println!("{case}");
        let scene = Scene::new(case);
        let mut duel = scene.duel();
        assert!(duel.theirs.send(&bind::<TakingClient>("take")));
        let (mut id, mut number) = (case.role.first_id(), 0);
        for (count, arguments) in attacks.into_iter().chain(good) {
            let (pipe, calling) = (Pipe::new(), call::<TakingClient>("take", id, arguments));
            if count == 0 {
                assert!(duel.theirs.send(&calling));
            } else {
                pipe.pass(&mut duel, &calling, count, number);
                number += 1;
            }
            let answer = until_answered(&mut duel, id).pop().expect("the answer");
            let expected = if good.contains(&(count, arguments)) { kind::RESPONSE } else { kind::FAILURE };
            assert_eq!(answer.kind, expected, "{count}, {arguments:?}");
            pipe.comes_to_its_end();
            id += 2;
        }
        drop(duel);
        scene.goes_on();
    }
}

/// A duel in which this side holds a channel of the peer's on which it never looks.
fn holding(scene: &Scene) -> (Duel, u64) {
    let mut duel = scene.duel();
    let id = scene.case.role.first_id();
    assert!(duel.theirs.send(&bind::<TakingClient>("hold")));
    let arguments = [declaring(&[(id, SENDS)]), vec![0]].concat();
    assert!(duel.theirs.send(&call::<TakingClient>("hold", id, arguments).with_flags(flags::OPTIONS)));
    (duel, id)
}

/// One item, which has the number 0 in it.
fn item(channel: u64) -> Frame {
    Frame { method: 1, ..Frame::new(ITEM, [0]) }.with_id(channel)
}

/// The peer's `echo` is answered.
fn echoes(duel: &mut Duel, id: u64) {
    assert!(duel.theirs.send(&bind::<EchoClient>("echo")));
    assert!(duel.theirs.send(&call::<EchoClient>("echo", id, *b"\x01x")));
    assert_eq!(until_answered(duel, id).pop().map(|answer| answer.kind), Some(kind::RESPONSE));
}

#[test]
fn no_more_wait_here_than_may() {
    for case in Case::local() {
        println!("{case}");
        let scene = Scene::with(case, Options::new().handshake_timeout(PATIENCE).descriptors(10));
        let (mut duel, id) = holding(&scene);
        let (kept, lost) = (Pipe::new(), Pipe::new());
        for number in 0..10 {
            kept.pass(&mut duel, &item(id), 1, number);
        }
        for number in 10..20 {
            lost.pass(&mut duel, &item(id), 1, number);
        }
        lost.comes_to_its_end();
        let lost = Pipe::new();
        assert!(duel.theirs.send(&bind::<TakingClient>("take")));
        lost.pass(&mut duel, &call::<TakingClient>("take", id + 2, [0, 0]), 1, 20);
        let answer = until_answered(&mut duel, id + 2).pop().expect("the answer");
        assert_eq!(answer.kind, kind::FAILURE);
        lost.comes_to_its_end();
        echoes(&mut duel, id + 4);
        scene.goes_on();
        drop(duel);
        kept.comes_to_its_end();
    }
}

#[test]
fn descriptors_with_items_take_credit() {
    for case in Case::local() {
        println!("{case}");
        let scene = Scene::new(case);
        // 62 of these fit into the window of 64 KiB.
        let (mut duel, id) = holding(&scene);
        let pipe = Pipe::new();
        for number in 0..63 {
            pipe.pass(&mut duel, &item(id), 1, number);
        }
        duel.breaks(Rule::CreditOverrun);
        pipe.comes_to_its_end();
        // Or one that is larger than the window.
        let (mut duel, id) = holding(&scene);
        let pipe = Pipe::new();
        pipe.pass(&mut duel, &item(id), 64, 0);
        echoes(&mut duel, id + 2);
        assert!(duel.theirs.send(&item(id)));
        duel.breaks(Rule::CreditOverrun);
        pipe.comes_to_its_end();
        scene.goes_on();
    }
}

#[test]
fn descriptors_come_where_they_may_and_no_more_than_may() {
    type Attack = (&'static str, Rule, fn(&mut Duel, u64, &Pipe));
    let attacks: [Attack; 4] = [
        ("with a later fragment", Rule::DescriptorPlace, |duel, id, pipe| {
            let first = [&6_u64.to_le_bytes()[..], b"abc"].concat();
            let first = call::<EchoClient>("echo", id + 2, first).with_flags(flags::MORE);
            assert!(duel.theirs.send(&bind::<EchoClient>("echo")));
            pipe.pass(duel, &first, 1, 0);
            pipe.pass(duel, &call::<EchoClient>("echo", id + 2, *b"def"), 1, 1);
        }),
        ("with a batch", Rule::DescriptorPlace, |duel, id, pipe| {
            let batch = Frame { payload: vec![1, 0, 0, 0, 0], ..item(id) };
            pipe.pass(duel, &batch.with_flags(BATCH), 1, 0);
        }),
        ("with requests that are never answered", Rule::DescriptorLimit, |duel, id, pipe| {
            assert!(duel.theirs.send(&bind::<EchoClient>("never")));
            for number in 0..4 {
                let calling = call::<EchoClient>("never", id + 2 + 2 * u64::from(number), []);
                pipe.pass(duel, &calling, 64, number);
            }
            pipe.pass(duel, &call::<EchoClient>("never", id + 10, []), 1, 4);
        }),
        ("with a request in fragments that is one too many", Rule::DescriptorLimit, |duel, id, pipe| {
            assert!(duel.theirs.send(&bind::<EchoClient>("never")));
            for number in 0..4 {
                let calling = call::<EchoClient>("never", id + 2 + 2 * u64::from(number), []);
                pipe.pass(duel, &calling, 64, number);
            }
            let first = [&6_u64.to_le_bytes()[..], b"abc"].concat();
            pipe.pass(duel, &call::<EchoClient>("never", id + 10, first).with_flags(flags::MORE), 1, 4);
        }),
    ];
    for case in Case::local() {
        let scene = Scene::new(case);
        for (name, rule, attack) in attacks {
            println!("{case}: {name}");
            let (mut duel, id) = holding(&scene);
            let pipe = Pipe::new();
            attack(&mut duel, id, &pipe);
            duel.breaks(rule);
            pipe.comes_to_its_end();
            scene.goes_on();
        }
    }
}

/// This side calls `give`, in the way of its driver.
fn asks(duel: &Duel, api: Api) -> JoinHandle<Result<Fd, CallError>> {
    let (client, blocking) = (duel.ours.client::<TakingClient>(), duel.ours.client::<TakingBlockingClient>());
    std::thread::spawn(move || match api {
        Api::Async => within(async { client.give().await }),
        Api::Blocking => blocking.with(CallOptions::new().deadline(PATIENCE)).give(),
    })
}

#[test]
fn an_answer_whose_descriptors_are_not_those_it_names_is_an_error_of_its_call() {
    // How many come, and the result.
    let answers: [(usize, &[u8], bool); 5] =
        [(1, &[0], true), (64, &[63], true), (0, &[0], false), (1, &[1], false), (64, &[64], false)];
    for case in Case::local() {
        println!("{case}");
        let scene = Scene::new(case);
        let (mut duel, mut number) = (scene.duel(), 0);
        for (count, result, good) in answers {
            let asking = asks(&duel, case.api);
            let id = loop {
                let frame = duel.theirs.receive().expect("a call");
                if frame.kind == kind::CALL {
                    break frame.id;
                }
            };
            let (pipe, answer) = (Pipe::new(), Frame::new(kind::RESPONSE, result).with_id(id));
            if count == 0 {
                assert!(duel.theirs.send(&answer));
            } else {
                pipe.pass(&mut duel, &answer, count, number);
                number += 1;
            }
            let given = asking.join().expect("a call does not panic");
            assert_eq!(given.is_ok(), good, "{count}, {result:?}: {given:?}");
            drop(given);
            pipe.comes_to_its_end();
        }
        scene.goes_on();
    }
}
