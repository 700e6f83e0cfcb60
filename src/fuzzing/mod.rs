//! What fuzzing drives: for each target one function over bytes that a peer might have written.
//!
//! Built for fuzzing and for tests only. A target panics if something that must hold does not. It gives back how far
//! it came, so that a test can tell whether the seeds in `fuzz/seeds` still reach what they are named for.

mod decode;
mod headers;
mod ring;
mod script;
mod session;
#[cfg(test)]
mod tests;

pub use decode::decode;
pub use headers::{frame_header, half_header};
pub use ring::ring_consumer;
pub use session::session;
