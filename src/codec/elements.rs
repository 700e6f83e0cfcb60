//! What collections are made of: elements that take bytes. Of those no more can be announced than bytes follow; of
//! others a few bytes could announce any number, and cost whoever reads them as much time as they like.

use facet::{Def, Field, FieldFlags, ScalarType, Shape, StructType, Type, UserType};

/// A collection whose elements take no bytes.
#[derive(Debug, thiserror::Error)]
#[error("a collection of `{element}`, which takes no bytes: send how many there are instead")]
pub struct Bodiless {
    element: &'static str,
}

/// Checks that the elements of all collections in a type take bytes.
///
/// # Errors
/// [`Bodiless`] if there are some that do not, or of which that cannot be known.
pub(super) fn check(shape: &'static Shape) -> Result<(), Bodiless> {
    walk(shape, &mut Vec::new())
}

/// Checks the collections in a type, but not those in types that are `seen`.
fn walk(shape: &'static Shape, seen: &mut Vec<&'static Shape>) -> Result<(), Bodiless> {
    let shape = encoded(shape);
    if seen.iter().any(|seen| seen.is_shape(shape)) {
        return Ok(());
    }
    seen.push(shape);
    let mut within = |shapes: &[&'static Shape]| shapes.iter().try_for_each(|shape| walk(shape, seen));
    match shape.def {
        Def::List(list) => element(list.t()).and_then(|()| within(&[list.t()])),
        Def::Slice(slice) => element(slice.t()).and_then(|()| within(&[slice.t()])),
        Def::Set(set) => element(set.t()).and_then(|()| within(&[set.t()])),
        Def::Map(map) => {
            element(map.k()).or_else(|_| element(map.v())).and_then(|()| within(&[map.k(), map.v()]))
        }
        Def::Array(array) => within(&[array.t()]),
        Def::Option(option) => within(&[option.t()]),
        Def::Result(result) => within(&[result.t(), result.e()]),
        Def::Pointer(pointer) => pointer.pointee.map_or(Ok(()), |pointee| within(&[pointee])),
        _ => match shape.ty {
            Type::User(UserType::Struct(of)) => within(&fields(of, FieldFlags::empty())),
            Type::User(UserType::Enum(of)) => {
                of.variants.iter().try_for_each(|case| within(&fields(case.data, FieldFlags::empty())))
            }
            _ => Ok(()),
        },
    }
}

fn element(shape: &'static Shape) -> Result<(), Bodiless> {
    if takes_bytes(shape, &mut Vec::new()) {
        return Ok(());
    }
    Err(Bodiless { element: shape.type_identifier })
}

/// Whether every value of a type surely takes a byte at least. `above` are the types that it is part of.
fn takes_bytes(shape: &'static Shape, above: &mut Vec<&'static Shape>) -> bool {
    let shape = encoded(shape);
    if let Some(scalar) = shape.scalar_type() {
        return scalar != ScalarType::Unit;
    }
    if above.iter().any(|above| above.is_shape(shape)) {
        return false;
    }
    above.push(shape);
    let mut any = |shapes: &[&'static Shape]| shapes.iter().any(|shape| takes_bytes(shape, above));
    let takes = match shape.def {
        // Its length, which case it is, or what type.
        Def::List(_) | Def::Slice(_) | Def::Set(_) | Def::Map(_) => true,
        Def::Option(_) | Def::Result(_) | Def::DynamicValue(_) => true,
        Def::Scalar => shape.layout.sized_layout().is_ok_and(|layout| layout.size() > 0),
        Def::Array(array) => array.n > 0 && any(&[array.t()]),
        Def::Pointer(pointer) => pointer.pointee.is_some_and(|pointee| any(&[pointee])),
        _ => match shape.ty {
            // What is flattened may come to nothing.
            Type::User(UserType::Struct(of)) => any(&fields(of, FieldFlags::FLATTEN)),
            Type::User(UserType::Enum(of)) => {
                !of.is_cow || of.variants.iter().all(|case| any(&fields(case.data, FieldFlags::FLATTEN)))
            }
            _ => false,
        },
    };
    above.pop();
    takes
}

/// What a type is encoded as.
fn encoded(shape: &'static Shape) -> &'static Shape {
    shape.proxy.map_or(shape, |proxy| proxy.shape)
}

/// What the fields are encoded as, but for those with one of the flags `not`.
fn fields(of: StructType, not: FieldFlags) -> Vec<&'static Shape> {
    let not = not | FieldFlags::SKIP | FieldFlags::SKIP_SERIALIZING;
    let is_encoded = |field: &&'static Field| (field.flags & not).is_empty() && !field.is_metadata();
    let shape = |field: &'static Field| field.proxy.map_or_else(|| field.shape(), |proxy| proxy.shape);
    of.fields.iter().filter(is_encoded).map(shape).collect()
}
