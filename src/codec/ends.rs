//! The ends of channels in values. On the wire an end is its number: its place in the list of channels that goes along
//! with the message. What that list says holds, so that whoever passes a message on can change it without decoding.
//!
//! Encoding takes three steps: the ends in a value are collected, they are numbered, and the value is encoded. Decoding
//! takes two: the value is decoded, and its ends are collected. What an end means is the business of the service layer,
//! which makes the types that have ends; here they are known by what stands for them when they are encoded: a
//! [`Sender`] or a [`Receiver`].

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use facet::{Facet, Shape};

/// One end of a channel, as it stands in a value that is encoded or was decoded.
pub(crate) struct End {
    sends: bool,
    number: AtomicU32,
    keeper: Arc<dyn Any + Send + Sync>,
}

/// The number of an end that has none.
const NONE: u32 = u32::MAX;

impl End {
    /// An end that no message has. `keeper` is what its type keeps of it; `sends` if it is sent on.
    pub(crate) fn new(sends: bool, keeper: Arc<dyn Any + Send + Sync>) -> Arc<Self> {
        Arc::new(Self { sends, number: AtomicU32::new(NONE), keeper })
    }

    /// An end that a message has had.
    pub(crate) fn taken(sends: bool, keeper: Arc<dyn Any + Send + Sync>) -> Arc<Self> {
        Arc::new(Self { sends, number: AtomicU32::new(0), keeper })
    }

    /// Whether it is sent on, rather than received from.
    pub(crate) fn sends(&self) -> bool {
        self.sends
    }

    /// Its number in the one message that it is in, if it is in one.
    pub(crate) fn number(&self) -> Option<u32> {
        // The number is all that there is to know.
        Some(self.number.load(Ordering::Relaxed)).filter(|&number| number != NONE)
    }

    /// What its type keeps of it.
    pub(crate) fn keeper(&self) -> &Arc<dyn Any + Send + Sync> {
        &self.keeper
    }

    /// Puts it into a message.
    pub(crate) fn take(&self, number: u32) -> Result<(), EndError> {
        let taken = self.number.compare_exchange(NONE, number, Ordering::Relaxed, Ordering::Relaxed);
        taken.map(drop).map_err(|_| EndError::Taken)
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("End")
            .field("sends", &self.sends)
            .field("number", &self.number())
            .finish_non_exhaustive()
    }
}

/// The ends in a value, in the order in which its type declares them.
#[derive(Debug, Default)]
pub struct Ends(Vec<Arc<End>>);

impl Ends {
    /// None yet.
    #[inline]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn push(&mut self, end: Arc<End>) {
        self.0.push(end);
    }

    /// The ends, first to last.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<End>> {
        self.0.iter()
    }

    /// Gives each its number, for the one message that it can be in.
    ///
    /// # Errors
    /// [`EndError::Taken`] if one is in a message already. Those before it have been taken then.
    pub(crate) fn number(&self) -> Result<(), EndError> {
        (0..NONE).zip(&self.0).try_for_each(|(number, end)| end.take(number))
    }
}

/// Why the ends in a value, or in values of a type, cannot be encoded or decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndError {
    /// The end has been passed on already, or came in a message itself.
    #[error("a channel end that was passed on, or that a peer passed to here, cannot be passed on again")]
    Taken,
    /// The other end was passed on, so that this one is in use.
    #[error("a channel end cannot be passed on after the other one")]
    InUse,
    /// The end is where none can be.
    #[error(
        "a channel end can be passed in arguments and results alone, not in errors, nor in items of a channel"
    )]
    Misplaced,
    /// Values of the type stand for others that have ends.
    #[error("`{ty}` is encoded as something else with channel ends in it, where they cannot be found")]
    Hidden {
        /// The type.
        ty: &'static str,
    },
    /// A message has an end that it does not declare.
    #[error("a channel end that its message does not declare")]
    Undeclared,
}

macro_rules! encoded_as {
    ($(#[$docs:meta] $name:ident: $sends:literal),*) => {$(
        #[$docs]
        #[derive(Facet)]
        #[facet(transparent)]
        // Wide, since reflection cuts off what is too large for a narrow one.
        pub struct $name(u64);

        impl $name {
            /// What stands for `end`.
            ///
            /// # Errors
            /// [`EndError::Misplaced`] if it has no number, because nobody looked for ends where it is.
            pub(crate) fn of(end: &End) -> Result<Self, EndError> {
                end.number().map(|number| Self(number.into())).ok_or(EndError::Misplaced)
            }

            /// The end that it stands for.
            ///
            /// # Errors
            /// [`EndError::Undeclared`] if it cannot stand for any.
            pub(crate) fn end(self, keeper: Arc<dyn Any + Send + Sync>) -> Result<Arc<End>, EndError> {
                let number = u32::try_from(self.0).ok().filter(|&number| number != NONE);
                let number = number.ok_or(EndError::Undeclared)?.into();
                Ok(Arc::new(End { sends: $sends, number, keeper }))
            }
        }
    )*};
}

encoded_as!(
    /// What an end that is sent on is encoded as.
    Sender: true,
    /// What an end that is received from is encoded as.
    Receiver: false
);

/// Whether a type is that of ends, and then whether they are sent on.
pub(super) fn kind(shape: &'static Shape) -> Option<bool> {
    let proxy = shape.proxy?.shape;
    let sends = proxy.is_shape(Sender::SHAPE);
    (sends || proxy.is_shape(Receiver::SHAPE)).then_some(sends)
}
