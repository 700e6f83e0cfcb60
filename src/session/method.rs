//! A method as both sides know it.

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
}
