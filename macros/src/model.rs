//! A service as its trait declares it, checked.

use proc_macro2::TokenStream;
use syn::punctuated::Punctuated;
use syn::{Attribute, Ident, Token, Type, TypeParamBound, Visibility};

/// A service.
pub(crate) struct Service {
    /// Attributes of the trait, documentation included.
    pub(crate) attributes: Vec<Attribute>,
    /// The documentation.
    pub(crate) docs: String,
    pub(crate) visibility: Visibility,
    pub(crate) name: Ident,
    /// What implementors must be besides.
    pub(crate) supertraits: Punctuated<TypeParamBound, Token![+]>,
    pub(crate) methods: Vec<Method>,
}

/// A method of a service.
pub(crate) struct Method {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) docs: String,
    pub(crate) name: Ident,
    /// The name of the struct that holds its arguments.
    pub(crate) arguments_name: Ident,
    /// Its ID on the wire.
    pub(crate) id: u64,
    pub(crate) is_async: bool,
    /// Its handlers run as tasks of their own from the start.
    pub(crate) spawn: bool,
    /// Running it twice does no more than running it once.
    pub(crate) idempotent: bool,
    /// The context parameter as declared.
    pub(crate) context: Option<TokenStream>,
    pub(crate) arguments: Vec<Argument>,
    /// The return type as declared.
    pub(crate) returns: Type,
    /// What it returns; the good case of a `Result`.
    pub(crate) output: Type,
    /// The other case of a `Result`.
    pub(crate) error: Option<Type>,
}

/// An argument of a method.
pub(crate) struct Argument {
    pub(crate) name: Ident,
    /// Its type as declared.
    pub(crate) declared: Type,
    /// Its type with every borrow for `'__a`.
    pub(crate) named: Type,
    /// Its type with every borrow for `'static`.
    pub(crate) forever: Type,
    /// Whether it borrows.
    pub(crate) borrows: bool,
}

impl Method {
    /// Whether any argument borrows, so that the struct of the arguments has a lifetime.
    pub(crate) fn borrows(&self) -> bool {
        self.arguments.iter().any(|argument| argument.borrows)
    }
}
