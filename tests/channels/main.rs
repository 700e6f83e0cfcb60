//! Channels between a client and a service, over every link: in arguments and results of every shape, however they end.

#[path = "../common/mod.rs"]
mod common;

mod endings;
mod nesting;
mod scene;
mod streaming;
mod threads;
