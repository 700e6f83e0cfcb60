//! The lock-free algorithms of `transom-shm-layout`, compiled from the very same sources over loom's atomics, and what
//! their models share. What stands on them, a link and those who wait in the driver, is followed by hand.

#[path = "../../shm-layout/src/bell.rs"]
pub mod bell;
#[path = "../../shm-layout/src/board.rs"]
pub mod board;
#[path = "../../shm-layout/src/credit.rs"]
pub mod credit;
pub mod driver;
pub mod kernel;
pub mod model;
#[path = "../../shm-layout/src/ring/mod.rs"]
pub mod ring;
pub mod segment;
pub mod side;
pub mod sync;
#[path = "../../shm-layout/src/word.rs"]
pub mod word;
