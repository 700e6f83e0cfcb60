//! Cooperative scheduling: what is often ready within the first poll gives other tasks their turn, too.

use std::task::{Context, Poll};

/// Polls as part of a tokio task: what was ready again and again is pending once in a while. Outside one, and without
/// tokio, it only polls.
#[inline]
pub(super) fn cooperate<T>(cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    #[cfg(feature = "tokio")]
    let turn = std::task::ready!(tokio::task::coop::poll_proceed(cx));
    let polled = poll(cx);
    #[cfg(feature = "tokio")]
    if polled.is_ready() {
        turn.made_progress();
    }
    polled
}
