//! A directory for one socket.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use crate::bench::error::BenchError;

/// A directory for one socket, there until both sides have met.
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn create() -> Result<Self, BenchError> {
        let path = std::env::temp_dir().join(format!("transom-bench-{}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// Where the socket is to be.
    pub(super) fn socket(&self) -> PathBuf {
        self.0.join("socket")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What the system cleans up in the end is no reason to fail.
        let _removed = fs::remove_dir_all(&self.0);
    }
}
