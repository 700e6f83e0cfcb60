//! Cells: processes that a host has started.

mod watcher;
