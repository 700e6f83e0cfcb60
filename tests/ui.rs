//! What `#[transom::service]` refuses, and where it points; and that it stands in any surroundings.

/// What a user's own types may be called.
#[derive(facet::Facet)]
pub struct Option {
    /// A field.
    pub value: u64,
}

/// No prelude, no warnings, and names that generated code might have used itself.
mod surroundings {
    #![no_implicit_prelude]
    #![deny(warnings, missing_docs, clippy::all)]

    use super::Option;

    /// A service in hostile surroundings.
    #[::transom::service]
    pub trait Odd: ::core::fmt::Debug {
        /// Takes what generated code has names for.
        async fn names(&self, id: u64, call: u8, service: &str, place: &[u8], f: bool, r#type: u64)
        -> Option;
        /// Is called as something generated is.
        fn new(&self) -> u64;
        /// Likewise.
        async fn session(&self, cx: &::transom::Context, session: u64);
        /// Likewise.
        fn clone(&self, depth: u64) -> ::core::result::Result<(), ()>;
        /// A word of the language.
        async fn r#match(&self, text: ::std::option::Option<&str>);
    }

    /// One without methods.
    #[::transom::service]
    pub trait Empty {}
}

#[test]
fn refusals_point_at_the_offending_token() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

#[test]
fn any_surroundings_will_do() {
    use transom::Client;
    let odd = surroundings::OddClient::DESCRIPTOR;
    let names: Vec<_> = odd.methods.iter().map(|operation| operation.method.name).collect();
    assert_eq!(names, ["names", "new", "session", "clone", "match"]);
    assert_eq!(
        odd.methods[0].signature(),
        "(id: u64, call: u8, service: str, place: [u8], f: bool, type: u64) -> Option{value: u64}"
    );
    assert!(surroundings::EmptyClient::DESCRIPTOR.methods.is_empty());
}
