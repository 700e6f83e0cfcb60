//! What a service is made of, as data.

use facet::Shape;

use crate::codec::{describe, types_hash};
use crate::session::Method;

/// A service as data: what `#[transom::service]` knows about its trait.
#[derive(Debug)]
#[non_exhaustive]
pub struct Descriptor {
    /// The service's name: that of its trait.
    pub name: &'static str,
    /// Its documentation.
    pub docs: &'static str,
    /// Its methods, as declared.
    pub methods: &'static [Operation],
}

/// A method of a service as data.
#[derive(Debug)]
#[non_exhaustive]
pub struct Operation {
    /// Its name and number.
    pub method: Method,
    /// Its documentation.
    pub docs: &'static str,
    /// What it takes.
    pub arguments: &'static [Argument],
    /// The shape of what it returns; of the good case where that is a `Result`.
    pub output: &'static Shape,
    /// The shape of its own error, if it has one.
    pub error: Option<&'static Shape>,
    /// Whether its handlers run as tasks of their own from the start.
    pub spawned: bool,
}

/// An argument of a method as data.
#[derive(Debug)]
#[non_exhaustive]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// Its type's shape.
    pub shape: &'static Shape,
}

impl Descriptor {
    /// For generated code only.
    #[doc(hidden)]
    pub const fn new(name: &'static str, docs: &'static str, methods: &'static [Operation]) -> Self {
        Self { name, docs, methods }
    }
}

impl Operation {
    /// For generated code only.
    #[doc(hidden)]
    pub const fn new(
        method: Method,
        docs: &'static str,
        arguments: &'static [Argument],
        output: &'static Shape,
        error: Option<&'static Shape>,
        spawned: bool,
    ) -> Self {
        Self { method, docs, arguments, output, error, spawned }
    }

    /// The method's types in words: `(a: i64, b: i64) -> i64 | DivideError(ByZero)`.
    pub fn signature(&self) -> String {
        let arguments: Vec<String> = self.arguments.iter().map(Argument::to_string).collect();
        let error = self.error.map(|error| format!(" | {}", describe(error))).unwrap_or_default();
        format!("({}) -> {}{error}", arguments.join(", "), describe(self.output))
    }

    /// The hash of the method's types, which both sides compare before the first call.
    pub fn types_hash(&self) -> u64 {
        let arguments: Vec<_> = self.arguments.iter().map(|argument| argument.shape).collect();
        types_hash(&arguments, self.output, self.error)
    }
}

impl Argument {
    /// For generated code only.
    #[doc(hidden)]
    pub const fn new(name: &'static str, shape: &'static Shape) -> Self {
        Self { name, shape }
    }
}

impl std::fmt::Display for Argument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name, describe(self.shape))
    }
}
