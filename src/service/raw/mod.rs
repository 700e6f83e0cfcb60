//! Calls without their types: made and answered with bytes that somebody else has encoded, or will decode.
//!
//! ```
//! use transom::{CallError, Server, raw};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Answers whatever is called, with what it was called with.
//! let echo = raw::Server::new(|request: raw::Request| async move {
//!     println!("{}.{}", request.method().service(), request.method().name());
//!     Ok::<_, CallError<Vec<u8>>>(raw::Answer::new(request.payload()))
//! });
//! let listener = Server::new("mem:echo", echo).bind()?;
//! tokio::spawn(listener.run());
//!
//! let session = transom::Connector::new("mem:echo").session().await?;
//! let method = raw::Method::new("calc", "add", 0);
//! let response = session.root().raw_call(&method, [2, 3]).await?;
//! assert_eq!(response.payload(), [2, 3]);
//! # Ok(())
//! # }
//! ```
//!
//! # What the bytes mean
//!
//! Arguments are encoded one after another, as [postcard](https://postcard.jamesmunns.com/wire-format) has it; so is a
//! result, or a method's own error. The end of a channel in them is a number, unsigned and of variable length: the place
//! that it has among the ends that are passed along, in the order of [`Call::pass`] or [`Answer::pass`]. Items of such
//! channels are [`Item`]s, each of which is the bytes of one.
//!
//! Descriptors do not go along: those that come with a raw call or its result are closed.
//!
//! To pass calls on just as they are there is [`proxy::Forward`](crate::proxy::Forward).

mod call;
mod ends;
mod method;
mod server;

pub use call::{Call, Response};
pub use ends::{End, Ends};
pub use method::Method;
pub use server::{Answer, Request, Server};

pub use crate::codec::RawItem as Item;
