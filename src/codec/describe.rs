//! A canonical description of types: equal for equal encodings with equal names, whatever module a type is in.
//!
//! ```text
//! u64   str   [u8]   [i32; 4]   {str: u64}   f64?   <u64 | Failed>
//! Point{x: i32, y: i32}   Shape(Circle(f64), Square{side: f64}, Empty)   tx<u64>   rx<Point>   fd
//! ```
//! A named type is written out where it first occurs; from then on it is `#n`, the n-th so written, so that the
//! description of a recursive type ends.

use std::fmt::Write;

use facet::{Def, Field, FieldFlags, Shape, StructKind, StructType, Type, UserType};

use super::handles::{self, Kind};

/// The canonical description of a type.
pub(crate) fn describe(shape: &'static Shape) -> String {
    let mut description = Description::default();
    description.shape(shape);
    description.text
}

/// The hash of the types of a method: arguments in order, then result, then error.
pub(crate) fn types_hash(
    arguments: &[&'static Shape],
    result: &'static Shape,
    error: Option<&'static Shape>,
) -> u64 {
    let mut description = Description::default();
    description.list('(', arguments, ')', |description, shape| description.shape(shape));
    description.text.push_str(" -> ");
    description.shape(result);
    if let Some(error) = error {
        description.text.push_str(" | ");
        description.shape(error);
    }
    let mut first = [0; 8];
    first.copy_from_slice(&blake3::hash(description.text.as_bytes()).as_bytes()[..8]);
    u64::from_le_bytes(first)
}

/// The description so far, and the named types in it.
#[derive(Default)]
struct Description {
    text: String,
    named: Vec<&'static Shape>,
}

impl Description {
    fn shape(&mut self, shape: &'static Shape) {
        if let Some(kind) = handles::kind(shape) {
            self.text.push_str(match kind {
                Kind::Sender => "tx",
                Kind::Receiver => "rx",
                Kind::Descriptor => return self.text.push_str("fd"),
            });
            let items: Vec<_> = shape.type_params.iter().map(|param| param.shape).collect();
            return self.list('<', &items, '>', |description, shape| description.shape(shape));
        }
        if let Some(proxy) = shape.proxy {
            return self.shape(proxy.shape);
        }
        if let Some(scalar) = scalar(shape) {
            return self.text.push_str(scalar);
        }
        match shape.def {
            Def::List(list) => self.around('[', list.t(), ']'),
            Def::Slice(slice) => self.around('[', slice.t(), ']'),
            Def::Set(set) => self.around('[', set.t(), ']'),
            Def::Array(array) => {
                self.text.push('[');
                self.shape(array.t());
                self.write(format_args!("; {}]", array.n));
            }
            Def::Map(map) => {
                self.around('{', map.k(), ':');
                self.around(' ', map.v(), '}');
            }
            Def::Option(option) => {
                self.shape(option.t());
                self.text.push('?');
            }
            Def::Result(result) => {
                self.text.push('<');
                self.shape(result.t());
                self.text.push_str(" | ");
                self.shape(result.e());
                self.text.push('>');
            }
            Def::Pointer(pointer) if pointer.pointee.is_some() => {
                pointer.pointee.into_iter().for_each(|pointee| self.shape(pointee));
            }
            _ => self.user(shape),
        }
    }

    fn user(&mut self, shape: &'static Shape) {
        let Type::User(user) = shape.ty else { return self.opaque(shape) };
        if matches!(user, UserType::Struct(StructType { kind: StructKind::Tuple, .. }))
            && shape.type_identifier.starts_with('(')
        {
            // A tuple has no name of its own.
            return self.fields(user_fields(user));
        }
        if let Some(index) = self.named.iter().position(|named| named.is_shape(shape)) {
            return self.write(format_args!("#{index}"));
        }
        self.named.push(shape);
        match user {
            UserType::Struct(fields) => {
                self.text.push_str(shape.effective_name());
                self.fields(fields);
            }
            UserType::Enum(cases) => {
                self.text.push_str(shape.effective_name());
                self.list('(', cases.variants, ')', |description, variant| {
                    description.text.push_str(variant.rename.unwrap_or(variant.name));
                    description.fields(variant.data);
                });
            }
            UserType::Union(_) | UserType::Opaque => self.opaque(shape),
        }
    }

    fn opaque(&mut self, shape: &'static Shape) {
        self.write(format_args!("opaque {}", shape.type_identifier));
    }

    fn fields(&mut self, of: StructType) {
        let named = match of.kind {
            StructKind::Unit => return,
            StructKind::Struct => true,
            StructKind::TupleStruct | StructKind::Tuple => false,
        };
        let skipped = FieldFlags::SKIP | FieldFlags::SKIP_SERIALIZING;
        let fields: Vec<&'static Field> =
            of.fields.iter().filter(|field| (field.flags & skipped).is_empty()).collect();
        let (open, close) = if named { ('{', '}') } else { ('(', ')') };
        self.list(open, &fields, close, |description, field| {
            if named {
                description.write(format_args!("{}: ", field.rename.unwrap_or(field.name)));
            }
            description.shape(field.proxy.map_or_else(|| field.shape(), |proxy| proxy.shape));
        });
    }

    fn around(&mut self, open: char, shape: &'static Shape, close: char) {
        self.text.push(open);
        self.shape(shape);
        self.text.push(close);
    }

    fn list<T>(&mut self, open: char, items: &[T], close: char, mut each: impl FnMut(&mut Self, &T)) {
        self.text.push(open);
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.text.push_str(", ");
            }
            each(self, item);
        }
        self.text.push(close);
    }

    fn write(&mut self, arguments: std::fmt::Arguments<'_>) {
        // A string takes whatever is written to it.
        self.text.write_fmt(arguments).unwrap_or_default();
    }
}

fn user_fields(user: UserType) -> StructType {
    match user {
        UserType::Struct(fields) => fields,
        _ => StructType::UNIT,
    }
}

/// The name of a scalar as it is on the wire: strings are strings, owned or not.
fn scalar(shape: &'static Shape) -> Option<&'static str> {
    use facet::ScalarType as S;
    Some(match shape.scalar_type()? {
        S::Unit => "()",
        S::Bool => "bool",
        S::Char => "char",
        S::Str | S::String | S::CowStr => "str",
        S::F32 => "f32",
        S::F64 => "f64",
        S::U8 => "u8",
        S::U16 => "u16",
        S::U32 => "u32",
        // Indices are 64 bits wide on every system that this library runs on.
        S::U64 | S::USize => "u64",
        S::U128 => "u128",
        S::I8 => "i8",
        S::I16 => "i16",
        S::I32 => "i32",
        S::I64 | S::ISize => "i64",
        S::I128 => "i128",
        _ => return None,
    })
}
