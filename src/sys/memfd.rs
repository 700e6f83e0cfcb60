//! Sealed anonymous memory.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;

/// The seals of a half: its size is fixed, and nobody can map it writable any more, or unseal it.
pub(crate) const SEALS: SealFlags =
    SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::FUTURE_WRITE).union(SealFlags::SEAL);

/// The seals of memory whose size is fixed and that both sides may write.
#[cfg(feature = "limits")]
pub(crate) const SIZE_SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// The magic number of tmpfs, where memfds live.
const TMPFS: i64 = 0x0102_1994;

/// New memory of `size` zero bytes, not yet sealed.
pub(crate) fn create(name: &str, size: u64) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        // Kernels before 6.3 do not know the flag.
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags)?,
        other => other?,
    };
    rustix::fs::ftruncate(&memory, size)?;
    Ok(memory)
}

/// Adds [`SEALS`].
pub(crate) fn seal(memory: impl AsFd) -> io::Result<()> {
    Ok(rustix::fs::fcntl_add_seals(memory, SEALS)?)
}

/// Adds [`SIZE_SEALS`].
#[cfg(feature = "limits")]
pub(crate) fn seal_size(memory: impl AsFd) -> io::Result<()> {
    Ok(rustix::fs::fcntl_add_seals(memory, SIZE_SEALS)?)
}

/// The seals it has; an error if it is nothing that can be sealed.
pub(crate) fn seals(memory: impl AsFd) -> io::Result<SealFlags> {
    Ok(rustix::fs::fcntl_get_seals(memory)?)
}

/// Its size in bytes.
pub(crate) fn size(memory: impl AsFd) -> io::Result<u64> {
    Ok(u64::try_from(rustix::fs::fstat(memory)?.st_size).unwrap_or(0))
}

/// Whether it lives in memory and nowhere else.
pub(crate) fn is_tmpfs(memory: impl AsFd) -> io::Result<bool> {
    Ok(rustix::fs::fstatfs(memory)?.f_type as i64 == TMPFS)
}
