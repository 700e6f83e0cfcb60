//! The lock-free algorithms of `transom-shm-layout`, compiled from the very same sources over loom's atomics.

#[path = "../../shm-layout/src/bell.rs"]
pub mod bell;
#[path = "../../shm-layout/src/ring/mod.rs"]
pub mod ring;
#[path = "../../shm-layout/src/role.rs"]
pub mod role;
pub mod sync;
#[path = "../../shm-layout/src/word.rs"]
pub mod word;
