//! Frames of items in parts: a frame that the one side may send can be more than the other side takes at a time.

use std::os::fd::BorrowedFd;

use crate::session::{ITEM_DESCRIPTOR, ITEM_LENGTH, ITEM_OVERHEAD, ItemRun, Items};

/// How much of a frame has been sent.
#[derive(Debug, Default)]
pub(super) struct Progress {
    bytes: usize,
    count: u32,
}

/// What is left of a frame, or the first items of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    bytes: &'a [u8],
    count: u32,
    batch: bool,
    /// How many descriptors were sent with it.
    descriptors: usize,
}

impl Progress {
    /// What is left.
    pub(super) fn rest<'a>(&self, items: &'a Items) -> Part<'a> {
        let bytes = items.payload.get(self.bytes..).unwrap_or_default();
        let (count, descriptors) = (items.count - self.count, items.descriptors.sent());
        Part { bytes, count, batch: items.batch, descriptors }
    }

    /// How far it is when `part` of what was left has been sent, or `None` if that was all.
    pub(super) fn after(&self, part: Part<'_>, items: &Items) -> Option<Self> {
        let count = self.count + part.count;
        (count < items.count).then(|| Self { bytes: self.bytes + part.bytes.len(), count })
    }
}

impl<'a> Part<'a> {
    /// Whether there are several items.
    pub(super) fn is_divisible(&self) -> bool {
        self.count > 1
    }

    /// The first items that cost no more than `credit` and take no more than `most` bytes, but one at least. A batch that
    /// is not what it should be stays whole: its receiver is to find out.
    pub(super) fn within(self, credit: u64, most: u64) -> Self {
        let fits = |part: &Self| part.cost() <= credit && part.bytes.len() as u64 <= most;
        if !self.is_divisible() || fits(&self) {
            return self;
        }
        let (mut left, mut first) = (self.bytes, None);
        for count in 1..=self.count {
            let Some(rest) = after_item(left) else { return self };
            left = rest;
            let part = Self { bytes: &self.bytes[..self.bytes.len() - left.len()], count, ..self };
            if count == 1 || fits(&part) {
                first = Some(part);
            }
        }
        if left.is_empty() { first.unwrap_or(self) } else { self }
    }

    /// To be sent in one frame, with these descriptors.
    pub(super) fn run<'r>(&'r self, descriptors: &'r [BorrowedFd<'r>]) -> ItemRun<'r> {
        ItemRun { body: &self.bytes, count: self.count, batch: self.batch, descriptors }
    }

    /// The credit that it takes.
    pub(super) fn cost(&self) -> u64 {
        let prefixes = if self.batch { ITEM_LENGTH as u64 * u64::from(self.count) } else { 0 };
        let bytes = (self.bytes.len() as u64).saturating_sub(prefixes);
        bytes + ITEM_OVERHEAD * u64::from(self.count) + ITEM_DESCRIPTOR * self.descriptors as u64
    }
}

/// What follows the first item of a batch.
fn after_item(batch: &[u8]) -> Option<&[u8]> {
    let (length, rest) = batch.split_first_chunk()?;
    rest.get(usize::try_from(u32::from_le_bytes(*length)).ok()?..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Descriptors;

    /// A batch of items of these lengths.
    fn batch(lengths: &[u32]) -> Items {
        let mut payload = Vec::new();
        for &length in lengths {
            payload.extend_from_slice(&length.to_le_bytes());
            payload.resize(payload.len() + length as usize, 0);
        }
        Items {
            payload: payload.into(),
            count: lengths.len() as u32,
            batch: true,
            descriptors: Descriptors::default(),
        }
    }

    /// How many items each part has, if there is always that much credit.
    fn parts(items: &Items, credit: u64, most: u64) -> Vec<u32> {
        let (mut progress, mut counts, mut cost) = (Some(Progress::default()), Vec::new(), 0);
        while let Some(at) = progress {
            let part = at.rest(items).within(credit, most);
            counts.push(part.count);
            cost += part.cost();
            progress = at.after(part, items);
        }
        assert_eq!(cost, items.cost(), "nothing is lost, and nothing told twice");
        counts
    }

    #[test]
    fn a_frame_that_fits_is_one_part() {
        let items = batch(&[1, 2, 3]);
        assert_eq!(parts(&items, 6 + 3 * 32, 6 + 3 * 4), [3]);
        let items = Items {
            payload: vec![0; 100].into(),
            count: 1,
            batch: false,
            descriptors: Descriptors::default(),
        };
        assert_eq!(parts(&items, 0, 0), [1]);
    }

    #[test]
    fn parts_are_as_large_as_may_be() {
        let items = batch(&[1, 2, 3, 40, 0, 0]);
        assert_eq!(parts(&items, 34 + 33, u64::MAX), [2, 1, 1, 2], "by credit");
        assert_eq!(parts(&items, u64::MAX, 18), [3, 1, 2], "by length");
        assert_eq!(parts(&items, 0, 0), [1; 6]);
    }

    #[test]
    fn a_batch_that_is_not_one_stays_whole() {
        let mut cut = batch(&[4, 4, 4]);
        cut.payload.pop();
        let mut longer = batch(&[4, 4, 4]);
        longer.payload.push(0);
        let mut announced = batch(&[4, 4, 4]);
        announced.payload[8..12].copy_from_slice(&[255; 4]);
        for items in [cut, longer, announced] {
            assert_eq!(parts(&items, 40, 10), [3]);
        }
    }
}
