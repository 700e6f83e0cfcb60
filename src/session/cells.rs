//! Which credit cells are free for the channels that this side declares.
//!
//! A cell is named by an index, and lies in the half of whoever receives. Both sides declare channels, so each takes only
//! indices of its own parity, of either half: the two halves' cells of one index serve one channel at a time.

use super::Role;
use crate::link::Transmit;

/// The cell of a channel, and the generation that tells its grants from those of the cell's earlier channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) index: u32,
    pub(super) generation: u16,
}

/// The cells of this side's parity. That goes by its role in the session, since all connections share them.
#[derive(Debug)]
pub(super) struct Cells {
    role: Role,
    /// Cells that were used before and are free, as they are to be used next.
    free: Vec<Cell>,
    /// How many have ever been used.
    used: u32,
}

impl Cells {
    pub(super) fn new(role: Role) -> Self {
        Self { role, free: Vec::new(), used: 0 }
    }

    /// The n-th of the cells to be taken next, if the link has that many.
    pub(super) fn peek(&self, n: usize, out: &dyn Transmit) -> Option<Cell> {
        if let Some(at) = self.free.len().checked_sub(n + 1) {
            return self.free.get(at).copied();
        }
        let fresh = u32::try_from(n - self.free.len()).ok()?.checked_add(self.used)?;
        let index = fresh.checked_mul(2)?.checked_add(u32::from(self.role == Role::Acceptor))?;
        (index < out.cells()).then_some(Cell { index, generation: 0 })
    }

    /// Takes the cell that was seen first.
    pub(super) fn take(&mut self) {
        if self.free.pop().is_none() {
            self.used += 1;
        }
    }

    /// A cell's channel has ended on both sides.
    pub(super) fn give_back(&mut self, cell: Cell) {
        self.free.push(Cell { generation: cell.generation.wrapping_add(1), ..cell });
    }

    /// How many were taken and not given back.
    #[cfg(any(fuzzing, test))]
    pub(super) fn lost(&self) -> usize {
        self.used as usize - self.free.len()
    }

    /// Whether the peer may declare a channel with a cell of this index.
    pub(super) fn is_one_of_peer(&self, index: u32, out: &dyn Transmit) -> bool {
        index < out.cells() && (index % 2 == 1) == (self.role == Role::Initiator)
    }
}
