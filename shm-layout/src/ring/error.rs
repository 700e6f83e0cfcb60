//! What a ring refuses: what its peer wrote, or what does not fit.

/// What a peer wrote that a ring forbids. The ring must not be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corrupt {
    /// A position broke I1 or I2.
    Position {
        /// What was read.
        position: u64,
        /// The least it may be.
        from: u64,
        /// The most it may be.
        to: u64,
    },
    /// A frame is longer than what was published, than what a frame may be, or than the bytes to the end.
    Length {
        /// The payload length that was read.
        length: u32,
        /// The most it may be.
        limit: u32,
    },
}

impl core::fmt::Display for Corrupt {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Position { position, from, to } => {
                write!(f, "ring position {position} is outside {from}..={to}")
            }
            Self::Length { length, limit } => write!(f, "frame length {length} exceeds {limit}"),
        }
    }
}

impl core::error::Error for Corrupt {}

/// Why there is no room for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReserveError {
    /// Not now; nothing has changed.
    Full,
    /// Not ever: with its header it exceeds half the ring.
    TooLarge,
    /// The consumer's position is impossible.
    Corrupt(Corrupt),
}

impl core::fmt::Display for ReserveError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Full => f.write_str("the ring is full"),
            Self::TooLarge => f.write_str("the frame exceeds half the ring"),
            Self::Corrupt(corrupt) => corrupt.fmt(f),
        }
    }
}

impl core::error::Error for ReserveError {}
