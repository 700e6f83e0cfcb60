//! Every codec of items agrees with reflection, and each type has the one that is meant for it.

use std::fmt::Debug;

use facet::Facet;

use super::{ItemCodec, Way};
use crate::codec::{DecodeError, EncodeError, Reader, reflect};

/// Which way items of a type go.
fn way<T: Facet<'static>>() -> &'static str {
    match Way::<T>::find() {
        Way::Listed(_) => "listed",
        Way::Copied(_) => "copied",
        Way::Reflected => "reflected",
        Way::Passing => "passing",
        Way::Refused => "refused",
    }
}

/// Encodes and decodes as reflection does; what is cut off or has more behind it is no item.
#[track_caller]
fn agrees<T: Facet<'static> + Debug>(expected: &str, items: impl IntoIterator<Item = T>) {
    assert_eq!(way::<T>(), expected);
    let codec = ItemCodec::<T>::new();
    for item in items {
        let (mut bytes, mut reference) = (Vec::new(), Vec::new());
        codec.encode(&item, &mut bytes).expect("encodes");
        reflect::encode(&item, &mut reference).expect("encodes");
        assert_eq!(bytes, reference, "{item:?}");
        assert!(codec.size(&item).is_none_or(|size| size == bytes.len()), "{item:?}");
        assert_eq!(codec.size(&item).is_some(), expected != "reflected");
        let back = codec.decode(&bytes).expect("decodes");
        assert_eq!(format!("{back:?}"), format!("{item:?}"));
        let reflected: T = reflect::decode_owned(&mut Reader::new(&bytes)).expect("decodes");
        assert_eq!(format!("{back:?}"), format!("{reflected:?}"));
        for shorter in 0..bytes.len() {
            assert!(codec.decode(&bytes[..shorter]).is_err(), "{item:?} cut to {shorter}");
        }
        bytes.push(0);
        assert!(matches!(codec.decode(&bytes), Err(DecodeError::Trailing { left: 1 })), "{item:?}");
    }
}

#[derive(Facet, Debug, Clone, Copy, PartialEq)]
struct Sample {
    value: f64,
    weight: f32,
    tag: [u8; 4],
}

#[derive(Facet, Debug, Clone, Copy)]
struct Gap {
    tag: u8,
    value: f64,
}

#[test]
fn listed_types_have_their_built_in_codec() {
    agrees("listed", [()]);
    agrees("listed", [false, true]);
    agrees("listed", [0u8, 128, 255]);
    agrees("listed", [i64::MIN, -1, 300]);
    agrees("listed", [u128::MAX, 0]);
    agrees("listed", [f32::MIN, f32::NAN]);
    agrees("listed", [String::new(), "grün".to_owned()]);
    agrees("listed", [vec![], vec![7u8; 300]]);
    agrees("listed", [vec![], vec![u64::MAX, 1]]);
    agrees("listed", [None, Some(300u32)]);
    agrees("listed", [(1u64, u64::MAX)]);
    agrees("listed", [(1.5f64, -2.5f64, f64::INFINITY)]);
    agrees("listed", [(7u32, "seven".to_owned())]);
    agrees("listed", [("key".to_owned(), vec![1u8, 2])]);
    agrees("listed", [vec![vec![1u8, 2], vec![]]]);
}

#[test]
fn types_that_are_encoded_as_they_lie_in_memory_are_copied() {
    // Reflection decodes arrays of up to 63 elements.
    agrees("copied", [[0u8; 63], std::array::from_fn(|at| at as u8)]);
    let codec = ItemCodec::<[u8; 4096]>::new();
    let mut bytes = Vec::new();
    codec.encode(&[7; 4096], &mut bytes).expect("encodes");
    assert_eq!(bytes, [7; 4096]);
    assert_eq!(codec.decode(&bytes).expect("decodes"), [7; 4096]);
    agrees("copied", [[0u8; 0]]);
    agrees("copied", [[-1i8, 2, 3]]);
    agrees("copied", [[[1.0f64, -0.0, f64::NAN, f64::MAX]; 4]]);
    agrees("copied", [[1u8; 3]].map(|tag| (tag, 4u8)));
    #[derive(Facet, Debug)]
    #[repr(C)]
    struct InOrder {
        sample: [f32; 2],
        tags: (u8, i8),
        bytes: [u8; 2],
    }
    agrees("copied", [InOrder { sample: [1.0, f32::NAN], tags: (1, -1), bytes: [2, 3] }]);
    #[derive(Facet, Debug)]
    #[facet(transparent)]
    struct Key([u8; 32]);
    agrees("copied", [Key([9; 32])]);
    // Whether the compiler has put these in order is its own business.
    agrees(way::<Sample>(), [Sample { value: 1.5, weight: 2.5, tag: *b"abcd" }]);
}

#[test]
fn all_others_are_reflected() {
    agrees("reflected", [[1u32, 300]]);
    agrees("reflected", [[true, false]]);
    agrees("reflected", [Gap { tag: 1, value: 2.0 }]);
    agrees("reflected", [vec![[1u8, 2], [3, 4]]]);
    agrees("reflected", [Ok(1u8), Err("no".to_owned())]);
    #[derive(Facet)]
    #[repr(C)]
    struct Cached {
        bytes: [u8; 4],
        #[facet(skip, default)]
        hits: [u8; 4],
    }
    assert_eq!(way::<Cached>(), "reflected");
    #[derive(Facet, Debug)]
    #[repr(C)]
    struct Backwards {
        aligned: [u8; 2],
        number: f32,
    }
    agrees("reflected", [Backwards { aligned: [1, 2], number: 1.0 }]);
    #[derive(Facet, Debug)]
    #[repr(C)]
    struct Padded {
        number: f32,
        short: u8,
    }
    agrees("reflected", [Padded { number: 1.0, short: 2 }]);
}

#[test]
fn what_says_which_values_are_allowed_is_asked() {
    #[derive(Facet, Debug)]
    #[facet(invariants = Even::is_even)]
    struct Even {
        bytes: [u8; 1],
    }
    impl Even {
        fn is_even(&self) -> bool {
            self.bytes[0].is_multiple_of(2)
        }
    }
    assert_eq!(way::<Even>(), "reflected");
    let codec = ItemCodec::<Even>::new();
    assert_eq!(codec.decode(&[2]).expect("even").bytes, [2]);
    assert!(matches!(codec.decode(&[3]), Err(DecodeError::Shape(_))));
}

#[test]
fn a_type_without_an_encoding_says_so() {
    let codec = ItemCodec::<std::collections::BTreeSet<()>>::new();
    let encoded = codec.encode(&[()].into(), &mut Vec::new());
    assert!(matches!(encoded, Err(EncodeError::Elements(_))), "{encoded:?}");
    assert!(matches!(codec.decode(&[1]), Err(DecodeError::Elements(_))));
}
