//! The prologue of a hand-over, as its table has it.
//!
//! ```text
//!  0         8            10          12     13      14       16        24          40
//!  | magic   | newest u16 | least u16 | word | stance| zero   | half u64| ticket    | zero .. 64
//! ```

/// What a prologue is for.
pub mod word {
    pub const ASK: u8 = 0;
    pub const WELCOME: u8 = 1;
    pub const NO_VERSION: u8 = 2;
    pub const FORBIDDEN: u8 = 3;
    pub const TICKET: u8 = 4;
    pub const BUSY: u8 = 5;
    pub const MALFORMED: u8 = 6;
}

/// Whether a side goes through shared memory, and why not.
pub mod stance {
    pub const MEMORY: u8 = 0;
    pub const SOCKET: u8 = 1;
    pub const SWITCHED_OFF: u8 = 2;
    pub const REFUSED: u8 = 3;
    pub const ATTACH: u8 = 4;
}

/// A prologue, with any values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prologue {
    pub newest: u16,
    pub least: u16,
    pub word: u8,
    pub stance: u8,
    pub half: u64,
    /// What is zero in every other prologue.
    pub zero: u8,
}

impl Prologue {
    pub const LEN: usize = 64;
    const MAGIC: [u8; 8] = *b"TRNSOM\r\n";

    /// A prologue of version 1.
    pub fn new(word: u8, stance: u8) -> Self {
        Self { newest: 1, least: 1, word, stance, half: 0, zero: 0 }
    }

    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [self.zero; Self::LEN];
        bytes[..8].copy_from_slice(&Self::MAGIC);
        bytes[8..10].copy_from_slice(&self.newest.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.least.to_le_bytes());
        (bytes[12], bytes[13]) = (self.word, self.stance);
        bytes[16..24].copy_from_slice(&self.half.to_le_bytes());
        // No ticket.
        bytes[24..40].fill(0);
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Self {
        assert_eq!(bytes[..8], Self::MAGIC);
        Self {
            newest: u16::from_le_bytes([bytes[8], bytes[9]]),
            least: u16::from_le_bytes([bytes[10], bytes[11]]),
            word: bytes[12],
            stance: bytes[13],
            half: u64::from_le_bytes(bytes[16..24].try_into().expect("eight bytes")),
            zero: bytes[40],
        }
    }
}
