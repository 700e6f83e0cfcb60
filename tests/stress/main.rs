//! Many threads and tasks at once on one session, and what may end it.

#![allow(unreachable_pub)]

mod callers;
#[path = "../common/mod.rs"]
mod common;
mod endings;
mod mixed;
mod numbers;
mod sides;
mod suspicions;
mod watch;
mod work;
