//! Typed calls between processes, through shared memory first.

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")))]
compile_error!("transom runs on 64-bit little-endian Linux only");

#[allow(dead_code)]
mod codec;
#[allow(dead_code)]
mod driver;
#[allow(dead_code)]
mod link;
#[allow(dead_code)]
mod memory;
#[allow(dead_code)]
mod service;
#[allow(dead_code)]
mod session;
#[allow(dead_code)]
mod sys;
