//! The examples of the README, compiled with the documentation's tests; and what must not compile.

#![doc = include_str!("../README.md")]

/// The elements of a list take bytes.
///
/// ```compile_fail
/// #[transom::service]
/// trait Tally {
///     async fn add(&self, strokes: Vec<()>);
/// }
/// struct Tallies;
/// impl Tally for Tallies {
///     async fn add(&self, _: Vec<()>) {}
/// }
/// drop(transom::Server::new("mem:tally", TallyServer::new(Tallies)));
/// ```
///
/// ```
/// #[transom::service]
/// trait Tally {
///     async fn add(&self, strokes: Vec<bool>);
/// }
/// struct Tallies;
/// impl Tally for Tallies {
///     async fn add(&self, _: Vec<bool>) {}
/// }
/// drop(transom::Server::new("mem:tally", TallyServer::new(Tallies)));
/// ```
mod elements {}
