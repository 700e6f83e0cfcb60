//! A method as both sides know it.

use std::sync::Arc;

/// A method as both sides know it; generated code holds one static for each.
#[derive(Debug)]
pub struct Method {
    /// First eight bytes, little-endian, of blake3 over `service.method`.
    pub id: u64,
    /// The service's name.
    pub service: &'static str,
    /// The method's name.
    pub name: &'static str,
    /// Hash of the canonical description of argument, result and error types.
    pub types: fn() -> u64,
    /// Whether running it twice does no more than running it once.
    pub idempotent: bool,
}

/// A method by its names and the hash of its types, for a side that does not know them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    /// Its ID.
    pub(crate) id: u64,
    /// The service's name.
    pub(crate) service: String,
    /// The method's name.
    pub(crate) name: String,
    /// The hash of its types.
    pub(crate) types: u64,
}

impl Bound {
    /// The method of these names, whose types have this hash.
    pub(crate) fn named(service: &str, name: &str, types: u64) -> Self {
        let hash = blake3::hash(format!("{service}.{name}").as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&hash.as_bytes()[..8]);
        Self { id: u64::from_le_bytes(first), service: service.to_owned(), name: name.to_owned(), types }
    }
}

/// Which method a call is of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Callee<'a> {
    /// One whose types are known here.
    Known(&'static Method),
    /// One that is forwarded, or called raw.
    Forwarded(&'a Bound),
}

impl Callee<'_> {
    #[inline]
    pub(crate) fn id(&self) -> u64 {
        match self {
            Self::Known(method) => method.id,
            Self::Forwarded(bound) => bound.id,
        }
    }

    pub(crate) fn types(&self) -> u64 {
        match self {
            Self::Known(method) => (method.types)(),
            Self::Forwarded(bound) => bound.types,
        }
    }

    /// Whether running it twice does no more than running it once, as far as is known here.
    pub(crate) fn is_idempotent(&self) -> bool {
        match self {
            Self::Known(method) => method.idempotent,
            Self::Forwarded(_) => false,
        }
    }

    /// Whether calls are forwarded with other types than those that the method was bound with.
    #[inline]
    pub(crate) fn differs(&self, bound: Option<u64>) -> bool {
        match self {
            Self::Known(_) => false,
            Self::Forwarded(method) => bound.is_some_and(|types| types != method.types),
        }
    }

    /// The names of the service and of the method.
    pub(crate) fn names(&self) -> [&str; 2] {
        match self {
            Self::Known(method) => [method.service, method.name],
            Self::Forwarded(bound) => [&bound.service, &bound.name],
        }
    }
}

impl From<&'static Method> for Callee<'_> {
    fn from(method: &'static Method) -> Self {
        Self::Known(method)
    }
}

/// What a side does about calls of a method.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lookup {
    /// It does not serve it.
    Unknown,
    /// It serves it.
    Served(&'static Method),
    /// It forwards it to somebody who may.
    Forwarded,
}

impl From<Option<&'static Method>> for Lookup {
    fn from(method: Option<&'static Method>) -> Self {
        method.map_or(Self::Unknown, Self::Served)
    }
}

/// A method as its caller has bound it, shared by its calls.
pub(crate) type Binding = Arc<Bound>;
