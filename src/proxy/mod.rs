//! Proxies: calls and channels passed on from one connection to another, without decoding what they carry and without
//! knowing the services.
//!
//! ```text
//!  caller ── connection ──> here: Forward ── connection ──> whoever answers
//!            IDs of one      metadata, deadline, cancellation     IDs of the other
//!            channel  <───── pump: a window of items ───────>  channel
//! ```
//! A pump takes items from one channel, sends them on the other, and only then says that it has taken them: so the far
//! side's credit is what the near side gets, a slow reader slows its own sender and nobody else, and a proxy holds at most a
//! window of items for each channel: that of the receiver, or its own if that is smaller.
//!
//! Items come after the call that declares their channel, and before an answer that came after them, unless they wait for
//! credit. A batch that is more than the one side takes goes there in parts.
//!
//! Both connections may be of any kind, on links of any kind. Where descriptors cannot be passed on their call fails, and
//! their item arrives as one that does not decode.

mod forward;
mod part;
mod pump;
mod relay;

pub use forward::{AlreadySet, Forward, Upstream};
pub use relay::relay;
