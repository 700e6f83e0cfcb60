//! Channels that a hostile peer declares, and items that are none: its call or its item fails, and nothing else does.

use transom::{Rx, Tx};

use crate::raw::{Frame, bind, call, flags, kind, options};
use crate::scene::{Case, Duel, Scene};

pub const ITEM: u8 = 16;
const END: u8 = 17;
const RESET: u8 = 18;
/// The flag of an item frame with several.
pub const BATCH: u8 = 4;

/// A message's sender sends on the channel, or receives from it.
pub const SENDS: u8 = 0;
const RECEIVES: u8 = 1;

/// Takes channels.
#[transom::service]
pub trait Piping {
    /// One of each kind.
    async fn pass(&self, out: Tx<u64>, numbers: Rx<u64>) -> bool;
    /// What is received, in words.
    async fn list(&self, numbers: Rx<u64>) -> Vec<String>;
}

/// A [`Piping`].
pub struct Pipe;

impl Piping for Pipe {
    async fn pass(&self, _: Tx<u64>, _: Rx<u64>) -> bool {
        true
    }

    async fn list(&self, mut numbers: Rx<u64>) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            match numbers.recv().await {
                Ok(Some(number)) => seen.push(number.to_string()),
                Ok(None) => return seen,
                Err(error) if error.is_final() => {
                    seen.push(error.to_string());
                    return seen;
                }
                Err(error) => seen.push(error.to_string()),
            }
        }
    }
}

/// Options that declare channels, by ID and flow; each may be a window behind.
pub fn declaring(channels: &[(u64, u8)]) -> Vec<u8> {
    let mut bytes = options(u64::MAX, &[0, 0]);
    bytes.truncate(bytes.len() - 2);
    bytes.extend_from_slice(&u16::try_from(channels.len()).expect("a few").to_le_bytes());
    for (id, flow) in channels {
        bytes.extend_from_slice(&id.to_le_bytes());
        bytes.push(*flow);
        bytes.extend_from_slice(&u32::MAX.to_le_bytes());
        bytes.extend_from_slice(&0u16.to_le_bytes());
        bytes.extend_from_slice(&(64u32 << 10).to_le_bytes());
    }
    let length = u32::try_from(bytes.len() - 4).expect("short");
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// Frames until the one that answers request `id`, which comes last.
pub fn until_answered(duel: &mut Duel, id: u64) -> Vec<Frame> {
    let mut frames = Vec::new();
    loop {
        let frame = duel.theirs.receive().expect("an answer");
        let answers = matches!(frame.kind, kind::RESPONSE | kind::FAILURE) && frame.id == id;
        frames.push(frame);
        if answers {
            return frames;
        }
    }
}

#[test]
fn ends_that_do_not_fit_their_list_are_an_error_of_their_call() {
    let declarations: [&[u8]; 3] = [&[RECEIVES, SENDS], &[RECEIVES], &[]];
    // What is declared, and the numbers of the ends, with whatever follows.
    let attacks: [(&[u8], &[u8]); 9] = [
        (declarations[2], &[0, 1]),
        (declarations[1], &[0, 1]),
        (declarations[0], &[0, 0]),
        (declarations[0], &[1, 1]),
        (declarations[0], &[1, 0]),
        (declarations[0], &[0, 2]),
        (declarations[0], &[0, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        (declarations[0], &[0, 1, 0]),
        (declarations[0], &[0]),
    ];
    for case in Case::all() {
        let scene = Scene::new(case);
        let mut duel = scene.duel();
        let (mut request, mut channel) = (case.role.first_id(), case.role.first_id());
        assert!(duel.theirs.send(&bind::<PipingClient>("pass")));
        let good: (&[u8], &[u8]) = (declarations[0], &[0, 1]);
        for (flows, numbers) in attacks.into_iter().chain([good]) {
            println!("{case}: {flows:?}, {numbers:?}");
            let channels: Vec<(u64, u8)> = (channel..).step_by(2).zip(flows.iter().copied()).collect();
            let arguments = [declaring(&channels), numbers.to_vec()].concat();
            let calling = call::<PipingClient>("pass", request, arguments).with_flags(flags::OPTIONS);
            assert!(duel.theirs.send(&calling));
            let mut frames = until_answered(&mut duel, request);
            let answer = frames.pop().expect("the answer");
            let is_good = (flows, numbers) == good;
            assert_eq!(answer.kind, if is_good { kind::RESPONSE } else { kind::FAILURE });
            // Whatever it has come to, this side has let go of each channel, or does so now.
            let mut left: Vec<u64> = channels.iter().map(|&(id, _)| id).collect();
            left.retain(|id| {
                !frames.iter().any(|frame| matches!(frame.kind, END | RESET) && frame.id == *id)
            });
            while !left.is_empty() {
                let frame = duel.theirs.receive().expect("the last frame of a channel");
                assert!(matches!(frame.kind, END | RESET), "{frame:?}");
                left.retain(|&id| id != frame.id);
            }
            request += 2;
            channel += 2 * flows.len() as u64;
        }
        drop(duel);
        scene.goes_on();
    }
}

#[test]
fn items_that_are_none_are_skipped() {
    let one = |payload: &[u8]| (0, 1, payload.to_vec());
    let batch = |count: u64, parts: &[(u32, &[u8])]| {
        let part = |&(length, bytes): &(u32, &[u8])| [&length.to_le_bytes()[..], bytes].concat();
        (BATCH, count, parts.iter().flat_map(part).collect::<Vec<u8>>())
    };
    let cut = "an item does not fit its type: the bytes end inside a value";
    let more = |left: usize| format!("an item does not fit its type: {left} bytes too many");
    let overlong = "an item does not fit its type: a number is overlong or too large for its type";
    // Flags, count and payload of a frame, and what is said of what is in it.
    let sent = [
        (one(&[1]), vec!["1".to_owned()]),
        (one(&[]), vec![cut.to_owned()]),
        (one(&[0x80, 0]), vec![overlong.to_owned()]),
        (one(&[2, 0, 0]), vec![more(2)]),
        (batch(3, &[(1, &[3]), (1, &[4]), (1, &[5])]), ["3", "4", "5"].map(str::to_owned).to_vec()),
        (batch(3, &[(1, &[3]), (2, &[4, 0]), (1, &[5])]), vec!["3".to_owned(), more(1), "5".to_owned()]),
        // From the first length that lies on nothing is known of the others.
        (batch(3, &[(1, &[6]), (9, &[7]), (1, &[8])]), vec!["6".to_owned(), cut.to_owned()]),
        (batch(2, &[(u32::MAX, &[7]), (1, &[8])]), vec![cut.to_owned()]),
        (batch(2, &[(1, &[6]), (1, &[7]), (1, &[8])]), vec!["6".to_owned(), "7".to_owned()]),
        (batch(1, &[(1, &[9])]), vec!["9".to_owned()]),
        (one(&[10]), vec!["10".to_owned()]),
    ];
    for case in Case::all() {
        let scene = Scene::new(case);
        let mut duel = scene.duel();
        let id = case.role.first_id();
        assert!(duel.theirs.send(&bind::<PipingClient>("list")));
        let arguments = [declaring(&[(id, SENDS)]), vec![0]].concat();
        let calling = call::<PipingClient>("list", id, arguments).with_flags(flags::OPTIONS);
        assert!(duel.theirs.send(&calling));
        let mut expected = Vec::new();
        for ((flags, count, payload), said) in &sent {
            let item = Frame { method: *count, ..Frame::new(ITEM, payload.clone()) };
            assert!(duel.theirs.send(&item.with_id(id).with_flags(*flags)));
            expected.extend(said.iter().cloned());
        }
        assert!(duel.theirs.send(&Frame::new(END, [0, 0]).with_id(id)));
        let answer = until_answered(&mut duel, id).pop().expect("the answer");
        assert_eq!(answer.kind, kind::RESPONSE);
        let mut encoded = vec![u8::try_from(expected.len()).expect("a few")];
        for text in &expected {
            encoded.push(u8::try_from(text.len()).expect("short"));
            encoded.extend_from_slice(text.as_bytes());
        }
        assert_eq!(
            String::from_utf8_lossy(&answer.payload),
            String::from_utf8_lossy(&encoded),
            "{case}: {expected:#?}"
        );
        drop(duel);
        scene.goes_on();
    }
}
