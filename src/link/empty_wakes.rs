//! Wake-ups that bring nothing: forgiven up to a bound.
//!
//! An honest peer wakes this side once at most for each frame, and for each wait for space that has come to its end. It may
//! be late: this side has found by itself what it is then woken for, and sleeps again. So wake-ups for nothing happen, but
//! never more of them than the peer has threads between showing something and having rung for it; twice as many, since a
//! ring is two steps, the count and the bell, and each may end a sleep of its own.
//!
//! Each wake-up adds one to a debt, and what was found takes off as many as there can be for it. Honest wake-ups that are
//! still to come, and the debt, together grow only while there is no debt; hence the debt stays below the bound above. A
//! peer beyond it wakes this side to keep it busy.

use super::{Corrupt, Header};

/// Wake-ups for nothing that are forgiven: those of a thousand threads that have shown something and not yet rung for it,
/// all at the same time. They are over within a moment.
const FORGIVEN: u32 = 2048;
/// Wake-ups that one ring may be.
const FOR_ONE_RING: u64 = 2;

/// The wake-ups that brought nothing so far, as of the last announcement of a sleep.
#[derive(Debug, Default)]
pub(super) struct EmptyWakes {
    debt: u32,
    /// Up to where frames had been taken.
    taken: u64,
    /// The space that was waited for; zero for none.
    space: u64,
}

impl EmptyWakes {
    /// This side sleeps anew: it was woken so many times since it last did, has taken frames up to the position `taken`, and
    /// waits for space up to `space` or, with zero, for none.
    ///
    /// # Errors
    /// [`Corrupt::EmptyWakes`] if it is woken for nothing, again and again.
    pub(super) fn sleeps(&mut self, woken: u32, taken: u64, space: u64) -> Result<(), Corrupt> {
        // Every frame takes up two headers at least, so that this is not less than what there can be for frames.
        let frames = (taken - self.taken) / Header::LEN as u64;
        let for_space = if self.space != 0 && self.space != space { FOR_ONE_RING } else { 0 };
        let found = u32::try_from(frames + for_space).unwrap_or(u32::MAX);
        self.debt = self.debt.saturating_add(woken).saturating_sub(found);
        (self.taken, self.space) = (taken, space);
        if self.debt > FORGIVEN { Err(Corrupt::EmptyWakes { forgiven: FORGIVEN }) } else { Ok(()) }
    }
}

const _: () = assert!(transom_shm_layout::ring::ALIGN >= FOR_ONE_RING * Header::LEN as u64);

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: u64 = transom_shm_layout::ring::ALIGN;

    #[test]
    fn what_is_found_makes_up_for_wake_ups_and_lays_nothing_by() {
        let (mut wakes, mut taken) = (EmptyWakes::default(), 0);
        for _ in 0..3 * FORGIVEN {
            taken += FRAME;
            wakes.sleeps(2, taken, 0).unwrap();
        }
        for _ in 0..FORGIVEN {
            wakes.sleeps(1, taken, 0).unwrap();
        }
        assert!(wakes.sleeps(1, taken, 0).is_err());
        taken += FRAME;
        wakes.sleeps(1, taken, 0).unwrap();
    }

    #[test]
    fn a_sleep_that_nothing_ended_costs_nothing() {
        let mut wakes = EmptyWakes::default();
        for _ in 0..3 * FORGIVEN {
            wakes.sleeps(0, 0, 0).unwrap();
        }
    }

    #[test]
    fn a_wait_for_space_makes_up_when_it_is_over() {
        let mut wakes = EmptyWakes::default();
        for goal in 1..=u64::from(3 * FORGIVEN) {
            wakes.sleeps(2, 0, goal).unwrap();
        }
        // One that is never over does not.
        let same = (0..=FORGIVEN + 2).find(|_| wakes.sleeps(1, 0, 7).is_err());
        assert!(same.is_some());
    }

    /// Threads of an honest peer, each anywhere between showing a frame and having rung for it, in any order.
    #[test]
    fn an_honest_peer_is_never_accused() {
        for seed in 1..20_u64 {
            let mut state = seed;
            let mut random = |bound: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % bound
            };
            let (mut wakes, mut taken, mut late) = (EmptyWakes::default(), 0, 0_u64);
            for _ in 0..50_000 {
                // Each thread owes two steps at most before it shows another frame.
                let shown = random(5).min((u64::from(FORGIVEN) - late) / FOR_ONE_RING);
                taken += shown * FRAME;
                late += shown * FOR_ONE_RING;
                let woken = random(late.min(3) + 1);
                late -= woken;
                wakes.sleeps(u32::try_from(woken).unwrap(), taken, 0).unwrap();
            }
        }
    }
}
