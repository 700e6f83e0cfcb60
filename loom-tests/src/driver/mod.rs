//! Those who wait on one engine, as `src/driver` has them: one looks into the link or sleeps on the bell for all, the
//! others wait to be served, and whoever leaves hands on what it held.
//!
//! It follows the driver step by step: [`engine`] and [`core`] those of the same name, [`wait`] the threads of
//! `blocking/wait.rs`, and [`task`] the task of `tokio/resident.rs`. A turn is over after one look in vain, as it is while
//! nothing is known of the peer. What goes out is left out, and so is the time, but for one call that may run out of it.

pub mod core;
pub mod engine;
pub mod task;
pub mod wait;

/// How many wait for something of the session.
pub const WAITERS: usize = 3;

/// What happens to those who wait. Each has a number, and waits for the frame that answers it.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// Whom the peer answers, in this order.
    pub answers: &'static [usize],
    /// Whose time is up when it would sleep for the first time, which may be at any moment for the others.
    pub expires: Option<usize>,
    /// Who is woken for no reason the first time.
    pub disturbed: Option<usize>,
    /// Asserts that nobody is woken where it no longer waits, which is not so.
    pub knows_places: bool,
    /// What is wrong.
    pub broken: Broken,
}

impl Script {
    /// The peer answers these, and nothing else happens.
    pub const fn new(answers: &'static [usize]) -> Self {
        Self { answers, expires: None, disturbed: None, knows_places: false, broken: Broken::Nowhere }
    }

    /// The same, with this wrong.
    #[must_use]
    pub const fn broken(self, broken: Broken) -> Self {
        Self { broken, ..self }
    }
}

/// How the driver is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Not at all.
    Nowhere,
    /// Who leaves wakes nobody.
    LeavesSilently,
    /// Who leaves does not announce anew for the one who sleeps on the bell.
    LeavesUnannounced,
    /// Who finds a frame while it announces for the one who sleeps keeps that to itself.
    FindsSilently,
    /// Who is back from the bell does not give it back to the task.
    ForgetsTask,
    /// A thread parks while the task sleeps, which is to serve it.
    ReliesOnTask,
    /// Who is back from the bell is still taken for asleep.
    StaysAsleep,
    /// Who looks on after it has given way is still taken for away.
    StaysAway,
    /// Who gives way is forgotten. This breaks nothing: somebody else looks in its place.
    IsForgotten,
    /// Where a thread waits is written when the core has been left.
    PlaceWrittenLate,
    /// Nothing keeps the last look from passing the writing of the place, or a waker's look at it.
    PlaceUnfenced,
    /// How often this side was woken is read when the core has been left.
    LocalReadLate,
}
