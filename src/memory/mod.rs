//! Shared memory: creating, sealing, mapping and checking halves; the one place where an offset becomes a view.
