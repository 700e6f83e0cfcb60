//! What is encoded, what is refused, and that both codecs agree with the reference.

use facet::Facet;

use super::bytes::varint_length;
use super::{
    Body, Codec, DecodeError, Encode, EncodeError, Handles, Message, Pick, PickFacet as _, PickPlain as _,
};
use super::{Reader, Sink, describe, types_hash};

#[derive(Facet, Debug, Clone, PartialEq)]
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
    Square { side: u32 },
}

#[derive(Facet, Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Nothing;

#[derive(Facet)]
struct Tree {
    value: u64,
    children: Vec<Self>,
}

/// A value with the codec picked for its type.
struct With<'v, T, C>(&'v T, C);

impl<'c, T, C: Codec<'c, T>> Encode for With<'_, T, C>
where
    Self: 'c,
{
    fn size(&self) -> Option<usize> {
        self.1.size(self.0)
    }
    fn encode<S: Sink>(&self, out: &mut S) -> Result<(), EncodeError> {
        self.1.encode(self.0, out)
    }
    fn handles(&self, handles: &mut Handles) {
        self.1.handles(self.0, handles);
    }
}

/// Encodes by the picked codec, compares with the reference, decodes, and compares with the value; then
/// every prefix and one byte more must be refused.
macro_rules! agree {
    ($type:ty: $($value:expr),* $(,)?) => {$({
        let value: $type = $value;
        let codec = (&&Pick::<$type>::NEW).pick();
        let mut bytes = Vec::new();
        codec.encode(&value, &mut bytes).expect("encodes");
        assert_eq!(bytes, facet_postcard::to_vec(&value).expect("reference"), "{value:?}");
        let size: Option<usize> = codec.size(&value);
        assert!(size.is_none_or(|size| size == bytes.len()), "{value:?} takes {}", bytes.len());
        let mut from = Reader::new(&bytes);
        let back: $type = codec.decode(&mut from).expect("decodes");
        assert_eq!(format!("{back:?}"), format!("{value:?}"));
        from.end().expect("all read");
        for shorter in 0..bytes.len() {
            let cut: Result<$type, _> = codec.decode(&mut Reader::new(&bytes[..shorter]));
            assert!(cut.is_err(), "{value:?} cut to {shorter}");
        }
        bytes.push(0);
        let mut from = Reader::new(&bytes);
        let _same: $type = codec.decode(&mut from).expect("decodes with more behind it");
        assert!(matches!(from.end(), Err(DecodeError::Trailing { left: 1 })), "{value:?}");
    })*};
}

#[test]
#[allow(clippy::needless_borrow)]
fn plain_types_agree_with_the_reference() {
    agree!(bool: false, true);
    agree!(u8: 0, 127, 128, 255);
    agree!(i8: 0, -1, 127, -128);
    agree!(u16: 0, 127, 128, 16383, 16384, u16::MAX);
    agree!(i16: 0, -1, 63, 64, -64, -65, i16::MIN, i16::MAX);
    agree!(u32: 0, 1 << 21, u32::MAX);
    agree!(i32: 0, -1, i32::MIN, i32::MAX);
    agree!(u64: 0, 1 << 35, u64::MAX >> 1, u64::MAX);
    agree!(i64: 0, -1, i64::MIN, i64::MAX);
    agree!(usize: 0, usize::MAX);
    agree!(isize: 0, isize::MIN);
    agree!(u128: 0, 127, 128, u128::MAX);
    agree!(i128: 0, -1, i128::MIN, i128::MAX);
    agree!(f32: 0.0, -1.5, f32::INFINITY);
    agree!(f64: 0.0, -1.5, f64::NAN);
    agree!(&str: "", "grün", &"x".repeat(300));
    agree!(String: String::new(), "grün".into());
    agree!(&[u8]: b"", b"abc", &[7; 300]);
    agree!(Vec<u8>: vec![], vec![1; 300]);
    agree!([u8; 3]: [1, 2, 3]);
    agree!(Vec<u64>: vec![], vec![1, u64::MAX]);
    agree!(Vec<String>: vec![], vec!["a".into(), String::new()]);
    agree!(Option<u32>: None, Some(300));
    agree!((u64, u64): (2, u64::MAX));
    agree!((u8, String, Option<bool>): (1, "two".into(), Some(true)));
}

#[test]
#[allow(clippy::needless_borrow)]
fn reflected_types_agree_with_the_reference_and_say_where_they_end() {
    agree!(Point: Point { x: -3, label: "here".into(), tags: vec![1, 300] });
    agree!(Form: Form::Empty, Form::Circle(0.5), Form::Square { side: 70_000 });
    agree!(Vec<Point>: vec![], vec![Point { x: 1, label: String::new(), tags: vec![] }; 3]);
    agree!(Vec<Option<Point>>: vec![None; 300]);
    agree!(Vec<(Nothing, bool)>: vec![(Nothing, true); 300]);
    agree!(Option<Point>: None, Some(Point { x: 1, label: "a".into(), tags: vec![9] }));
    agree!(Result<u32, String>: Ok(3), Err("no".into()));
    agree!(char: 'x', 'ü');
    agree!(std::collections::BTreeMap<String, u32>: [("a".to_owned(), 1), ("b".to_owned(), 2)].into());
}

#[test]
fn numbers_come_in_their_shortest_form_only() {
    let mut bytes = Vec::new();
    for (shift, extra) in (0..64).flat_map(|shift| [(shift, 0), (shift, 1)]) {
        let value = (1u64 << shift).wrapping_sub(extra);
        bytes.clear();
        super::bytes::put_varint(value, &mut bytes);
        assert_eq!(bytes.len(), varint_length(value), "{value}");
        assert_eq!(Reader::new(&bytes).varint().ok(), Some(value));
        let last = bytes.len() - 1;
        bytes[last] |= 0x80;
        bytes.push(0);
        assert!(matches!(Reader::new(&bytes).varint(), Err(DecodeError::Number)), "{value} overlong");
        assert!(matches!(Reader::new(&bytes).varint_wide(), Err(DecodeError::Number)), "{value} overlong");
    }
    let mut too_large = [0xff; 10];
    too_large[9] = 2;
    assert!(matches!(Reader::new(&too_large).varint(), Err(DecodeError::Number)));
    assert!(matches!(Reader::new(&[0xff; 20]).varint(), Err(DecodeError::Number)));
    assert!(matches!(Reader::new(&[0xff; 20]).varint_wide(), Err(DecodeError::Number)));
    let narrow: Result<u16, _> = super::Plain::read(&mut Reader::new(&[0x80, 0x80, 0x04]));
    assert!(matches!(narrow, Err(DecodeError::Number)), "65536 is no u16");
}

#[test]
#[allow(clippy::needless_borrow)]
fn a_count_is_bounded_by_the_bytes_left() {
    let bytes = [0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2];
    let lists: Result<Vec<u64>, _> = (&&Pick::<Vec<u64>>::NEW).pick().decode(&mut Reader::new(&bytes));
    assert!(matches!(lists, Err(DecodeError::Count { left: 2, .. })), "{lists:?}");
    let points: Result<Vec<Point>, _> = (&&Pick::<Vec<Point>>::NEW).pick().decode(&mut Reader::new(&bytes));
    assert!(points.is_err());
    let text: Result<&str, _> = (&&Pick::<&str>::NEW).pick().decode(&mut Reader::new(&[2, 0xc3, 0x28]));
    assert!(matches!(text, Err(DecodeError::Utf8)));
    let flag: Result<bool, _> = (&&Pick::<bool>::NEW).pick().decode(&mut Reader::new(&[2]));
    assert!(matches!(flag, Err(DecodeError::Tag { tag: 2 })));
}

/// Whether values of a type are neither encoded nor decoded, whatever the bytes.
macro_rules! is_bodiless {
    ($type:ty: $value:expr) => {{
        let codec = (&&Pick::<$type>::NEW).pick();
        let value: $type = $value;
        let encoded = codec.encode(&value, &mut Vec::new());
        let decoded: Result<$type, _> = codec.decode(&mut Reader::new(&[0; 8]));
        match (encoded, decoded) {
            (Err(EncodeError::Elements(_)), Err(DecodeError::Elements(_))) => true,
            (Ok(()), Ok(_)) => false,
            other => panic!("{other:?}"),
        }
    }};
}

#[test]
#[allow(clippy::needless_borrow)]
fn elements_take_bytes() {
    use std::collections::{BTreeMap, BTreeSet, HashMap};
    #[derive(Facet, Debug, Clone, Default)]
    struct Nothings(Nothing, [(); 3], Box<Nothing>);
    #[derive(Facet, Debug, Default)]
    struct Remembers {
        #[facet(skip, default)]
        cache: u64,
    }
    #[derive(Facet, Debug, Clone)]
    #[repr(u8)]
    enum One {
        Only,
    }
    #[derive(Facet, Debug)]
    struct Within {
        tree: Option<Box<Self>>,
        deep: [Result<BTreeMap<u8, Vec<Nothing>>, u8>; 1],
    }
    #[derive(Facet, Debug)]
    struct Itself {
        next: Box<Self>,
    }
    assert!(is_bodiless!(Vec<Nothing>: vec![Nothing]));
    assert!(is_bodiless!(Vec<Nothings>: vec![]));
    assert!(is_bodiless!(Vec<Remembers>: vec![]));
    assert!(is_bodiless!(BTreeSet<Nothing>: [Nothing].into()));
    assert!(is_bodiless!(BTreeMap<Nothing, Nothing>: [(Nothing, Nothing)].into()));
    assert!(is_bodiless!(Within: Within { tree: None, deep: [Err(1)] }));
    assert!(is_bodiless!(Vec<Itself>: vec![]), "and it is found out in finite time");
    // What takes bytes somewhere does, and what comes once may take none.
    assert!(!is_bodiless!(Nothings: Nothings::default()));
    assert!(!is_bodiless!(Vec<One>: vec![One::Only; 3]));
    assert!(!is_bodiless!(Vec<Option<Nothing>>: vec![None, Some(Nothing)]));
    assert!(!is_bodiless!(HashMap<u8, Nothing>: [(1, Nothing)].into()));
    assert!(!is_bodiless!(Vec<(Nothing, u8)>: vec![(Nothing, 1)]));
    assert!(!is_bodiless!(Vec<Vec<Point>>: vec![]));
    assert!(!is_bodiless!(Vec<std::borrow::Cow<'static, str>>: vec!["x".into()]));
    let error = (&&Pick::<Vec<Nothing>>::NEW).pick().encode(&vec![Nothing], &mut Vec::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a collection of `Nothing`, which takes no bytes: send how many there are instead"
    );
}

#[test]
#[allow(clippy::needless_borrow)]
fn a_value_nested_too_deeply_is_refused_not_followed() {
    /// As deep as bytes allow: every byte one child more.
    #[derive(Facet, Debug)]
    struct Chain {
        next: Option<Box<Self>>,
    }
    let deep = vec![1; 1 << 20];
    let chain: Result<Chain, _> = (&&Pick::<Chain>::NEW).pick().decode(&mut Reader::new(&deep));
    assert!(chain.is_err());
    let mut fair = vec![1; 10];
    fair.push(0);
    let chain: Result<Chain, _> = (&&Pick::<Chain>::NEW).pick().decode(&mut Reader::new(&fair));
    assert!(chain.is_ok(), "{chain:?}");
}

#[test]
#[allow(clippy::needless_borrow)]
fn a_message_knows_its_length_and_fills_its_place() {
    let (number, point) = (300u64, Point { x: 1, label: "p".into(), tags: vec![] });
    let sized = Message::new(With(&number, (&&Pick::<u64>::NEW).pick())).expect("encodes");
    assert!(matches!(sized, Message::Value { size: 2, .. }));
    let staged = Message::new(With(&point, (&&Pick::<Point>::NEW).pick())).expect("encodes");
    assert!(matches!(staged, Message::Bytes(_)));
    let mut place = vec![0; sized.length() + staged.length()];
    let (first, second) = place.split_at_mut(sized.length());
    sized.write(first);
    staged.write(second);
    assert_eq!(place, facet_postcard::to_vec(&(number, point)).expect("reference"));
}

#[test]
fn descriptions_are_canonical() {
    assert_eq!(describe(<u64>::SHAPE), "u64");
    assert_eq!(describe(<&str>::SHAPE), describe(<String>::SHAPE));
    assert_eq!(describe(<&[u8]>::SHAPE), describe(<Vec<u8>>::SHAPE));
    assert_eq!(describe(<Box<u8>>::SHAPE), "u8");
    assert_eq!(describe(<[i32; 4]>::SHAPE), "[i32; 4]");
    assert_eq!(describe(<(u8, Option<bool>)>::SHAPE), "(u8, bool?)");
    assert_eq!(describe(<std::collections::BTreeMap<String, u32>>::SHAPE), "{str: u32}");
    assert_eq!(describe(<Point>::SHAPE), "Point{x: i32, label: str, tags: [u16]}");
    assert_eq!(describe(<Form>::SHAPE), "Form(Empty, Circle(f64), Square{side: u32})");
    assert_eq!(describe(<Tree>::SHAPE), "Tree{value: u64, children: [#0]}");
    assert_eq!(describe(<Result<Tree, Tree>>::SHAPE), "<Tree{value: u64, children: [#0]} | #0>");
}

#[test]
fn the_hash_of_types_tells_them_apart() {
    let hash = types_hash(&[u64::SHAPE, u64::SHAPE], u64::SHAPE, None);
    assert_eq!(hash, types_hash(&[u64::SHAPE, u64::SHAPE], u64::SHAPE, None));
    let others = [
        types_hash(&[u64::SHAPE], u64::SHAPE, None),
        types_hash(&[u64::SHAPE, i64::SHAPE], u64::SHAPE, None),
        types_hash(&[u64::SHAPE, u64::SHAPE], u32::SHAPE, None),
        types_hash(&[u64::SHAPE, u64::SHAPE], u64::SHAPE, Some(Form::SHAPE)),
    ];
    assert!(others.iter().all(|&other| other != hash));
}
