//! The `#[transom::service]` attribute: parse to a model, check it, expand it.
//!
//! Use it through the `transom` crate; what it expands to names only that.

mod expand;
mod kebab;
mod model;
mod parse;

use proc_macro::TokenStream;

/// Turns a trait into a service: a server, two clients and a description.
///
/// For `trait Calc` it generates `CalcServer`, `CalcClient`, `CalcBlockingClient`. Methods take `&self`, then
/// `cx: &Context` if they ask for it, then their arguments: owned values of any `Facet` type, or `&str` and
/// `&[u8]`, which a handler borrows from the request. They return a `Facet` type or a `Result` of two. An
/// `async fn` is implemented by an `async fn`, a plain `fn` by a plain `fn`; clients call both alike.
///
/// The elements of a collection take a byte each at least, since a few bytes could announce any number of others: a
/// list of `()` does not compile, and a call with a set of unit structs fails before it is sent. Send how many there
/// are instead.
///
/// Arguments and results may have ends of channels in them, `Tx` and `Rx`, wherever they are: in structs, options, cases
/// of enums, lists, maps. What a handler takes as `Tx<T>` it sends on. In the same places they may have descriptors, `Fd`. The
/// method's own error has neither.
///
/// `#[transom(spawn)]` on a method makes its handlers run as tasks of their own from the start, rather than
/// being polled once where the request arrived: for handlers that compute for long.
///
/// `#[transom(idempotent)]` says that running the method twice does no more than running it once: a client that
/// reconnects repeats such a call when its session ends before the answer has come. Others it repeats only if they
/// surely did not run.
///
/// The names of service and method identify a method on the wire: renaming either changes it.
#[proc_macro_attribute]
pub fn service(arguments: TokenStream, item: TokenStream) -> TokenStream {
    parse::service(arguments.into(), item.into())
        .map_or_else(|error| error.to_compile_error(), |service| expand::service(&service))
        .into()
}
