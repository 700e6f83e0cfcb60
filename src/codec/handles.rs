//! Handles: what is in a value and goes along with its message rather than in its bytes, the ends of channels and
//! descriptors. On the wire a handle is its number: its place in the list of channels, or among the descriptors, that goes
//! along. What those say holds, so that whoever passes a message on can change them without decoding.
//!
//! Encoding takes three steps: the handles in a value are collected, they are numbered, and the value is encoded. Decoding
//! takes two: the value is decoded, and its handles are collected. What a handle means is the business of the service
//! layer, which makes the types that have one; here they are known by what stands for them when they are encoded: a
//! [`Sender`], a [`Receiver`] or a [`FileDescriptor`].

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use facet::{Facet, Shape};

/// A handle, as it stands in a value that is encoded or was decoded.
pub(crate) struct Handle {
    kind: Kind,
    number: AtomicU32,
    keeper: Arc<dyn Any + Send + Sync>,
}

/// What a handle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The end of a channel that is sent on.
    Sender,
    /// The end of a channel that is received from.
    Receiver,
    /// A descriptor.
    Descriptor,
}

/// The number of a handle that has none.
const NONE: u32 = u32::MAX;

impl Handle {
    /// A handle that is in no message. `keeper` is what its type keeps of it.
    pub(crate) fn new(kind: Kind, keeper: Arc<dyn Any + Send + Sync>) -> Arc<Self> {
        Arc::new(Self { kind, number: AtomicU32::new(NONE), keeper })
    }

    /// A handle that a message has had.
    pub(crate) fn taken(kind: Kind, keeper: Arc<dyn Any + Send + Sync>) -> Arc<Self> {
        Arc::new(Self { kind, number: AtomicU32::new(0), keeper })
    }

    /// What it is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
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

    /// Puts it into a message, unless it is in one; whether it is not.
    pub(crate) fn take(&self, number: u32) -> bool {
        self.number.compare_exchange(NONE, number, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// It is in no message any more.
    pub(crate) fn release(&self) {
        self.number.store(NONE, Ordering::Relaxed);
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("kind", &self.kind)
            .field("number", &self.number())
            .finish_non_exhaustive()
    }
}

/// The handles in a value, of either sort in the order in which its type declares them.
#[derive(Debug, Default)]
pub struct Handles {
    ends: Vec<Arc<Handle>>,
    descriptors: Vec<Arc<Handle>>,
}

impl Handles {
    /// None yet.
    #[inline]
    pub const fn new() -> Self {
        Self { ends: Vec::new(), descriptors: Vec::new() }
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.descriptors.is_empty()
    }

    pub(super) fn push(&mut self, handle: Arc<Handle>) {
        match handle.kind {
            Kind::Sender | Kind::Receiver => self.ends.push(handle),
            Kind::Descriptor => self.descriptors.push(handle),
        }
    }

    /// The ends of channels, first to last.
    pub(crate) fn ends(&self) -> &[Arc<Handle>] {
        &self.ends
    }

    /// The descriptors, first to last.
    pub(crate) fn descriptors(&self) -> &[Arc<Handle>] {
        &self.descriptors
    }

    /// Gives each its number: ends for the one message that they can be in, descriptors for as long as what this gives is
    /// held. The value is encoded meanwhile.
    ///
    /// # Errors
    /// [`HandleError::Taken`] if an end is in a message already; those before it have been taken then.
    /// [`HandleError::Twice`] if a descriptor is in the value twice.
    pub(crate) fn number(&self) -> Result<Numbered<'_>, HandleError> {
        let numbered = self.number_descriptors()?;
        let all = (0..NONE).zip(&self.ends).all(|(number, end)| end.take(number));
        if all { Ok(numbered) } else { Err(HandleError::Taken) }
    }

    fn number_descriptors(&self) -> Result<Numbered<'_>, HandleError> {
        let all = &self.descriptors[..];
        loop {
            let Some(at) = (0..NONE).zip(all).position(|(number, handle)| !handle.take(number)) else {
                return Ok(Numbered(all));
            };
            let (before, taken) = (Numbered(&all[..at]), &all[at]);
            if before.0.iter().any(|handle| Arc::ptr_eq(handle, taken)) {
                return Err(HandleError::Twice);
            }
            // Another thread encodes it in another message, and is done in a moment. It may wait for those before it.
            drop(before);
            std::thread::yield_now();
        }
    }
}

/// Descriptors that have their numbers as long as this is held.
#[derive(Debug)]
pub(crate) struct Numbered<'h>(&'h [Arc<Handle>]);

impl Drop for Numbered<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|handle| handle.release());
    }
}

/// Why the handles in a value, or in values of a type, cannot be encoded or decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandleError {
    /// The end has been passed on already, or came in a message itself.
    #[error("a channel end that was passed on, or that a peer passed to here, cannot be passed on again")]
    Taken,
    /// The descriptor is in the value twice.
    #[error("a shared descriptor can be in a message once only")]
    Twice,
    /// The other end was passed on, so that this one is in use.
    #[error("a channel end cannot be passed on after the other one")]
    InUse,
    /// The handle is where none can be.
    #[error(
        "channel ends can be passed in arguments and results alone, descriptors also in items of a channel, and neither \
         in errors"
    )]
    Misplaced,
    /// Values of the type stand for others that have handles.
    #[error(
        "`{ty}` is encoded as something else with channel ends or descriptors in it, where they cannot be found"
    )]
    Hidden {
        /// The type.
        ty: &'static str,
    },
    /// A message has a handle that it does not bring.
    #[error("a channel end that its message does not declare, or a descriptor that does not come with it")]
    Undeclared,
    /// The descriptors that came with a message were closed.
    #[error("the descriptors that came with it could not be taken in: too many are open here, or wait here")]
    Lost,
}

macro_rules! encoded_as {
    ($(#[$docs:meta] $name:ident: $kind:ident),*) => {$(
        #[$docs]
        #[derive(Facet)]
        #[facet(transparent)]
        // Wide, since reflection cuts off what is too large for a narrow one.
        pub struct $name(u64);

        impl $name {
            /// What stands for `handle`.
            ///
            /// # Errors
            /// [`HandleError::Misplaced`] if it has no number, because nobody looked for handles where it is.
            pub(crate) fn of(handle: &Handle) -> Result<Self, HandleError> {
                handle.number().map(|number| Self(number.into())).ok_or(HandleError::Misplaced)
            }

            /// The handle that it stands for.
            ///
            /// # Errors
            /// [`HandleError::Undeclared`] if it cannot stand for any.
            pub(crate) fn handle(
                self,
                keeper: Arc<dyn Any + Send + Sync>,
            ) -> Result<Arc<Handle>, HandleError> {
                let number = u32::try_from(self.0).ok().filter(|&number| number != NONE);
                let number = number.ok_or(HandleError::Undeclared)?.into();
                Ok(Arc::new(Handle { kind: Kind::$kind, number, keeper }))
            }
        }
    )*};
}

encoded_as!(
    /// What an end that is sent on is encoded as.
    Sender: Sender,
    /// What an end that is received from is encoded as.
    Receiver: Receiver,
    /// What a descriptor is encoded as.
    FileDescriptor: Descriptor
);

/// What the handles are whose type this is, if it is one of handles.
pub(super) fn kind(shape: &'static Shape) -> Option<Kind> {
    let proxy = shape.proxy?.shape;
    let kinds = [
        (Sender::SHAPE, Kind::Sender),
        (Receiver::SHAPE, Kind::Receiver),
        (FileDescriptor::SHAPE, Kind::Descriptor),
    ];
    kinds.into_iter().find_map(|(shape, kind)| proxy.is_shape(shape).then_some(kind))
}
