//! Creating a half and attaching to the peer's.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::SealFlags;
use transom_shm_layout::half::{HEADER_LEN, HalfConfig, HalfPlan, PlanError, VerifyError};

use super::{OwnRegion, PeerRegion};
use crate::sys::memfd;

/// A half that this side owns: mapped here, and what the peer maps.
pub(crate) struct Memory {
    /// The mapping, writable.
    pub(crate) region: OwnRegion,
    /// The sealed memory, to be passed on.
    pub(crate) descriptor: OwnedFd,
}

/// Why the peer's half cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// It is nothing that can be sealed.
    #[error("the peer's memory cannot be sealed: {0}")]
    NotSealable(#[source] io::Error),
    /// Seals are missing: the peer could shrink it, or somebody could map it writable.
    #[error("the peer's memory lacks the seals {missing:#x}")]
    Unsealed {
        /// The seals that are missing, as `fcntl` numbers them.
        missing: u32,
    },
    /// It does not live in memory.
    #[error("the peer's memory is a file")]
    NotMemory,
    /// It has another size than announced.
    #[error("the peer's memory is {found} bytes long, announced were {announced}")]
    Size {
        /// What was announced.
        announced: u64,
        /// What it is.
        found: u64,
    },
    /// It is larger than this side allows.
    #[error("the peer's memory of {announced} bytes exceeds the cap of {cap}")]
    OverCap {
        /// What was announced.
        announced: u64,
        /// The most that is allowed.
        cap: u64,
    },
    /// What came with it to ring the peer is no pipe.
    #[error("the peer's bell is not a pipe")]
    NotAPipe,
    /// Its header is not that of a half.
    #[error("the peer's half: {0}")]
    Header(#[from] VerifyError),
    /// The operating system refused.
    #[error("the peer's memory: {0}")]
    Io(#[from] io::Error),
}

/// Why this side has no half to offer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateError {
    /// There is no such half.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The operating system refused.
    #[error("shared memory: {0}")]
    Io(#[from] io::Error),
}

/// Creates, maps and seals a half, in this order: sealed memory can no longer be mapped writable.
///
/// # Errors
/// [`CreateError`]; nothing is left behind.
pub(crate) fn create(config: HalfConfig) -> Result<Memory, CreateError> {
    let plan = HalfPlan::new(config)?;
    let descriptor = memfd::create("transom", plan.size() as u64)?;
    let region = OwnRegion::map(&descriptor, plan)?;
    memfd::seal(&descriptor)?;
    Ok(Memory { region, descriptor })
}

/// Checks and maps the peer's half.
///
/// # Errors
/// [`AttachError`], one for each check; nothing stays mapped.
pub(crate) fn attach(descriptor: impl AsFd, announced: u64, cap: u64) -> Result<PeerRegion, AttachError> {
    let descriptor = descriptor.as_fd();
    if announced > cap {
        return Err(AttachError::OverCap { announced, cap });
    }
    let seals = memfd::seals(descriptor).map_err(AttachError::NotSealable)?;
    // A mask: more seals than these do no harm.
    let missing: SealFlags = memfd::SEALS - seals;
    if !missing.is_empty() {
        return Err(AttachError::Unsealed { missing: missing.bits() });
    }
    if !memfd::is_tmpfs(descriptor)? {
        return Err(AttachError::NotMemory);
    }
    let found = memfd::size(descriptor)?;
    if found != announced {
        return Err(AttachError::Size { announced, found });
    }
    PeerRegion::map(descriptor, found, |header: &[u8; HEADER_LEN]| HalfPlan::verify(header, found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{MemfdFlags, fcntl_add_seals, memfd_create};
    use rustix::io::Errno;

    const CAP: u64 = 1 << 20;

    fn good() -> (Memory, u64) {
        let memory = create(HalfConfig::default()).unwrap();
        let size = memfd::size(&memory.descriptor).unwrap();
        (memory, size)
    }

    fn raw(bytes: &[u8], size: u64, seals: SealFlags) -> OwnedFd {
        let memory = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        rustix::fs::ftruncate(&memory, size).unwrap();
        rustix::io::pwrite(&memory, bytes, 0).unwrap();
        fcntl_add_seals(&memory, seals).unwrap();
        memory
    }

    #[test]
    fn a_good_half_attaches() {
        let (memory, size) = good();
        attach(&memory.descriptor, size, CAP).unwrap();
    }

    #[test]
    fn each_missing_seal_is_found() {
        let (memory, size) = good();
        let header = memory.region.plan().header();
        for missing in [SealFlags::SHRINK, SealFlags::GROW, SealFlags::FUTURE_WRITE, SealFlags::SEAL] {
            let bad = raw(&header, size, memfd::SEALS - missing);
            match attach(&bad, size, CAP) {
                Err(AttachError::Unsealed { missing: found }) => assert_eq!(found, missing.bits()),
                other => panic!("{:?}", other.err()),
            }
        }
        // More seals than needed are fine: it is a mask.
        attach(raw(&header, size, memfd::SEALS | SealFlags::WRITE), size, CAP).unwrap();
    }

    #[test]
    fn what_is_no_sealable_memory_is_refused() {
        let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
        assert!(matches!(attach(&file, 4096, CAP), Err(AttachError::NotSealable(_))));
        let (reader, _writer) = crate::sys::pipe::create().unwrap();
        assert!(matches!(attach(&reader, 4096, CAP), Err(AttachError::NotSealable(_))));
    }

    #[test]
    fn another_size_is_refused() {
        let (memory, size) = good();
        assert!(matches!(attach(&memory.descriptor, size + 4096, CAP), Err(AttachError::Size { .. })));
        assert!(matches!(attach(&memory.descriptor, size, size - 1), Err(AttachError::OverCap { .. })));
        let tiny = raw(b"", 8, memfd::SEALS);
        assert!(matches!(attach(&tiny, 8, CAP), Err(AttachError::Header(_))));
    }

    #[test]
    fn every_corrupted_header_byte_is_refused() {
        let (memory, size) = good();
        for at in (0..HEADER_LEN).filter(|at| !(20..28).contains(at)) {
            let mut header = memory.region.plan().header();
            header[at] ^= 0x40;
            let bad = raw(&header, size, memfd::SEALS);
            assert!(matches!(attach(&bad, size, CAP), Err(AttachError::Header(_))), "byte {at}");
        }
    }

    #[test]
    fn the_peer_can_change_nothing() {
        let (memory, _) = good();
        let half = &memory.descriptor;
        assert_eq!(rustix::io::pwrite(half, b"x", 0), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(half, 0), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(half, 1 << 20), Err(Errno::PERM));
        assert!(memmap2::MmapOptions::new().map_raw(half).is_err());
        let hole = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
        assert_eq!(rustix::fs::fallocate(half, hole, 0, 4096), Err(Errno::PERM));
    }
}
