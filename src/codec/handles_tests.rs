//! Handles in values of every shape: found, numbered, encoded, and found again.

use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use std::sync::Arc;

use facet::Facet;

use super::{
    AsFacet, Codec, DecodeError, EncodeError, FileDescriptor, Handle, HandleError, Handles, ItemCodec, Kind,
    Pick, PickFacet as _, PickPlain as _, Reader, Receiver, Sender, describe, types_hash,
};

/// An end that is sent on, as the service layer might make it.
#[derive(Facet, Debug)]
#[facet(proxy = Sender)]
struct Tx<T> {
    #[facet(opaque)]
    end: Arc<Handle>,
    #[facet(opaque)]
    items: PhantomData<fn(T)>,
}

/// A descriptor, as the service layer might keep it.
#[derive(Facet, Debug)]
#[facet(proxy = FileDescriptor)]
struct Fd {
    #[facet(opaque)]
    handle: Arc<Handle>,
}

impl Fd {
    fn new() -> Self {
        Self { handle: Handle::new(Kind::Descriptor, Arc::new(())) }
    }
}

impl TryFrom<FileDescriptor> for Fd {
    type Error = HandleError;
    fn try_from(proxy: FileDescriptor) -> Result<Self, HandleError> {
        Ok(Self { handle: proxy.handle(Arc::new("decoded"))? })
    }
}

impl TryFrom<&Fd> for FileDescriptor {
    type Error = HandleError;
    fn try_from(fd: &Fd) -> Result<Self, HandleError> {
        Self::of(&fd.handle)
    }
}

/// An end that is received from.
#[derive(Facet, Debug)]
#[facet(proxy = Receiver)]
struct Rx<T> {
    #[facet(opaque)]
    end: Arc<Handle>,
    #[facet(opaque)]
    items: PhantomData<fn() -> T>,
}

macro_rules! proxied {
    ($($end:ident: $proxy:ident);*) => {$(
        impl<T> $end<T> {
            fn new() -> Self {
                Self { end: Handle::new(Kind::$proxy, Arc::new(())), items: PhantomData }
            }
        }

        impl<T> TryFrom<$proxy> for $end<T> {
            type Error = HandleError;
            fn try_from(proxy: $proxy) -> Result<Self, HandleError> {
                Ok(Self { end: proxy.handle(Arc::new("decoded"))?, items: PhantomData })
            }
        }

        impl<T> TryFrom<&$end<T>> for $proxy {
            type Error = HandleError;
            fn try_from(end: &$end<T>) -> Result<Self, HandleError> {
                Self::of(&end.end)
            }
        }
    )*};
}

proxied!(Tx: Sender; Rx: Receiver);

#[derive(Facet, Debug)]
struct Pair {
    name: String,
    up: Tx<u8>,
    down: Option<Rx<String>>,
}

#[derive(Facet, Debug)]
#[repr(u8)]
#[allow(dead_code, reason = "fields are read by reflection")]
enum Many {
    None,
    One(Tx<u8>),
    Two(u8, Tx<u8>, Rx<u8>),
    Named { text: String, last: Rx<u16>, pair: Box<Pair> },
}

/// Encoded by reflection, and without handles.
#[derive(Facet, Debug)]
struct Named {
    name: String,
}

#[derive(Facet, Debug)]
struct Tree {
    children: Vec<Self>,
    out: Option<Tx<Self>>,
}

fn tx() -> Tx<u8> {
    Tx::new()
}

fn pair(name: &str) -> Pair {
    Pair { name: name.to_owned(), up: tx(), down: Some(Rx::new()) }
}

/// The kinds and numbers of handles.
fn seen(handles: &[Arc<Handle>]) -> Vec<(Kind, Option<u32>)> {
    handles.iter().map(|handle| (handle.kind(), handle.number())).collect()
}

/// Passes a value on: both sides find handles of these kinds in it, and with the same numbers. Gives back what is decoded.
fn pass<'a, T: Facet<'a>>(value: &T, bytes: &'a mut Vec<u8>, kinds: &str) -> T {
    let codec = AsFacet;
    let mut handles = Handles::new();
    Codec::<T>::handles(codec, value, &mut handles);
    let numbered = handles.number().expect("passed for the first time");
    let all = || handles.ends().iter().chain(handles.descriptors());
    let letters: String = all()
        .map(|handle| match handle.kind() {
            Kind::Sender => 't',
            Kind::Receiver => 'r',
            Kind::Descriptor => 'd',
        })
        .collect();
    assert_eq!(letters, kinds);
    codec.encode(value, bytes).expect("encodes");
    let mut from = Reader::new(bytes);
    let back: T = codec.decode(&mut from).expect("decodes");
    from.end().expect("all read");
    let mut found = Handles::new();
    codec.handles(&back, &mut found);
    assert_eq!(seen(found.ends()), seen(handles.ends()));
    assert_eq!(seen(found.descriptors()), seen(handles.descriptors()));
    for (number, handle) in (0..).zip(found.ends()).chain((0..).zip(found.descriptors())) {
        assert_eq!(handle.number(), Some(number));
        assert!(handle.keeper().downcast_ref::<&str>().is_some(), "what its type keeps of it comes with it");
    }
    drop(numbered);
    assert!(handles.descriptors().iter().all(|handle| handle.number().is_none()), "to be passed on again");
    back
}

macro_rules! passes {
    ($type:ty, $kinds:literal: $value:expr) => {
        pass::<$type>(&$value, &mut Vec::new(), $kinds)
    };
}

#[test]
fn ends_are_found_wherever_they_are() {
    passes!(Tx<u8>, "t": tx());
    passes!(Rx<Pair>, "r": Rx::new());
    let back = passes!(Pair, "tr": pair("both"));
    assert_eq!(back.name, "both");
    passes!((u8, Tx<u8>, Rx<u8>), "tr": (1, tx(), Rx::new()));
    passes!(Option<Tx<u8>>, "": None);
    passes!(Option<Tx<u8>>, "t": Some(tx()));
    assert!(passes!(Result<Tx<u8>, Rx<u8>>, "t": Ok(tx())).is_ok());
    assert!(passes!(Result<Tx<u8>, Rx<u8>>, "r": Err(Rx::new())).is_err());
    passes!(Vec<Tx<u8>>, "ttt": vec![tx(), tx(), tx()]);
    passes!([Rx<u8>; 2], "rr": [Rx::new(), Rx::new()]);
    passes!(Box<Tx<u8>>, "t": Box::new(tx()));
    passes!(Arc<Pair>, "tr": Arc::new(pair("shared")));
    passes!(Vec<Option<Box<Pair>>>, "trtr": vec![Some(Box::new(pair("a"))), None, Some(Box::new(pair("b")))]);
    passes!(BTreeMap<String, Tx<u8>>, "tt": [("a".to_owned(), tx()), ("b".to_owned(), tx())].into());
    passes!(HashMap<u8, Vec<Pair>>, "trtr": [(1, vec![pair("x"), pair("y")])].into());
}

#[test]
fn ends_are_found_in_every_field_of_every_case() {
    passes!(Many, "": Many::None);
    passes!(Many, "t": Many::One(tx()));
    passes!(Many, "tr": Many::Two(7, tx(), Rx::new()));
    let named = Many::Named { text: "n".to_owned(), last: Rx::new(), pair: Box::new(pair("p")) };
    passes!(Vec<Many>, "trrtr": vec![Many::Two(1, tx(), Rx::new()), Many::None, named]);
}

#[test]
fn a_type_that_contains_itself_is_walked_as_far_as_its_value_goes() {
    let leaf = || Tree { children: vec![], out: Some(Tx::new()) };
    let branch =
        Tree { children: vec![leaf(), Tree { children: vec![leaf()], out: None }], out: Some(Tx::new()) };
    let back = passes!(Tree, "ttt": branch);
    assert_eq!(back.children[1].children.len(), 1);
}

#[test]
fn what_is_not_encoded_is_not_passed_on() {
    #[derive(Facet, Debug)]
    struct Half {
        passed: Tx<u8>,
        #[facet(skip, default = tx())]
        kept: Tx<u8>,
    }
    let half = Half { passed: tx(), kept: tx() };
    let mut ends = Handles::new();
    AsFacet.handles(&half, &mut ends);
    drop(ends.number().expect("passed for the first time"));
    assert_eq!(seen(ends.ends()), [(Kind::Sender, Some(0))]);
    assert_eq!((half.passed.end.number(), half.kept.end.number()), (Some(0), None));
    assert_eq!(encode(&half).expect("encodes"), [0]);
}

#[test]
#[allow(clippy::needless_borrow)]
fn types_without_ends_cost_no_walk() {
    #[derive(Facet, Debug)]
    struct Plain {
        name: String,
        more: Vec<Self>,
    }
    let walk = super::known::known::<EncodeError>(<Plain>::SHAPE).expect("fit");
    assert!(!walk.leads_somewhere());
    assert!(super::known::known::<EncodeError>(<Tree>::SHAPE).expect("fit").leads_somewhere());
    let mut ends = Handles::new();
    (&&Pick::<u64>::NEW).pick().handles(&7, &mut ends);
    (&&Pick::<Plain>::NEW).pick().handles(&Plain { name: String::new(), more: vec![] }, &mut ends);
    assert!(ends.is_empty());
}

fn encode<T: Facet<'static>>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    AsFacet.encode(value, &mut bytes).map(|()| bytes)
}

#[test]
fn an_end_is_passed_on_once() {
    let once = tx();
    let mut ends = Handles::new();
    AsFacet.handles(&once, &mut ends);
    AsFacet.handles(&once, &mut ends);
    assert_eq!(ends.number().err(), Some(HandleError::Taken), "not twice in one message");
    assert_eq!(ends.number().err(), Some(HandleError::Taken), "and not in two");
    let back = passes!(Tx<u8>, "t": tx());
    let mut ends = Handles::new();
    AsFacet.handles(&back, &mut ends);
    assert_eq!(ends.number().err(), Some(HandleError::Taken), "nor to a third when it came from another");
}

#[test]
fn an_end_that_nobody_looked_for_is_not_encoded() {
    let error = encode(&tx()).expect_err("it has no number");
    assert!(error.to_string().contains(&HandleError::Misplaced.to_string()), "{error}");
}

#[test]
fn an_end_that_cannot_be_found_is_not_encoded() {
    #[derive(Facet, Debug, Clone)]
    #[facet(proxy = Stand)]
    struct Hides(Arc<Tx<u8>>);
    #[derive(Facet, Debug)]
    struct Stand(Arc<Tx<u8>>);
    impl From<Stand> for Hides {
        fn from(stand: Stand) -> Self {
            Self(stand.0)
        }
    }
    impl From<&Hides> for Stand {
        fn from(hides: &Hides) -> Self {
            Self(Arc::clone(&hides.0))
        }
    }
    let hides = Hides(Arc::new(tx()));
    let mut ends = Handles::new();
    AsFacet.handles(&vec![hides.clone()], &mut ends);
    assert!(ends.is_empty());
    let error = encode(&vec![hides]).expect_err("it stands for something with ends");
    assert!(matches!(error, EncodeError::Handles(HandleError::Hidden { ty: "Hides" })), "{error:?}");
    let decoded: Result<Vec<Hides>, _> = AsFacet.decode(&mut Reader::new(&[1, 0]));
    assert!(matches!(decoded, Err(DecodeError::Handles(HandleError::Hidden { .. }))), "{decoded:?}");
}

#[test]
fn numbers_that_no_end_has_are_refused() {
    for bytes in [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0x80, 0x80, 0x80, 0x80, 0x10], &[0x80]] {
        let decoded: Result<Tx<u8>, _> = AsFacet.decode(&mut Reader::new(bytes));
        assert!(matches!(decoded, Err(DecodeError::Shape(_))), "{bytes:?}: {decoded:?}");
    }
    let last: Result<Rx<u8>, _> = AsFacet.decode(&mut Reader::new(&[0xfe, 0xff, 0xff, 0xff, 0x0f]));
    assert_eq!(last.expect("as large as can be").end.number(), Some(u32::MAX - 1));
}

#[test]
fn descriptors_are_found_beside_ends_and_numbered_by_themselves() {
    #[derive(Facet, Debug)]
    struct Open {
        name: String,
        file: Option<Fd>,
        out: Tx<u8>,
        more: BTreeMap<u8, Vec<Fd>>,
    }
    passes!(Fd, "d": Fd::new());
    passes!([Option<Box<Fd>>; 3], "dd": [Some(Box::new(Fd::new())), None, Some(Box::new(Fd::new()))]);
    let more = [(1, vec![Fd::new()]), (2, vec![]), (3, vec![Fd::new(), Fd::new()])].into();
    let open = Open { name: "open".to_owned(), file: Some(Fd::new()), out: tx(), more };
    let back = passes!(Open, "tdddd": open);
    assert_eq!((back.name.as_str(), back.more[&3].len()), ("open", 2));
}

#[test]
fn a_descriptor_is_encoded_in_one_message_at_a_time() {
    let shared = Arc::new(Fd::new());
    let handles = |value: &Vec<Arc<Fd>>| {
        let mut handles = Handles::new();
        AsFacet.handles(value, &mut handles);
        handles
    };
    let one = handles(&vec![Arc::new(Fd::new()), Arc::clone(&shared)]);
    let other = handles(&vec![Arc::clone(&shared)]);
    let numbered = one.number().expect("nobody encodes it");
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| {
            let _numbered = other.number().expect("in the end");
            shared.handle.number()
        });
        assert_eq!(shared.handle.number(), Some(1));
        drop(numbered);
        assert_eq!(waits.join().expect("no panic"), Some(0));
    });
    assert_eq!(shared.handle.number(), None);
    let twice = handles(&vec![Arc::clone(&shared), Arc::new(Fd::new()), Arc::clone(&shared)]);
    assert_eq!(twice.number().err(), Some(HandleError::Twice));
    assert_eq!(shared.handle.number(), None);
}

#[test]
fn items_have_no_ends_but_descriptors() {
    let descriptors = ItemCodec::<Option<Fd>>::new();
    assert!(descriptors.passes());
    let (item, mut handles) = (Some(Fd::new()), Handles::new());
    descriptors.handles(&item, &mut handles);
    assert_eq!((handles.ends().len(), handles.descriptors().len()), (0, 1));
    assert!(!ItemCodec::<u64>::new().passes() && !ItemCodec::<Named>::new().passes());

    let codec = ItemCodec::<Many>::new();
    let encoded = codec.encode(&Many::None, &mut Vec::new());
    assert!(matches!(encoded, Err(EncodeError::Handles(HandleError::Misplaced))), "{encoded:?}");
    assert!(matches!(codec.decode(&[0]), Err(DecodeError::Handles(HandleError::Misplaced))));
}

#[test]
fn descriptions_tell_handles() {
    assert_eq!(describe(<Tx<u64>>::SHAPE), "tx<u64>");
    assert_eq!(describe(<Vec<Fd>>::SHAPE), "[fd]");
    assert_eq!(describe(<Rx<Vec<Pair>>>::SHAPE), "rx<[Pair{name: str, up: tx<u8>, down: rx<str>?}]>");
    assert_eq!(describe(<Tree>::SHAPE), "Tree{children: [#0], out: tx<#0>?}");
    let hash = types_hash(&[<Tx<u8>>::SHAPE], <()>::SHAPE, None);
    assert_ne!(hash, types_hash(&[<Rx<u8>>::SHAPE], <()>::SHAPE, None));
    assert_ne!(hash, types_hash(&[<Tx<u16>>::SHAPE], <()>::SHAPE, None));
}
