//! Methods by their names.

use std::fmt;
use std::sync::Arc;

use crate::service::Operation;
use crate::session::{Binding, Bound, Callee};

/// A method by its names on the wire and the hash of its types.
#[derive(Clone, PartialEq, Eq)]
pub struct Method(Binding);

impl Method {
    /// The method of this name of a service, both in kebab case: `http_get` of `FileServer` is `http-get` of `file-server`.
    /// Both sides compare `types`, the [hash](Operation::types_hash) of arguments, result and error, before the first
    /// call, and all calls of a method on a connection must have the same.
    pub fn new(service: &str, name: &str, types: u64) -> Self {
        Self(Arc::new(Bound::named(service, name, types)))
    }

    /// As a peer has bound it.
    pub(super) fn bound(binding: Binding) -> Self {
        Self(binding)
    }

    pub(super) fn callee(&self) -> Callee<'_> {
        Callee::Forwarded(&self.0)
    }

    /// Its number: the first eight bytes, little-endian, of blake3 over `service.name`.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// The name of its service.
    pub fn service(&self) -> &str {
        &self.0.service
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The hash of its types.
    pub fn types(&self) -> u64 {
        self.0.types
    }
}

/// The method that generated code describes.
impl From<&Operation> for Method {
    fn from(operation: &Operation) -> Self {
        Self::new(operation.method.service, operation.method.name, operation.types_hash())
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Method")
            .field("service", &self.service())
            .field("name", &self.name())
            .field("types", &format_args!("{:#x}", self.types()))
            .finish()
    }
}
