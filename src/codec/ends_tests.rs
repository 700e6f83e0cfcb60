//! Channel ends in values of every shape: found, numbered, encoded, and found again.

use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use std::sync::Arc;

use facet::Facet;

use super::{
    AsFacet, Codec, DecodeError, EncodeError, End, EndError, Ends, ItemCodec, Pick, PickFacet as _,
    PickPlain as _, Reader, Receiver, Sender, describe, types_hash,
};

/// An end that is sent on, as the service layer might make it.
#[derive(Facet, Debug)]
#[facet(proxy = Sender)]
struct Tx<T> {
    #[facet(opaque)]
    end: Arc<End>,
    #[facet(opaque)]
    items: PhantomData<fn(T)>,
}

/// An end that is received from.
#[derive(Facet, Debug)]
#[facet(proxy = Receiver)]
struct Rx<T> {
    #[facet(opaque)]
    end: Arc<End>,
    #[facet(opaque)]
    items: PhantomData<fn() -> T>,
}

macro_rules! proxied {
    ($($end:ident: $proxy:ident, $sends:literal);*) => {$(
        impl<T> $end<T> {
            fn new() -> Self {
                Self { end: End::new($sends, Arc::new(())), items: PhantomData }
            }
        }

        impl<T> TryFrom<$proxy> for $end<T> {
            type Error = EndError;
            fn try_from(proxy: $proxy) -> Result<Self, EndError> {
                Ok(Self { end: proxy.end(Arc::new("decoded"))?, items: PhantomData })
            }
        }

        impl<T> TryFrom<&$end<T>> for $proxy {
            type Error = EndError;
            fn try_from(end: &$end<T>) -> Result<Self, EndError> {
                Self::of(&end.end)
            }
        }
    )*};
}

proxied!(Tx: Sender, true; Rx: Receiver, false);

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

/// The kinds and numbers of ends.
fn seen(ends: &Ends) -> Vec<(bool, Option<u32>)> {
    ends.iter().map(|end| (end.sends(), end.number())).collect()
}

/// Passes a value on: both sides find ends of these kinds in it, and with the same numbers. Gives back what is decoded.
fn pass<'a, T: Facet<'a>>(value: &T, bytes: &'a mut Vec<u8>, kinds: &str) -> T {
    let codec = AsFacet;
    let mut ends = Ends::new();
    Codec::<T>::ends(codec, value, &mut ends);
    ends.number().expect("passed for the first time");
    let sends: String = ends.iter().map(|end| if end.sends() { 't' } else { 'r' }).collect();
    assert_eq!(sends, kinds);
    codec.encode(value, bytes).expect("encodes");
    let mut from = Reader::new(bytes);
    let back: T = codec.decode(&mut from).expect("decodes");
    from.end().expect("all read");
    let mut found = Ends::new();
    codec.ends(&back, &mut found);
    assert_eq!(seen(&found), seen(&ends));
    for (number, end) in (0..).zip(found.iter()) {
        assert_eq!(end.number(), Some(number));
        assert!(end.keeper().downcast_ref::<&str>().is_some(), "what its type keeps of it comes with it");
    }
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
    let mut ends = Ends::new();
    AsFacet.ends(&half, &mut ends);
    ends.number().expect("passed for the first time");
    assert_eq!(seen(&ends), [(true, Some(0))]);
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
    let mut ends = Ends::new();
    (&&Pick::<u64>::NEW).pick().ends(&7, &mut ends);
    (&&Pick::<Plain>::NEW).pick().ends(&Plain { name: String::new(), more: vec![] }, &mut ends);
    assert!(ends.is_empty());
}

fn encode<T: Facet<'static>>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    AsFacet.encode(value, &mut bytes).map(|()| bytes)
}

#[test]
fn an_end_is_passed_on_once() {
    let once = tx();
    let mut ends = Ends::new();
    AsFacet.ends(&once, &mut ends);
    AsFacet.ends(&once, &mut ends);
    assert_eq!(ends.number(), Err(EndError::Taken), "not twice in one message");
    assert_eq!(ends.number(), Err(EndError::Taken), "and not in two");
    let back = passes!(Tx<u8>, "t": tx());
    let mut ends = Ends::new();
    AsFacet.ends(&back, &mut ends);
    assert_eq!(ends.number(), Err(EndError::Taken), "nor to a third when it came from another");
}

#[test]
fn an_end_that_nobody_looked_for_is_not_encoded() {
    let error = encode(&tx()).expect_err("it has no number");
    assert!(error.to_string().contains(&EndError::Misplaced.to_string()), "{error}");
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
    let mut ends = Ends::new();
    AsFacet.ends(&vec![hides.clone()], &mut ends);
    assert!(ends.is_empty());
    let error = encode(&vec![hides]).expect_err("it stands for something with ends");
    assert!(matches!(error, EncodeError::Ends(EndError::Hidden { ty: "Hides" })), "{error:?}");
    let decoded: Result<Vec<Hides>, _> = AsFacet.decode(&mut Reader::new(&[1, 0]));
    assert!(matches!(decoded, Err(DecodeError::Ends(EndError::Hidden { .. }))), "{decoded:?}");
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
fn items_have_no_ends() {
    let codec = ItemCodec::<Many>::new();
    let encoded = codec.encode(&Many::None, &mut Vec::new());
    assert!(matches!(encoded, Err(EncodeError::Ends(EndError::Misplaced))), "{encoded:?}");
    assert!(matches!(codec.decode(&[0]), Err(DecodeError::Ends(EndError::Misplaced))));
}

#[test]
fn descriptions_tell_ends_and_their_items() {
    assert_eq!(describe(<Tx<u64>>::SHAPE), "tx<u64>");
    assert_eq!(describe(<Rx<Vec<Pair>>>::SHAPE), "rx<[Pair{name: str, up: tx<u8>, down: rx<str>?}]>");
    assert_eq!(describe(<Tree>::SHAPE), "Tree{children: [#0], out: tx<#0>?}");
    let hash = types_hash(&[<Tx<u8>>::SHAPE], <()>::SHAPE, None);
    assert_ne!(hash, types_hash(&[<Rx<u8>>::SHAPE], <()>::SHAPE, None));
    assert_ne!(hash, types_hash(&[<Tx<u16>>::SHAPE], <()>::SHAPE, None));
}
