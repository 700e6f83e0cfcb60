//! Halves of a segment, good and bad, as the map of a half has it.
//!
//! ```text
//!  0 header   4096 tail   +128 head   +256 sleep, space, cpu   +384 rings   8192 credit cells   12288 ring
//! ```

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags};
use vm_memory::{Bytes as _, FileOffset, MmapRegion, VolatileMemory as _};

/// Where a half's tail is.
pub const TAIL: usize = 4096;
/// Where a half's head is.
pub const HEAD: usize = TAIL + 128;
/// Where a half's line of the bell is: sleep, space, cpu.
pub const BELL: usize = HEAD + 128;
/// Where a half's count of rings is.
pub const RINGS: usize = BELL + 128;
/// Where the ring's bytes begin.
pub const RING: usize = 12_288;

/// Frames begin at multiples of this.
pub const ALIGN: u64 = 64;

/// What the test's rings hold, unless a test wants another size.
pub const SIZE: u64 = 16 * 1024;

/// The seals that a half must have.
pub const SEALS: SealFlags =
    SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::FUTURE_WRITE).union(SealFlags::SEAL);

/// The size of a half with a ring of `ring` bytes.
pub fn size_of_half(ring: u64) -> u64 {
    RING as u64 + ring
}

/// The header of a half with a ring of `ring` bytes.
///
/// ```text
///  0 magic  8 version u16  10 byte order u16  12 word size u16  14 zero u16  16 page u32  20 credit cells u32
///  24 board slots u32  28 zero u32  32 ring size u64  40 ring offset u64  48 size u64
/// ```
pub fn header(ring: u64) -> [u8; 56] {
    let mut bytes = [0; 56];
    bytes[..8].copy_from_slice(b"TRNSHALF");
    bytes[8] = 1;
    bytes[10..12].copy_from_slice(&0x0102_u16.to_le_bytes());
    bytes[12] = 8;
    bytes[16..20].copy_from_slice(&4096_u32.to_le_bytes());
    bytes[20..24].copy_from_slice(&256_u32.to_le_bytes());
    bytes[24..28].copy_from_slice(&64_u32.to_le_bytes());
    bytes[32..40].copy_from_slice(&ring.to_le_bytes());
    bytes[40..48].copy_from_slice(&(RING as u64).to_le_bytes());
    bytes[48..56].copy_from_slice(&size_of_half(ring).to_le_bytes());
    bytes
}

/// Memory of `size` bytes that begins with `header`, with these seals.
pub fn memory(header: &[u8], size: u64, seals: SealFlags) -> OwnedFd {
    let memory = memfd_create("hostile", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).expect("a memfd");
    ftruncate(&memory, size).expect("its size");
    let fits = header.len().min(usize::try_from(size).expect("a size"));
    rustix::io::pwrite(&memory, &header[..fits], 0).expect("its header");
    fcntl_add_seals(&memory, seals).expect("its seals");
    memory
}

/// A half, mapped.
pub struct Half(MmapRegion);

impl Half {
    /// A good half with a ring of `ring` bytes: mapped writable, and sealed then.
    pub fn new(ring: u64) -> Self {
        let memory = memory(&header(ring), size_of_half(ring), SealFlags::empty());
        let size = usize::try_from(size_of_half(ring)).expect("a size");
        let half =
            Self(MmapRegion::from_file(FileOffset::new(File::from(memory), 0), size).expect("a mapping"));
        fcntl_add_seals(half.descriptor(), SEALS).expect("its seals");
        half
    }

    /// The other side's half, mapped read-only.
    pub fn of_the_other(memory: OwnedFd, size: u64) -> Self {
        let (protection, flags) =
            (ProtFlags::READ.bits().cast_signed(), MapFlags::SHARED.bits().cast_signed());
        let (file, size) = (FileOffset::new(File::from(memory), 0), usize::try_from(size).expect("a size"));
        Self(MmapRegion::build(Some(file), size, protection, flags).expect("a mapping"))
    }

    /// What the other side maps.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.file_offset().expect("it maps a file").file().as_fd()
    }

    /// The word at an offset.
    pub fn word(&self, at: usize) -> &AtomicU64 {
        self.0.get_atomic_ref(at).expect("a word")
    }

    /// The short word at an offset.
    pub fn short_word(&self, at: usize) -> &AtomicU32 {
        self.0.get_atomic_ref(at).expect("a word")
    }

    /// How many bytes the ring holds.
    pub fn ring(&self) -> u64 {
        (self.0.size() - RING) as u64
    }

    /// Writes bytes at an offset.
    pub fn write(&self, at: usize, bytes: &[u8]) {
        self.0.as_volatile_slice().write_slice(bytes, at).expect("within the half");
    }

    /// Reads bytes at an offset.
    pub fn read(&self, at: usize, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.as_volatile_slice().read_slice(&mut bytes, at).expect("within the half");
        bytes
    }
}
