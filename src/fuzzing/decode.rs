//! Values of several types out of any bytes.

use std::collections::BTreeMap;

use facet::Facet;

use crate::codec::{
    AsFacet, Codec as _, DecodeError, HandleError, Handles, ItemCodec, Pick, PickFacet as _, PickPlain as _,
    Reader,
};
use crate::service::{Rx, Tx};

/// Whether `$bytes` are a whole `$type`. If they are, encoding it gives what the reference encodes, and decoding
/// that gives the value again.
macro_rules! is_whole {
    ($type:ty, $bytes:expr) => {{
        let codec = (&&Pick::<$type>::NEW).pick();
        let mut from = Reader::new($bytes);
        let decoded: Result<$type, DecodeError> = codec.decode(&mut from);
        match (decoded, from.end()) {
            (Ok(value), Ok(())) => {
                let mut again = Vec::new();
                codec.encode(&value, &mut again).expect("what was decoded can be encoded");
                assert_eq!(again, facet_postcard::to_vec(&value).expect("so it can by the reference"));
                let size: Option<usize> = codec.size(&value);
                // Codecs that know the size take the one encoding that they write.
                assert!(size.is_none_or(|size| size == again.len() && again == $bytes), "{value:?}");
                let mut from = Reader::new(&again);
                let back: $type = codec.decode(&mut from).expect("what was encoded can be decoded");
                from.end().expect("and nothing is left");
                assert_eq!(format!("{back:?}"), format!("{value:?}"));
                true
            }
            (Ok(_), Err(DecodeError::Trailing { left })) => {
                assert_ne!(left, 0);
                false
            }
            (Ok(_), Err(error)) => panic!("{error}"),
            (Err(_), _) => false,
        }
    }};
}

/// Whether `$bytes` are a whole item of `$type`: they are if they are a value of that type. Encoding it gives them again.
macro_rules! is_item {
    ($type:ty, $bytes:expr) => {{
        let mut from = Reader::new($bytes);
        let decoded: Result<$type, DecodeError> = (&&Pick::<$type>::NEW).pick().decode(&mut from);
        let expected = decoded.is_ok() && from.end().is_ok();
        let codec = ItemCodec::<$type>::new();
        let item = codec.decode($bytes);
        assert_eq!(item.is_ok(), expected, "{item:?}");
        if let Ok(item) = &item {
            let mut again = Vec::new();
            codec.encode(item, &mut again).expect("what was decoded can be encoded");
            assert_eq!(again, $bytes);
            assert_eq!(codec.size(item), Some(again.len()));
        }
        item.is_ok()
    }};
}

/// Whether `bytes` are a whole value with channel ends. If they are, each end has a number, and encoding it gives a value
/// whose ends have the same.
fn has_ends(bytes: &[u8]) -> bool {
    let numbers = |bytes| {
        let mut from = Reader::new(bytes);
        let value: Vec<Ended> = AsFacet.decode(&mut from).ok()?;
        from.end().ok()?;
        let mut handles = Handles::new();
        AsFacet.handles(&value, &mut handles);
        let count: usize = value.iter().map(|ended| 1 + usize::from(ended.rx.is_some())).sum();
        let ends = handles.ends();
        assert_eq!(ends.len(), count);
        let again = handles.number().err();
        assert!(ends.is_empty() || again == Some(HandleError::Taken), "they came in a message");
        Some((ends.iter().map(|end| end.number().expect("one was decoded")).collect::<Vec<_>>(), value))
    };
    let Some((found, value)) = numbers(bytes) else { return false };
    let mut again = Vec::new();
    AsFacet.encode(&value, &mut again).expect("what was decoded can be encoded");
    assert_eq!(numbers(&again).map(|(numbers, _)| numbers), Some(found));
    true
}

/// A value: one byte says its type, the rest are to be it. Gives back whether they are.
#[allow(clippy::needless_borrow, reason = "the references choose the codec")]
pub fn decode(data: &[u8]) -> bool {
    let Some((&selector, bytes)) = data.split_first() else { return false };
    match selector {
        0 => is_whole!(u64, bytes),
        1 => is_whole!(i16, bytes),
        2 => is_whole!(u128, bytes),
        3 => is_whole!(f64, bytes),
        4 => is_whole!(bool, bytes),
        5 => is_whole!(char, bytes),
        6 => is_whole!(&str, bytes),
        7 => is_whole!(&[u8], bytes),
        8 => is_whole!([u8; 4], bytes),
        9 => is_whole!(Vec<u64>, bytes),
        10 => is_whole!(Vec<String>, bytes),
        11 => is_whole!((u8, String, Option<bool>), bytes),
        12 => is_whole!(Vec<Nothing>, bytes),
        13 => is_whole!(Point, bytes),
        14 => is_whole!(Form, bytes),
        15 => is_whole!(Vec<Point>, bytes),
        16 => is_whole!(Result<u32, String>, bytes),
        17 => is_whole!(BTreeMap<String, u32>, bytes),
        18 => is_whole!(Chain, bytes),
        19 => is_whole!(Tree, bytes),
        20 => has_ends(bytes),
        21 => is_item!((u32, String), bytes),
        22 => is_item!([[f32; 2]; 3], bytes),
        23 => is_item!(Vec<i64>, bytes),
        _ => false,
    }
}

#[derive(Facet, Debug, PartialEq)]
struct Point {
    x: i32,
    label: String,
    tags: Vec<u16>,
}

#[derive(Facet, Debug, PartialEq)]
#[repr(u8)]
enum Form {
    Empty,
    Circle(f64),
    Square { side: u32, at: Option<Point> },
}

/// With one channel end, or two.
#[derive(Facet, Debug)]
struct Ended {
    tx: Tx<u64>,
    rx: Option<Rx<Point>>,
}

/// Of which a few bytes could announce any number.
#[derive(Facet, Debug)]
struct Nothing;

/// As deep as the bytes say.
#[derive(Facet, Debug)]
struct Chain {
    next: Option<Box<Self>>,
}

/// As deep and as wide.
#[derive(Facet, Debug)]
struct Tree {
    value: u64,
    children: Vec<Self>,
}
