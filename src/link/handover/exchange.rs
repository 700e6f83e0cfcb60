//! The exchange itself, the same whoever waits.

use std::env;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use transom_shm_layout::half::HalfConfig;

use super::prologue::{LEN, MAGIC, Prologue, Refused, Word};
use super::{HandedOver, HandoverError, Malformed, Ready, Stance, Versions};
use crate::link::{
    Access, FallbackReason, Peer, ShmParts, Ticket, Transport, Wanted, shm_link, stream_link, tcp_link,
};
use crate::memory::{self, AttachError, Memory};
use crate::sys;
use crate::sys::close::Passed;
use crate::sys::scm::Message;

/// Set to `off`, it has every session of this process go over its socket.
const SWITCH: &str = "TRANSOM_SHM";

/// The most descriptors that go with one message of a hand-over.
const MOST: usize = 4;

/// What a side brings to a hand-over.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// What is wanted of the socket.
    pub(crate) wanted: Wanted,
    /// The size of this side's outgoing ring.
    pub(crate) ring: u64,
    /// The most bytes of the peer's memory that this side maps.
    pub(crate) memory_cap: u64,
    /// The ticket that an initiator shows, and an acceptor wants to see if it gave one out.
    pub(crate) ticket: Option<Ticket>,
}

impl Terms {
    /// Whether the socket is that of a cell, whose end means that the process is gone.
    fn is_inherited(&self) -> bool {
        self.ticket.is_some()
    }
}

/// This side's memory, to be handed over.
struct Offer {
    memory: Memory,
    size: u64,
    /// What becomes readable when the peer rings.
    bell: OwnedFd,
    /// What the peer rings with.
    bell_end: OwnedFd,
}

/// The peer's memory, as it came.
struct Received {
    /// The half, and the end of the pipe that rings the peer.
    passed: Passed,
    size: u64,
}

/// What both sides go through.
enum Agreed {
    /// Their memory.
    Memory(Offer, Attached),
    /// The socket, and why if it is not what was asked for.
    Socket(Option<FallbackReason>),
}

impl Agreed {
    fn link(self, socket: OwnedFd, terms: &Terms) -> Result<HandedOver, HandoverError> {
        match self {
            Self::Memory(offer, attached) => Ok(attached.join(offer, socket, terms)),
            Self::Socket(fallback) => over_the_socket(socket, terms, fallback),
        }
    }
}

/// What comes of a hand-over. A socket that did not come to anything may hold descriptors that nobody has taken.
fn outcome(
    agreed: Result<Agreed, HandoverError>,
    socket: OwnedFd,
    terms: &Terms,
) -> Result<HandedOver, HandoverError> {
    match agreed {
        Ok(agreed) => agreed.link(socket, terms),
        Err(error) => {
            sys::close::elsewhere(vec![socket]);
            Err(error)
        }
    }
}

/// The initiator's part.
///
/// # Errors
/// [`HandoverError`]; nothing is left but the socket, which is closed.
pub(crate) async fn initiate(
    socket: OwnedFd,
    terms: &Terms,
    ready: &impl Ready,
) -> Result<HandedOver, HandoverError> {
    outcome(ask(&socket, terms, ready).await, socket, terms)
}

async fn ask(socket: &OwnedFd, terms: &Terms, ready: &impl Ready) -> Result<Agreed, HandoverError> {
    let offer = Offer::make(terms);
    let ticket = terms.ticket.clone().unwrap_or(Ticket::NONE);
    say(socket, ready, Word::Ask, &offer, ticket).await?;
    let (theirs, received) = hear(socket, ready).await?;
    match theirs.word {
        Word::Welcome => {}
        Word::Ask => return Err(HandoverError::Malformed(Malformed::Side)),
        Word::Refuse(reason) => return Err(HandoverError::Refused(reason)),
    }
    let fallback = match (offer, received) {
        (Ok(offer), Some(received)) => match attach(received, terms) {
            Ok(attached) => {
                send(socket, ready, &[Stance::Memory.code()], &[]).await?;
                return Ok(Agreed::Memory(offer, attached));
            }
            Err(error) => {
                send(socket, ready, &[Stance::Attach.code()], &[]).await?;
                Some(FallbackReason::Attach(error.to_string()))
            }
        },
        (Ok(_), None) => Some(theirs.stance.reason()),
        (Err(own), None) => own,
        (Err(_), Some(_)) => return Err(HandoverError::Malformed(Malformed::Unasked)),
    };
    Ok(Agreed::Socket(fallback))
}

/// The acceptor's part: `peer` is who connected.
///
/// # Errors
/// [`HandoverError`]; the peer has been told if it could be, and nothing is left but the socket, which is closed.
pub(crate) async fn accept(
    socket: OwnedFd,
    terms: &Terms,
    (access, peer): (&Access, Peer),
    ready: &impl Ready,
) -> Result<HandedOver, HandoverError> {
    outcome(answer(&socket, terms, (access, peer), ready).await, socket, terms)
}

async fn answer(
    socket: &OwnedFd,
    terms: &Terms,
    (access, peer): (&Access, Peer),
    ready: &impl Ready,
) -> Result<Agreed, HandoverError> {
    let (theirs, received) = match admitted(hear(socket, ready).await, terms, access, peer) {
        Ok(heard) => heard,
        Err((error, refused)) => {
            if let Some(refused) = refused {
                refuse(socket, ready, refused).await;
            }
            return Err(error);
        }
    };
    let (offer, attached) = match received {
        // Without the initiator's memory there is no use for this side's.
        None => (Err(None), None),
        Some(received) => match Offer::make(terms) {
            Ok(offer) => match attach(received, terms) {
                Ok(attached) => (Ok(offer), Some(attached)),
                Err(error) => (Err(Some(FallbackReason::Attach(error.to_string()))), None),
            },
            Err(without) => (Err(without), None),
        },
    };
    say(socket, ready, Word::Welcome, &offer, Ticket::NONE).await?;
    let fallback = match (offer, attached) {
        (Ok(offer), Some(attached)) => {
            let mut stance = [0];
            receive(socket, ready, &mut stance, &mut Passed::default(), |_| Ok(())).await?;
            match Stance::from_code(stance[0]) {
                Stance::Memory => return Ok(Agreed::Memory(offer, attached)),
                other => Some(other.reason()),
            }
        }
        (Err(own), _) if theirs.stance == Stance::Memory => own,
        _ if theirs.stance == Stance::Socket || terms.wanted != Wanted::Shm => None,
        _ => Some(theirs.stance.reason()),
    };
    Ok(Agreed::Socket(fallback))
}

type Heard = (Prologue, Option<Received>);

/// Checks what the initiator said; if it is to be refused, why, and what it is told.
fn admitted(
    heard: Result<Heard, HandoverError>,
    terms: &Terms,
    access: &Access,
    peer: Peer,
) -> Result<Heard, (HandoverError, Option<Refused>)> {
    let (theirs, received) = heard.map_err(|error| {
        let told = match error {
            HandoverError::Closed | HandoverError::Io(_) => None,
            HandoverError::Version { .. } => Some(Refused::Version),
            _ => Some(Refused::Malformed),
        };
        (error, told)
    })?;
    if theirs.word != Word::Ask {
        return Err((HandoverError::Malformed(Malformed::Side), Some(Refused::Malformed)));
    }
    if !access.allows(peer) {
        return Err((HandoverError::Forbidden { peer }, Some(Refused::Forbidden)));
    }
    if terms.ticket.as_ref().is_some_and(|ticket| *ticket != theirs.ticket) {
        return Err((HandoverError::Ticket, Some(Refused::Ticket)));
    }
    Ok((theirs, received))
}

fn over_the_socket(
    socket: OwnedFd,
    terms: &Terms,
    fallback: Option<FallbackReason>,
) -> Result<HandedOver, HandoverError> {
    if terms.wanted == Wanted::Tcp {
        return Ok(HandedOver { link: tcp_link(socket)?, transport: Transport::Tcp });
    }
    if let Some(reason) = &fallback {
        tracing::info!(target: "transom::link", %reason, "the session goes over its socket");
    }
    let link = stream_link(socket, terms.is_inherited())?;
    Ok(HandedOver { link, transport: Transport::Unix { fallback } })
}

/// Memory to hand over, or why there is none; `None` if it is not wanted.
type OfferOrNot = Result<Offer, Option<FallbackReason>>;

impl Offer {
    fn make(terms: &Terms) -> OfferOrNot {
        if terms.wanted != Wanted::Shm {
            return Err(None);
        }
        if env::var_os(SWITCH).is_some_and(|value| value == "off") {
            return Err(Some(FallbackReason::SwitchedOff));
        }
        let refused = |error: io::Error| Some(FallbackReason::Refused(error.kind()));
        let memory = memory::create(HalfConfig { ring: terms.ring, ..HalfConfig::default() })
            .map_err(|error| refused(io::Error::other(error)))?;
        let (bell, bell_end) = sys::pipe::create().map_err(refused)?;
        let size = memory.region.plan().size() as u64;
        Ok(Self { memory, size, bell, bell_end })
    }
}

/// What the peer handed over, checked and mapped.
struct Attached {
    region: memory::PeerRegion,
    peer_bell: OwnedFd,
}

fn attach(received: Received, terms: &Terms) -> Result<Attached, AttachError> {
    let [half, bell_end] = received.passed.as_slice() else { return Err(AttachError::NotAPipe) };
    let region = memory::attach(half, received.size, terms.memory_cap)?;
    if !sys::pipe::is_pipe(bell_end)? {
        return Err(AttachError::NotAPipe);
    }
    let peer_bell = sys::pipe::reopen(bell_end)?;
    // Memory and a pipe: closing them waits for nobody.
    drop(received.passed.trusted());
    Ok(Attached { region, peer_bell })
}

impl Attached {
    fn join(self, offer: Offer, lifeline: OwnedFd, terms: &Terms) -> HandedOver {
        let link = shm_link(ShmParts {
            own: offer.memory.region,
            peer: self.region,
            bell: offer.bell,
            peer_bell: self.peer_bell,
            lifeline,
            inherited: terms.is_inherited(),
        });
        HandedOver { link, transport: Transport::Shm }
    }
}

async fn say(
    socket: &OwnedFd,
    ready: &impl Ready,
    word: Word,
    offer: &OfferOrNot,
    ticket: Ticket,
) -> Result<(), HandoverError> {
    let (stance, half) = match offer {
        Ok(offer) => (Stance::Memory, offer.size),
        Err(reason) => (Stance::without(reason.as_ref()), 0),
    };
    let prologue = Prologue { versions: Versions::OWN, word, stance, half, ticket }.encode();
    match offer {
        Ok(offer) => {
            let descriptors = [offer.memory.descriptor.as_fd(), offer.bell_end.as_fd()];
            send(socket, ready, &prologue, &descriptors).await
        }
        Err(_) => send(socket, ready, &prologue, &[]).await,
    }
}

/// Tells the peer why it is refused, as far as it listens.
async fn refuse(socket: &OwnedFd, ready: &impl Ready, reason: Refused) {
    let untold = say(socket, ready, Word::Refuse(reason), &Err(None), Ticket::NONE).await;
    if let Err(error) = untold {
        tracing::debug!(target: "transom::link", %error, "a refusal was not heard");
    }
}

async fn hear(socket: &OwnedFd, ready: &impl Ready) -> Result<Heard, HandoverError> {
    let (mut bytes, mut passed) = ([0; LEN], Passed::default());
    receive(socket, ready, &mut bytes, &mut passed, |so_far| {
        // A wrong client is told apart by its first bytes, however few they are.
        let began = &so_far[..so_far.len().min(MAGIC.len())];
        if MAGIC.starts_with(began) {
            return Ok(());
        }
        Err(HandoverError::NotTransom { began: began.to_vec() })
    })
    .await?;
    let prologue = Prologue::decode(&bytes);
    // First of all: everything else may mean something else in another version.
    if !Versions::OWN.meet(prologue.versions) {
        return Err(HandoverError::Version { own: Versions::OWN, peer: prologue.versions });
    }
    let (found, expected) = (passed.len(), if prologue.stance == Stance::Memory { 2 } else { 0 });
    if found != expected {
        return Err(HandoverError::Malformed(Malformed::Descriptors { found, expected }));
    }
    let received = (found > 0).then_some(Received { passed, size: prologue.half });
    Ok((prologue, received))
}

async fn send(
    socket: &OwnedFd,
    ready: &impl Ready,
    mut bytes: &[u8],
    mut descriptors: &[BorrowedFd<'_>],
) -> Result<(), HandoverError> {
    while !bytes.is_empty() {
        match sys::scm::send(socket, bytes, descriptors) {
            // The descriptors went with the first byte.
            Ok(sent) => (bytes, descriptors) = (&bytes[sent..], &[]),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => ready.writable().await?,
                io::ErrorKind::Interrupted => {}
                // What it said before it left is worth more than that it left.
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => return Ok(()),
                _ => return Err(error.into()),
            },
        }
    }
    Ok(())
}

/// Fills `into`; `check` sees what has come so far whenever more has.
async fn receive(
    socket: &OwnedFd,
    ready: &impl Ready,
    into: &mut [u8],
    passed: &mut Passed,
    check: impl Fn(&[u8]) -> Result<(), HandoverError>,
) -> Result<(), HandoverError> {
    let mut filled = 0;
    while filled < into.len() {
        match sys::scm::receive(socket, &mut into[filled..], MOST, passed) {
            Ok(Message { truncated: true, .. }) => {
                return Err(HandoverError::Malformed(Malformed::TooManyDescriptors));
            }
            Ok(Message { bytes: 0, .. }) => return Err(HandoverError::Closed),
            Ok(Message { bytes, .. }) => {
                filled += bytes;
                check(&into[..filled])?;
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => ready.readable().await?,
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::ConnectionReset => return Err(HandoverError::Closed),
                _ => return Err(error.into()),
            },
        }
        if passed.len() > MOST {
            return Err(HandoverError::Malformed(Malformed::TooManyDescriptors));
        }
    }
    Ok(())
}
