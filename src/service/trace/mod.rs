//! Calls as `tracing` spans, on both sides, and what makes one trace of them.
//!
//! ```text
//!  caller                            whoever answers                  whom that calls within the call
//!  span transom.call ─ traceparent ─> span transom.handle ─ traceparent ─> span transom.handle
//!   trace_id 4bf9…                     trace_id 4bf9…                       trace_id 4bf9…
//!   span_id  00f0…                     span_id  b7ad…                       span_id  …
//!                                      parent_id 00f0…                      parent_id of its caller's span
//! ```
//! The spans have the level DEBUG and the target `transom::call`. When nobody wants those a call costs one look at a number,
//! and what came of a trace is passed on as it is.

mod context;
mod span;

use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};

pub(crate) use context::TraceContext;
pub(crate) use span::CallSpan;
pub(super) use span::InSpan;

/// Whether anybody may want the spans of calls.
#[inline]
pub(super) fn is_wanted() -> bool {
    STATIC_MAX_LEVEL >= LevelFilter::DEBUG && LevelFilter::current() >= LevelFilter::DEBUG
}
