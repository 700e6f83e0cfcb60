//! The prologue: what both sides say of themselves before anything else, in 64 bytes.
//!
//! ```text
//!  0         8            10          12     13      14       16        24          40
//!  | magic   | newest u16 | least u16 | word | stance| zero   | half u64| ticket    | zero .. 64
//! ```
//! All little-endian. A stance of [`Stance::Memory`] comes with two descriptors: the half, and the end of a pipe that
//! rings its owner.

use super::{Stance, Versions};
use crate::link::Ticket;

/// Bytes of a prologue.
pub(super) const LEN: usize = 64;
/// What every prologue begins with; a wrong client sees a line of text.
pub(super) const MAGIC: [u8; 8] = *b"TRNSOM\r\n";

/// What a prologue is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// The initiator asks for a session.
    Ask,
    /// The acceptor grants it.
    Welcome,
    /// The acceptor refuses it.
    Refuse(Refused),
}

/// Why an acceptor refused, as it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// There is no version that both speak.
    #[error("it speaks no version that this side does")]
    Version,
    /// Its policy does not let this side in.
    #[error("its policy does not let this side in")]
    Forbidden,
    /// The ticket is not the one it gave out.
    #[error("it did not give out this ticket")]
    Ticket,
    /// It is opening as many sessions as it can.
    #[error("it is busy")]
    Busy,
    /// What this side sent is malformed.
    #[error("what this side sent is malformed")]
    Malformed,
    /// A reason that this version does not know.
    #[error("for a reason unknown to this version")]
    Unknown,
}

impl Word {
    fn code(self) -> u8 {
        match self {
            Self::Ask => 0,
            Self::Welcome => 1,
            Self::Refuse(Refused::Version) => 2,
            Self::Refuse(Refused::Forbidden) => 3,
            Self::Refuse(Refused::Ticket) => 4,
            Self::Refuse(Refused::Busy) => 5,
            Self::Refuse(Refused::Malformed) => 6,
            Self::Refuse(Refused::Unknown) => u8::MAX,
        }
    }

    fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Ask,
            1 => Self::Welcome,
            2 => Self::Refuse(Refused::Version),
            3 => Self::Refuse(Refused::Forbidden),
            4 => Self::Refuse(Refused::Ticket),
            5 => Self::Refuse(Refused::Busy),
            6 => Self::Refuse(Refused::Malformed),
            _ => Self::Refuse(Refused::Unknown),
        }
    }
}

/// A prologue. What is not known of another version's is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prologue {
    pub(super) versions: Versions,
    pub(super) word: Word,
    pub(super) stance: Stance,
    /// The size of the half that comes with it, or 0.
    pub(super) half: u64,
    /// The ticket of a spawned cell, or zeros.
    pub(super) ticket: Ticket,
}

impl Prologue {
    pub(super) fn encode(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&self.versions.newest.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.versions.least.to_le_bytes());
        bytes[12] = self.word.code();
        bytes[13] = self.stance.code();
        bytes[16..24].copy_from_slice(&self.half.to_le_bytes());
        bytes[24..40].copy_from_slice(&self.ticket.0);
        bytes
    }

    /// Reads what begins with [`MAGIC`], which the caller has checked.
    pub(super) fn decode(bytes: &[u8; LEN]) -> Self {
        let short = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let mut half = [0; 8];
        half.copy_from_slice(&bytes[16..24]);
        let mut ticket = [0; 16];
        ticket.copy_from_slice(&bytes[24..40]);
        Self {
            versions: Versions { newest: short(8), least: short(10) },
            word: Word::from_code(bytes[12]),
            stance: Stance::from_code(bytes[13]),
            half: u64::from_le_bytes(half),
            ticket: Ticket(ticket),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prologue_survives_the_socket() {
        for code in 0..=u8::MAX {
            let prologue = Prologue {
                versions: Versions { newest: 0x0102, least: 3 },
                word: Word::from_code(code),
                stance: Stance::from_code(code),
                half: 0x1122_3344_5566_7788,
                ticket: Ticket([code; 16]),
            };
            assert_eq!(Prologue::decode(&prologue.encode()), prologue);
        }
    }

    #[test]
    fn the_bytes_are_where_the_page_says() {
        let versions = Versions { newest: 1, least: 1 };
        let ticket = Ticket([9; 16]);
        let prologue = Prologue { versions, word: Word::Welcome, stance: Stance::Attach, half: 5, ticket };
        let mut expected = [0; LEN];
        expected[..8].copy_from_slice(b"TRNSOM\r\n");
        (expected[8], expected[10], expected[12], expected[13], expected[16]) = (1, 1, 1, 4, 5);
        expected[24..40].fill(9);
        assert_eq!(prologue.encode(), expected);
    }
}
