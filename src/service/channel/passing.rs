//! Passing handles on: from a value into the lists that go along with its message, and from such lists into a value.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::Pairing;
use crate::codec::{DecodeError, Encode, EncodeError, Handle, HandleError, Handles, Kind, Message, Numbered};
use crate::driver::Arrived;
use crate::link::{Descriptors, Lost};
use crate::service::Connection;
use crate::service::fd::Place;
use crate::session::{ChannelId, Flow, Wish};

/// What is in a message that is to be sent and goes along with it: ends of channels, and descriptors. If it never is sent,
/// the ends that were kept come to nothing.
#[derive(Debug, Default)]
pub(in crate::service) struct Departing(Option<Box<Load>>);

#[derive(Debug, Default)]
struct Load {
    /// The pairs whose ends are passed on, and the channels that are to be declared for them.
    pairings: Vec<Arc<Pairing>>,
    wishes: Vec<Wish>,
    descriptors: Vec<Arc<Place>>,
}

impl Load {
    /// What these handles stand for; they have their numbers as long as what is given besides is held.
    #[cold]
    fn of(handles: &Handles) -> Result<(Box<Self>, Numbered<'_>), HandleError> {
        // Before they are numbered: one that stands for nothing has a number already.
        let places = handles.descriptors().iter().map(|handle| Place::taken(handle));
        let mut load = Box::<Self>::default();
        load.descriptors = places.collect::<Result<_, _>>()?;
        let numbered = handles.number()?;
        handles.ends().iter().try_for_each(|end| load.take(end))?;
        Ok((load, numbered))
    }

    /// Takes an end that has its number.
    fn take(&mut self, end: &Handle) -> Result<(), HandleError> {
        let pairing = pairing(end)?;
        self.wishes.push(pairing.claim(flow(end))?);
        self.pairings.push(pairing);
        Ok(())
    }
}

impl Departing {
    /// Encodes a message, and takes out what goes along with it.
    ///
    /// # Errors
    /// [`EncodeError`] if it has no encoding, or something in it cannot be passed on.
    #[inline]
    pub(in crate::service) fn encode<M: Encode>(message: M) -> Result<(Message<M>, Self), EncodeError> {
        let mut handles = Handles::new();
        message.handles(&mut handles);
        Self::around(&handles, || Message::new(message))
    }

    /// Runs `encode`, which encodes a value with these handles, and takes out what goes along with it.
    ///
    /// # Errors
    /// [`EncodeError`] if that fails, or one cannot be passed on.
    #[inline]
    pub(in crate::service) fn around<R>(
        handles: &Handles,
        encode: impl FnOnce() -> Result<R, EncodeError>,
    ) -> Result<(R, Self), EncodeError> {
        let claimed = if handles.is_empty() { None } else { Some(Load::of(handles)?) };
        let encoded = encode()?;
        Ok((encoded, Self(claimed.map(|(load, _numbered)| load))))
    }

    /// Takes an end that nobody found in a value; its number is that of those before it.
    ///
    /// # Errors
    /// [`HandleError`] if it cannot be passed on.
    pub(in crate::service) fn pass(&mut self, end: &Handle) -> Result<(), HandleError> {
        let load = self.0.get_or_insert_default();
        let number = u32::try_from(load.wishes.len()).map_err(|_| HandleError::Misplaced)?;
        if end.take(number) { load.take(end) } else { Err(HandleError::Taken) }
    }

    /// Whether nothing goes along.
    #[inline]
    pub(in crate::service) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How many bytes more a message is at most because it declares channels.
    pub(in crate::service) fn declared_size(&self) -> usize {
        self.0.as_ref().map_or(0, |load| 32 * load.wishes.len())
    }

    /// The channels that the message is to declare.
    #[inline]
    pub(in crate::service) fn wishes(&self) -> &[Wish] {
        self.0.as_ref().map_or(&[], |load| &load.wishes)
    }

    /// The descriptors in it.
    #[inline]
    pub(in crate::service) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let load = self.0.as_ref();
        load.map_or_else(Vec::new, |load| load.descriptors.iter().map(|place| place.as_fd()).collect())
    }

    /// The message is on its way, and has declared channels from this one on: the ends that were kept stand for them. Its
    /// descriptors are closed here.
    pub(in crate::service) fn bind(&mut self, connection: &Connection, first: u64) {
        let Some(mut load) = self.0.take() else { return };
        for (id, pairing) in (first..).step_by(2).zip(load.pairings.drain(..)) {
            pairing.bind(connection, ChannelId { connection: connection.id(), id });
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.pairings.drain(..).for_each(|pairing| pairing.lose());
    }
}

/// Has the handles in a decoded value stand for what its message has brought: channels and descriptors.
///
/// # Errors
/// [`HandleError::Undeclared`] if there is one that did not come, or not so; [`HandleError::Lost`] if it was lost here.
#[inline]
pub(in crate::service) fn bind(
    handles: &Handles,
    arrived: Option<(Arrived, Connection)>,
) -> Result<(), DecodeError> {
    if handles.is_empty() {
        return Ok(());
    }
    let (mut arrived, connection) = arrived.ok_or(HandleError::Undeclared)?;
    for end in handles.ends() {
        let channel = number(end).and_then(|number| arrived.take(number, flow(end)));
        pairing(end)?.bind(&connection, channel.ok_or(HandleError::Undeclared)?);
    }
    Ok(bind_descriptors(handles, arrived.descriptors_mut())?)
}

/// Has those handles in a decoded value that are descriptors stand for those that came with it.
///
/// # Errors
/// As of [`bind`].
pub(super) fn bind_descriptors(handles: &Handles, came: &mut Descriptors) -> Result<(), HandleError> {
    if handles.descriptors().is_empty() {
        return Ok(());
    }
    let came = came.take().map_err(|Lost| HandleError::Lost)?;
    let mut came: Vec<_> = came.into_iter().map(Some).collect();
    for handle in handles.descriptors() {
        let fd = number(handle).and_then(|number| came.get_mut(number)?.take());
        Place::fill(handle, fd.ok_or(HandleError::Undeclared)?)?;
    }
    Ok(())
}

fn number(handle: &Handle) -> Option<usize> {
    handle.number().and_then(|number| usize::try_from(number).ok())
}

fn flow(end: &Handle) -> Flow {
    if end.kind() == Kind::Sender { Flow::Out } else { Flow::In }
}

fn pairing(end: &Handle) -> Result<Arc<Pairing>, HandleError> {
    // Nobody else makes ends.
    Arc::clone(end.keeper()).downcast().map_err(|_| HandleError::Misplaced)
}
