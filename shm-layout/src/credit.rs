//! The credit cell: how a receiver lets a sender send more, without a frame and without a wake-up.
//!
//! A cell is one word in the receiver's half. Who opens a channel names the cell and a generation, which tells the
//! channel's grants from those of an earlier one in the same cell.
//!
//! ```text
//!  63           48 47                                  0
//!  |  generation  |  bytes granted beyond the window  |     modulo 2^48
//! ```
//!
//! Both sides count bytes since the beginning. The sender starts with a window that both know; grants move the window on
//! and are never taken back:
//!
//! ```text
//!        granted                 sent       granted + window
//!  ---------|---------------------|---------------|
//!           |<- unacknowledged -->|<--- credit -->|
//! ```
//!
//! An item larger than the window may go when nothing is unacknowledged; otherwise it could never go. So what a
//! receiver that grants what it has taken must be ready to hold is a window or one item, whichever is more.
//!
//! # Nobody starves unheard
//!
//! A sender without credit looks at the cell once more, says in a frame that it starves and which grant it has heard,
//! and sleeps. The receiver compares. If it has granted more since, the sender may have looked too early and is
//! told at once; if not, it is told of the next grant. What is told travels as a frame, and rings.
//!
//! A receiver that waits for items has granted all that it has taken. Otherwise an item larger than the window would
//! wait for the rest, and the receiver for the item.
//!
//! # What a lie costs
//!
//! A receiver that grants too much is sent too much, through its own ring and into its own memory; the sender keeps
//! nothing for it. One that grants too little, less than before, or in another generation starves its own channel.
//! A sender that sends without credit is found out by [`Granter::receive`]. One that says that it starves, and does
//! not, is answered with one frame each time.
//!
//! # Invariants
//! - C1  Only the receiver stores a cell; within a generation its grants only grow.
//! - C2  `sent <= granted + window`, but for one item that went when `sent <= granted`. The receiver checks the same of
//!   what it has received; it knows of every grant that the sender may have heard of.
//! - C3  `granted <= sent + MOST_AHEAD`, whatever the cell says. So no sum overflows, and no grant is mistaken for
//!   one of another round of its 48 bits.
//!
//! # Edges
//! | edge        | released by                       | acquired by    | makes visible                           |
//! |-------------|-----------------------------------|----------------|-----------------------------------------|
//! | credit.cell | `Granter::open`, `Granter::grant` | `Sender::look` | that what is granted for has been taken |

use core::fmt;

use crate::sync::AtomicU64;
use crate::sync::Ordering::Release;
use crate::word::PeerWord;

/// How far grants run ahead of what is sent, and how long an item is, at most: more than any memory holds, and a
/// quarter of the circle in which a cell counts.
pub const MOST_AHEAD: u64 = 1 << (Grant::BEYOND_BITS - 2);

/// The bits of a cell; also what a frame says where there is no cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant(u64);

impl Grant {
    const BEYOND_BITS: u32 = 48;
    const BEYOND: u64 = (1 << Self::BEYOND_BITS) - 1;

    fn new(generation: u16, beyond: u64) -> Self {
        Self(u64::from(generation) << Self::BEYOND_BITS | beyond & Self::BEYOND)
    }

    /// The grant with these bits; every word is one.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Its bits.
    pub fn bits(self) -> u64 {
        self.0
    }

    fn generation(self) -> u16 {
        (self.0 >> Self::BEYOND_BITS) as u16
    }

    /// How much this grants beyond `granted` bytes, modulo 2^48.
    fn beyond(self, granted: u64) -> u64 {
        self.0.wrapping_sub(granted) & Self::BEYOND
    }
}

/// What both sides count.
#[derive(Debug)]
struct Account {
    window: u32,
    /// Bytes that have passed: sent, or received.
    passed: u64,
    /// Bytes granted beyond the window.
    granted: u64,
}

impl Account {
    fn new(window: u32) -> Self {
        Self { window, passed: 0, granted: 0 }
    }

    #[inline]
    fn credit(&self) -> u64 {
        (self.granted + u64::from(self.window)).saturating_sub(self.passed)
    }

    /// Whether C2 allows an item of `bytes`.
    #[inline]
    fn allows(&self, bytes: u64) -> bool {
        let alone = self.passed <= self.granted && bytes <= MOST_AHEAD;
        alone || bytes <= self.credit()
    }

    /// Passes an item of `bytes` if C2 allows it.
    #[inline]
    fn pass(&mut self, bytes: u64) -> bool {
        let may = self.allows(bytes);
        if may {
            self.passed += bytes;
        }
        may
    }
}

/// The peer has sent an item for which it had no credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrun {
    /// What the item costs.
    pub bytes: u64,
    /// The credit that was left.
    pub credit: u64,
}

impl fmt::Display for Overrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an item of {} bytes exceeds the credit of {}", self.bytes, self.credit)
    }
}

impl core::error::Error for Overrun {}

/// The receiver's side of a cell.
#[derive(Debug)]
pub struct Granter {
    generation: u16,
    account: Account,
    /// The sender starves, and knows of everything granted so far.
    starved: bool,
}

impl Granter {
    /// Opens `cell` for a channel: a window, and nothing beyond it. The cell's earlier channel has ended on both sides.
    pub fn open(cell: &AtomicU64, generation: u16, window: u32) -> Self {
        let granter = Self { generation, account: Account::new(window), starved: false };
        granter.show(cell);
        granter
    }

    /// Counts an item that has come in.
    ///
    /// # Errors
    /// [`Overrun`] if the sender cannot have had the credit; nothing has changed.
    #[inline]
    pub fn receive(&mut self, bytes: u64) -> Result<(), Overrun> {
        let credit = self.account.credit();
        if self.account.pass(bytes) { Ok(()) } else { Err(Overrun { bytes, credit }) }
    }

    /// Grants `bytes` more, but at most [`MOST_AHEAD`] beyond what has come in; whether the sender starves and must be
    /// told now.
    #[inline]
    #[must_use = "a starving sender sleeps until it is told"]
    pub fn grant(&mut self, cell: &AtomicU64, bytes: u64) -> bool {
        let most = self.account.passed + MOST_AHEAD;
        self.account.granted = self.account.granted.saturating_add(bytes).min(most);
        self.show(cell);
        core::mem::take(&mut self.starved)
    }

    /// The sender says that it starves and what it has heard; whether it must be told now, or of the next grant.
    #[must_use = "a starving sender sleeps until it is told"]
    pub fn starved(&mut self, heard: Grant) -> bool {
        self.starved = heard == self.latest();
        !self.starved
    }

    /// The latest grant: what to tell a sender that starves.
    pub fn latest(&self) -> Grant {
        Grant::new(self.generation, self.account.granted)
    }

    fn show(&self, cell: &AtomicU64) {
        // sync: credit.cell (publish) -> Sender::look
        cell.store(self.latest().bits(), Release);
    }
}

/// The sender's side of a cell.
#[derive(Debug)]
pub struct Sender {
    generation: u16,
    /// Of grants, what has been heard and believed.
    account: Account,
}

impl Sender {
    /// A sender that has sent nothing and may send a window.
    pub fn new(generation: u16, window: u32) -> Self {
        Self { generation, account: Account::new(window) }
    }

    /// How many bytes may be sent, as far as heard.
    #[inline]
    pub fn credit(&self) -> u64 {
        self.account.credit()
    }

    /// Whether [`spend`](Self::spend) would allow an item of `bytes`, as far as heard.
    #[inline]
    pub fn affords(&self, bytes: u64) -> bool {
        self.account.allows(bytes)
    }

    /// Takes the credit for an item of `bytes`; whether there was enough, or nothing unacknowledged so that it may go
    /// whatever its length. If not, nothing has changed: [`look`](Self::look) and try again.
    #[inline]
    #[must_use = "without credit the item must not be sent"]
    pub fn spend(&mut self, bytes: u64) -> bool {
        self.account.pass(bytes)
    }

    /// Looks at the cell.
    #[inline]
    pub fn look(&mut self, cell: PeerWord<'_>) {
        // sync: credit.cell (acquire) <- Granter::grant
        self.hear(Grant::from_bits(cell.load()));
    }

    /// Hears of a grant, from the cell or in a frame. One of another generation, or that cannot be, is ignored.
    #[inline]
    pub fn hear(&mut self, grant: Grant) {
        let Account { passed: sent, granted, .. } = &mut self.account;
        let more = grant.beyond(*granted);
        if grant.generation() == self.generation && *granted + more <= *sent + MOST_AHEAD {
            *granted += more;
        }
    }

    /// The latest grant heard: what to say when starving.
    pub fn heard(&self) -> Grant {
        Grant::new(self.generation, self.account.granted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Ordering::Relaxed;

    fn pair(cell: &AtomicU64, generation: u16, window: u32) -> (Granter, Sender) {
        (Granter::open(cell, generation, window), Sender::new(generation, window))
    }

    fn look(sender: &mut Sender, cell: &AtomicU64) {
        sender.look(PeerWord::new(cell));
    }

    #[test]
    fn what_is_granted_can_be_sent_and_no_more() {
        let cell = AtomicU64::new(u64::MAX);
        let (mut granter, mut sender) = pair(&cell, 7, 100);
        assert!(sender.spend(60));
        assert!(!sender.spend(41));
        assert!(sender.spend(40));
        look(&mut sender, &cell);
        assert_eq!(sender.credit(), 0);
        assert!(!granter.grant(&cell, 60));
        assert!(!sender.spend(1), "a sender knows only what it has looked at");
        look(&mut sender, &cell);
        assert_eq!(sender.credit(), 60);
        assert!(!sender.spend(61));
        assert!(sender.spend(60));
    }

    #[test]
    fn a_large_item_goes_when_nothing_is_unacknowledged() {
        let cell = AtomicU64::new(0);
        let (mut granter, mut sender) = pair(&cell, 0, 10);
        assert!(sender.spend(25));
        assert_eq!(sender.credit(), 0);
        assert!(!sender.spend(25));
        for granted in [10, 14] {
            assert!(!granter.grant(&cell, granted));
            look(&mut sender, &cell);
            assert!(!sender.spend(25));
        }
        assert_eq!(sender.credit(), 9, "24 of 25 came back");
        assert!(!granter.grant(&cell, 1));
        look(&mut sender, &cell);
        assert!(sender.spend(25));
        assert!(!Sender::new(0, 10).spend(MOST_AHEAD + 1));
    }

    #[test]
    fn grants_go_round_the_circle() {
        let cell = AtomicU64::new(0);
        let (mut granter, mut sender) = pair(&cell, 3, 8);
        for _ in 0..40 {
            assert!(sender.spend(MOST_AHEAD));
            assert!(!sender.spend(8));
            granter.receive(MOST_AHEAD).unwrap();
            assert!(!granter.grant(&cell, MOST_AHEAD));
            look(&mut sender, &cell);
            assert_eq!(sender.credit(), 8);
            assert_eq!(sender.heard(), granter.latest());
        }
    }

    #[test]
    fn another_generation_is_not_heard() {
        let cell = AtomicU64::new(0);
        let (mut first, mut late) = pair(&cell, 1, 8);
        let mut early = Sender::new(2, 8);
        assert!(!first.grant(&cell, 500));
        look(&mut early, &cell);
        assert_eq!(early.credit(), 8);
        let mut second = Granter::open(&cell, 2, 8);
        assert!(!second.grant(&cell, 5));
        look(&mut late, &cell);
        look(&mut early, &cell);
        assert_eq!((late.credit(), early.credit()), (8, 13));
    }

    #[test]
    fn a_starving_sender_is_told_once_of_what_it_has_not_heard() {
        let cell = AtomicU64::new(0);
        let (mut granter, mut sender) = pair(&cell, 1, 8);
        // Nothing new: told of the next grant, and not again.
        assert!(!granter.starved(sender.heard()));
        assert!(granter.grant(&cell, 1));
        assert!(!granter.grant(&cell, 1));
        // Granted since it looked: told at once, and not again.
        assert!(granter.starved(sender.heard()));
        assert!(!granter.grant(&cell, 1));
        sender.hear(Grant::from_bits(granter.latest().bits()));
        assert_eq!(sender.credit(), 11);
    }

    /// Both sides against what they should do, with looks and grants in any order.
    #[test]
    fn the_receiver_accepts_what_the_sender_may_send_and_nothing_else() {
        let (mut random, mut sent, mut refused) = (Random(0x2545_F491_4F6C_DD1D), 0, 0);
        for generation in 0..if cfg!(miri) { 20 } else { 2_000 } {
            let cell = AtomicU64::new(random.next());
            let window = (random.next() % 100) as u32;
            let (mut granter, mut sender) = pair(&cell, generation, window);
            let mut untaken = 0;
            for _ in 0..200 {
                match random.next() % 4 {
                    0 | 1 => {
                        let bytes = 1 + random.next() % 130;
                        let fits = untaken + bytes <= u64::from(window);
                        if sender.spend(bytes) {
                            assert!(fits || untaken == 0);
                            untaken += bytes;
                            granter.receive(bytes).unwrap();
                            sent += 1;
                        } else if granter.account.granted == sender.account.granted {
                            let credit = sender.credit();
                            assert!(!fits && untaken > 0);
                            assert_eq!(granter.receive(bytes), Err(Overrun { bytes, credit }));
                            refused += 1;
                        }
                    }
                    2 => {
                        let bytes = random.next() % (untaken + 1);
                        untaken -= bytes;
                        assert!(!granter.grant(&cell, bytes));
                    }
                    _ => look(&mut sender, &cell),
                }
            }
        }
        assert!(sent > 200 && refused > 200, "{sent} sent, {refused} refused");
    }

    #[test]
    fn nonsense_is_survived_and_takes_nothing_back() {
        let cell = AtomicU64::new(0);
        let (mut random, mut sender) = (Random(0x9E37_79B9_7F4A_7C15), Sender::new(9, u32::MAX));
        let (mut heard, mut believed) = (0_u64, 0);
        for turn in 0..if cfg!(miri) { 2_000 } else { 200_000 } {
            let noise = random.next();
            let beyond = match turn % 5 {
                0 => noise,
                1 => u64::MAX,
                2 => heard.wrapping_sub(1 + noise % 4096),
                3 => heard.wrapping_add(noise % 4096),
                _ => heard.wrapping_add(MOST_AHEAD),
            };
            let generation = if noise.is_multiple_of(16) { noise as u16 } else { 9 };
            cell.store(Grant::new(generation, beyond).bits(), Relaxed);
            look(&mut sender, &cell);
            let granted = sender.account.granted;
            assert!((heard..=sender.account.passed + MOST_AHEAD).contains(&granted));
            believed += u32::from(granted > heard);
            heard = granted;
            assert!(sender.spend(sender.credit()));
            assert!(!sender.spend(u64::MAX));
        }
        assert!(believed > 100, "{believed} grants were possible");
    }

    #[test]
    fn a_generous_receiver_stays_within_the_circle() {
        let cell = AtomicU64::new(0);
        let (mut granter, mut sender) = pair(&cell, 5, 1);
        for _ in 0..3 {
            assert!(!granter.grant(&cell, u64::MAX));
        }
        look(&mut sender, &cell);
        assert_eq!(sender.credit(), MOST_AHEAD + 1);
    }

    /// A small generator of numbers that are the same in every run.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }
    }
}
