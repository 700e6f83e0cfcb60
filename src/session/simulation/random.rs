//! Numbers that are the same in every run of a seed.

/// A small generator of numbers (splitmix64, Steele et al. 2014).
pub(super) struct Random(u64);

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

fn mix(mixed: u64) -> u64 {
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

impl Random {
    /// The numbers of one step of a seed's run. They do not depend on other steps, so that a run may leave some out.
    pub(super) fn new(seed: u64, step: u64) -> Self {
        Self(mix(mix(seed.wrapping_add(STEP)) ^ step.wrapping_mul(STEP)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A number up to `most`.
    pub(super) fn up_to(&mut self, most: usize) -> usize {
        self.index(most + 1)
    }

    /// An index of something with this many.
    pub(super) fn index(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    /// A small number up to `most`.
    pub(super) fn small(&mut self, most: u32) -> u32 {
        (self.next() % (u64::from(most) + 1)) as u32
    }

    /// True once in so many times.
    pub(super) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// `one` once in so many times, else `other`.
    pub(super) fn either<T>(&mut self, times: u64, one: T, other: T) -> T {
        if self.one_in(times) { one } else { other }
    }
}
