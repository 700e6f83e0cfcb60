//! The map of a half: one header page, a page of words, tables, and the ring's bytes.
//!
//! ```text
//!  offset            what                                   written by
//!  0                 header: magic .. sizes                  its owner, once, before it is passed on
//!  4096              ProducerLine  tail of the outgoing ring its owner
//!  4096 + 128        ConsumerLine  head of the incoming ring its owner
//!  4096 + 256        BellLine      sleep, space, cpu         its owner
//!  4096 + 384        RingsLine     rings of the peer's bell  its owner
//!  4096 + 512        status board: `board_slots` of 32 bytes its owner
//!    + 0, 8, 16, 24    state, request, method, since
//!  8192              credit cells: `credit_cells` of 8 bytes its owner
//!  next page         the outgoing ring's bytes               its owner
//! ```
//! A half has one writer; its peer maps it read-only. The peer reads the header once, checks it by computing the
//! same plan, and never looks at it again.

use core::fmt;

use crate::board;
use crate::ring::Capacity;
use crate::sync::AtomicU64;
use crate::word::{BellLine, ConsumerLine, ProducerLine, RingsLine};

/// The first eight bytes of a half.
pub const MAGIC: [u8; 8] = *b"TRNSHALF";
/// The version of this map.
pub const LAYOUT_VERSION: u16 = 1;
/// A number whose bytes tell the byte order.
pub const BYTE_ORDER: u16 = 0x0102;
/// The page size of this map, whatever the machine's.
pub const PAGE: usize = 4096;
/// Bytes of the header that mean something; the rest of its page is zero.
pub const HEADER_LEN: usize = 56;
/// Bytes of a slot of the status board.
pub const BOARD_SLOT: usize = size_of::<board::Slot>();
/// Bytes of a credit cell.
pub const CREDIT_CELL: usize = size_of::<AtomicU64>();
/// Where the words are.
pub const TAIL: usize = PAGE;
/// The consumer's line.
pub const HEAD: usize = TAIL + size_of::<ProducerLine>();
/// The bell's line.
pub const BELL: usize = HEAD + size_of::<ConsumerLine>();
/// The line of the rings.
pub const RINGS: usize = BELL + size_of::<BellLine>();
/// The status board.
pub const BOARD: usize = RINGS + size_of::<RingsLine>();
/// The credit cells.
pub const CREDIT: usize = 2 * PAGE;
/// The most slots of the board: what is left of its page.
pub const MAX_BOARD_SLOTS: u32 = ((CREDIT - BOARD) / BOARD_SLOT) as u32;
/// The most credit cells.
pub const MAX_CREDIT_CELLS: u32 = 1 << 16;

const _: () = {
    assert!(size_of::<ProducerLine>() == 128 && align_of::<ProducerLine>() == 128);
    assert!(size_of::<ConsumerLine>() == 128 && align_of::<ConsumerLine>() == 128);
    assert!(size_of::<BellLine>() == 128 && align_of::<BellLine>() == 128);
    assert!(size_of::<RingsLine>() == 128 && align_of::<RingsLine>() == 128);
    assert!(BOARD_SLOT == 32 && BOARD.is_multiple_of(align_of::<board::Slot>()));
    assert!(CREDIT_CELL == 8 && CREDIT.is_multiple_of(align_of::<AtomicU64>()));
};

/// What a half is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HalfConfig {
    /// Bytes of the outgoing ring: a power of two.
    pub ring: u64,
    /// Credit cells.
    pub credit_cells: u32,
    /// Slots of the status board.
    pub board_slots: u32,
}

impl Default for HalfConfig {
    fn default() -> Self {
        Self { ring: 64 * 1024, credit_cells: 256, board_slots: 64 }
    }
}

/// Where everything in a half is. It cannot be wrong: it is computed, never read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HalfPlan {
    config: HalfConfig,
    capacity: Capacity,
    ring: usize,
    size: usize,
}

/// Why a configuration gives no half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanError {
    /// The ring's size is no power of two within the limits.
    Ring(u64),
    /// More credit cells than a half may have.
    CreditCells(u32),
    /// More board slots than their page holds.
    BoardSlots(u32),
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ring(size) => write!(f, "ring size {size} is no power of two from 4 KiB to 1 GiB"),
            Self::CreditCells(count) => write!(f, "{count} credit cells exceed {MAX_CREDIT_CELLS}"),
            Self::BoardSlots(count) => write!(f, "{count} board slots exceed {MAX_BOARD_SLOTS}"),
        }
    }
}

impl core::error::Error for PlanError {}

/// Why bytes are not the header of a half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyError {
    /// It does not begin with [`MAGIC`].
    Magic,
    /// Another version of the map.
    Version(u16),
    /// Another byte order.
    ByteOrder,
    /// Another size of pointers, in bytes.
    WordSize(u16),
    /// Another page size.
    PageSize(u32),
    /// The configuration gives no half.
    Plan(PlanError),
    /// The ring is not where this configuration puts it.
    RingOffset(u64),
    /// The size is not what this configuration needs.
    Size(u64),
    /// The size is not that of the memory it lies in.
    Mapped {
        /// What the header says.
        header: u64,
        /// What is there.
        mapped: u64,
    },
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => f.write_str("the memory does not begin as a half does"),
            Self::Version(version) => write!(f, "layout version {version}, this side knows {LAYOUT_VERSION}"),
            Self::ByteOrder => f.write_str("the half was made with another byte order"),
            Self::WordSize(size) => write!(f, "the half was made for {size}-byte pointers"),
            Self::PageSize(size) => write!(f, "the half was made for pages of {size} bytes"),
            Self::Plan(plan) => plan.fmt(f),
            Self::RingOffset(offset) => write!(f, "the ring is said to be at {offset}"),
            Self::Size(size) => write!(f, "the half is said to be {size} bytes long"),
            Self::Mapped { header, mapped } => {
                write!(f, "the half is said to be {header} bytes long and is {mapped}")
            }
        }
    }
}

impl core::error::Error for VerifyError {}

impl HalfPlan {
    /// Lays out a half.
    ///
    /// # Errors
    /// [`PlanError`] names the value that no half can have.
    pub fn new(config: HalfConfig) -> Result<Self, PlanError> {
        let capacity = Capacity::new(config.ring).ok_or(PlanError::Ring(config.ring))?;
        if config.credit_cells > MAX_CREDIT_CELLS {
            return Err(PlanError::CreditCells(config.credit_cells));
        }
        if config.board_slots > MAX_BOARD_SLOTS {
            return Err(PlanError::BoardSlots(config.board_slots));
        }
        // The limits above keep every sum far below what 64 bits hold.
        let ring = (CREDIT + config.credit_cells as usize * CREDIT_CELL).next_multiple_of(PAGE);
        let size = ring + config.ring as usize;
        Ok(Self { config, capacity, ring, size })
    }

    /// What the half holds.
    pub fn config(&self) -> HalfConfig {
        self.config
    }

    /// The ring's capacity.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Where this slot of the status board is, if there is one of that number.
    pub fn board_slot(&self, index: u32) -> Option<usize> {
        (index < self.config.board_slots).then_some(BOARD + index as usize * BOARD_SLOT)
    }

    /// Where this credit cell is, if there is one of that number.
    pub fn credit_cell(&self, index: u32) -> Option<usize> {
        (index < self.config.credit_cells).then_some(CREDIT + index as usize * CREDIT_CELL)
    }

    /// Where the ring's bytes begin.
    pub fn ring(&self) -> usize {
        self.ring
    }

    /// The size of the half in bytes, a multiple of the page.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The header of this half.
    ///
    /// ```text
    ///  0 magic  8 version u16  10 byte order u16  12 word size u16  14 zero u16  16 page u32  20 credit cells u32
    ///  24 board slots u32  28 zero u32  32 ring size u64  40 ring offset u64  48 size u64
    /// ```
    pub fn header(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &MAGIC);
        put(8, &LAYOUT_VERSION.to_le_bytes());
        put(10, &BYTE_ORDER.to_ne_bytes());
        put(12, &(size_of::<usize>() as u16).to_le_bytes());
        put(16, &(PAGE as u32).to_le_bytes());
        put(20, &self.config.credit_cells.to_le_bytes());
        put(24, &self.config.board_slots.to_le_bytes());
        put(32, &self.config.ring.to_le_bytes());
        put(40, &(self.ring as u64).to_le_bytes());
        put(48, &(self.size as u64).to_le_bytes());
        bytes
    }

    /// Reads a header that has been copied to private memory, and checks every field of it against the plan that
    /// its configuration gives and the size of the memory it was in.
    ///
    /// # Errors
    /// [`VerifyError`], one for each check.
    pub fn verify(header: &[u8; HEADER_LEN], mapped: u64) -> Result<Self, VerifyError> {
        let short = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let word = |at: usize| u32::from(short(at)) | u32::from(short(at + 2)) << 16;
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        if header[..8] != MAGIC {
            return Err(VerifyError::Magic);
        }
        if short(8) != LAYOUT_VERSION {
            return Err(VerifyError::Version(short(8)));
        }
        if short(10) != BYTE_ORDER {
            return Err(VerifyError::ByteOrder);
        }
        if usize::from(short(12)) != size_of::<usize>() || short(14) != 0 {
            return Err(VerifyError::WordSize(short(12)));
        }
        if word(16) != PAGE as u32 || word(28) != 0 {
            return Err(VerifyError::PageSize(word(16)));
        }
        let config = HalfConfig { ring: long(32), credit_cells: word(20), board_slots: word(24) };
        let plan = Self::new(config).map_err(VerifyError::Plan)?;
        if long(40) != plan.ring as u64 {
            return Err(VerifyError::RingOffset(long(40)));
        }
        if long(48) != plan.size as u64 {
            return Err(VerifyError::Size(long(48)));
        }
        if long(48) != mapped {
            return Err(VerifyError::Mapped { header: long(48), mapped });
        }
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_verifies_and_every_changed_byte_does_not() {
        let plan = HalfPlan::new(HalfConfig::default()).unwrap();
        let mapped = plan.size() as u64;
        assert_eq!(HalfPlan::verify(&plan.header(), mapped), Ok(plan));
        for at in 0..HEADER_LEN {
            for bit in 0..8 {
                let mut header = plan.header();
                header[at] ^= 1 << bit;
                match HalfPlan::verify(&header, mapped) {
                    Err(_) => {}
                    // Another number of board slots or of cells within the same page is another good half.
                    Ok(other) => assert!((20..28).contains(&at) && other.size() == plan.size(), "byte {at}"),
                }
            }
        }
        assert_eq!(
            HalfPlan::verify(&plan.header(), mapped + 1),
            Err(VerifyError::Mapped { header: mapped, mapped: mapped + 1 })
        );
    }

    #[test]
    fn senseless_configurations_are_named() {
        let config = HalfConfig::default();
        for ring in [0, 1, 4095, 4097, 65_537, 1 << 31, u64::MAX] {
            assert_eq!(HalfPlan::new(HalfConfig { ring, ..config }), Err(PlanError::Ring(ring)));
        }
        let credit_cells = MAX_CREDIT_CELLS + 1;
        assert_eq!(
            HalfPlan::new(HalfConfig { credit_cells, ..config }),
            Err(PlanError::CreditCells(credit_cells))
        );
        let board_slots = MAX_BOARD_SLOTS + 1;
        assert_eq!(
            HalfPlan::new(HalfConfig { board_slots, ..config }),
            Err(PlanError::BoardSlots(board_slots))
        );
    }
}
