//! Passing ends on: from a value into the list that goes along with its message, and from such a list into a value.

use std::sync::Arc;

use super::Pairing;
use crate::codec::{DecodeError, Encode, EncodeError, End, EndError, Ends};
use crate::driver::Arrived;
use crate::service::Connection;
use crate::session::{ChannelId, Flow, Wish};

/// The ends in a message that is to be sent. If it never is, the ends that were kept come to nothing.
#[derive(Debug, Default)]
pub(in crate::service) struct Departing(Vec<(Arc<Pairing>, Wish)>);

impl Departing {
    /// Takes the ends out of `message`, before it is encoded.
    ///
    /// # Errors
    /// [`EncodeError::Ends`] if one cannot be passed on.
    #[inline]
    pub(in crate::service) fn of(message: &impl Encode) -> Result<Self, EncodeError> {
        let mut ends = Ends::new();
        message.ends(&mut ends);
        if ends.is_empty() {
            return Ok(Self::default());
        }
        Ok(Self::claim(&ends)?)
    }

    fn claim(ends: &Ends) -> Result<Self, EndError> {
        ends.number()?;
        let mut departing = Self::default();
        for end in ends.iter() {
            let pairing = pairing(end)?;
            let wish = pairing.claim(flow(end))?;
            departing.0.push((pairing, wish));
        }
        Ok(departing)
    }

    /// Takes an end that nobody found in a value; its number is that of those before it.
    ///
    /// # Errors
    /// [`EndError`] if it cannot be passed on.
    pub(in crate::service) fn pass(&mut self, end: &End) -> Result<(), EndError> {
        end.take(u32::try_from(self.0.len()).map_err(|_| EndError::Misplaced)?)?;
        let pairing = pairing(end)?;
        let wish = pairing.claim(flow(end))?;
        self.0.push((pairing, wish));
        Ok(())
    }

    #[inline]
    pub(in crate::service) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes more a message is at most because it declares them.
    pub(in crate::service) fn declared_size(&self) -> usize {
        32 * self.0.len()
    }

    /// What the message is to declare.
    #[inline]
    pub(in crate::service) fn wishes(&self) -> Vec<Wish> {
        self.0.iter().map(|&(_, wish)| wish).collect()
    }

    /// The message is on its way, and has declared channels from this one on: the ends that were kept stand for them.
    pub(in crate::service) fn bind(&mut self, connection: &Connection, first: u64) {
        for (id, (pairing, _)) in (first..).step_by(2).zip(self.0.drain(..)) {
            pairing.bind(connection, ChannelId { connection: connection.id(), id });
        }
    }
}

impl Drop for Departing {
    fn drop(&mut self) {
        self.0.drain(..).for_each(|(pairing, _)| pairing.lose());
    }
}

/// Has the ends in a decoded value stand for the channels that its message has declared.
///
/// # Errors
/// [`EndError::Undeclared`] if there is one that was not declared, or not so.
#[inline]
pub(in crate::service) fn bind(
    ends: &Ends,
    declared: Option<(Arrived, Connection)>,
) -> Result<(), DecodeError> {
    if ends.is_empty() {
        return Ok(());
    }
    let (mut arrived, connection) = declared.ok_or(EndError::Undeclared)?;
    for end in ends.iter() {
        let number = end.number().and_then(|number| usize::try_from(number).ok());
        let channel = number.and_then(|number| arrived.take(number, flow(end)));
        pairing(end)?.bind(&connection, channel.ok_or(EndError::Undeclared)?);
    }
    Ok(())
}

fn flow(end: &End) -> Flow {
    if end.sends() { Flow::Out } else { Flow::In }
}

fn pairing(end: &End) -> Result<Arc<Pairing>, EndError> {
    // Nobody else makes ends.
    Arc::clone(end.keeper()).downcast().map_err(|_| EndError::Misplaced)
}
