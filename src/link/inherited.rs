//! The socket that a cell inherits from its host, and the ticket that proves which cell it is.
//!
//! A host gives its cell one end of a socket pair as standard input. The standard library puts it there
//! itself, so no code runs between fork and exec, the descriptor never is anything but close-on-exec in the
//! host, and wrappers that close all other descriptors do no harm. The cell takes it away from there at once:
//! from then on it is close-on-exec here too, and standard input is `/dev/null`.
//!
//! The environment of a process cannot be changed safely, so the two variables stay. They are of no further
//! use: a process that inherits them has no socket as its standard input, and the host takes a ticket once.

use std::env;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;

use rustix::net::{AddressFamily, sockopt};
use rustix::rand::GetRandomFlags;

/// Names the descriptor that a cell inherits; always standard input.
pub(crate) const FD_VARIABLE: &str = "TRANSOM_CELL_FD";
/// The value of [`FD_VARIABLE`].
pub(crate) const FD: &str = "0";
/// Carries the cell's ticket.
pub(crate) const TICKET_VARIABLE: &str = "TRANSOM_CELL_TICKET";

/// Set once this process has taken its socket.
static TAKEN: OnceLock<()> = OnceLock::new();

/// What a cell shows to its host, once.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Ticket(pub(crate) [u8; 16]);

impl Ticket {
    /// What stands where no ticket is.
    pub(crate) const NONE: Self = Self([0; 16]);

    /// A ticket that nobody can guess.
    pub(crate) fn random() -> io::Result<Self> {
        let mut bytes = [0; 16];
        let filled = rustix::rand::getrandom(&mut bytes, GetRandomFlags::empty())?;
        if filled == bytes.len() { Ok(Self(bytes)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// As the environment carries it.
    pub(crate) fn to_hex(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.0))
    }

    fn from_hex(text: &str) -> Option<Self> {
        let plain = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| plain)?;
        Some(Self(number.to_be_bytes()))
    }
}

/// A ticket in a log is a ticket given away.
impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(..)")
    }
}

/// Why a process could not take the socket of a cell.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InheritError {
    /// No host started this process.
    #[error("this process was not started by a host: `TRANSOM_CELL_FD` or `TRANSOM_CELL_TICKET` is not set")]
    NotACell,
    /// The host is of another kind, or somebody else set the variables.
    #[error("`TRANSOM_CELL_FD` or `TRANSOM_CELL_TICKET` has a value that no host gives")]
    Malformed,
    /// Standard input is not the socket: it was replaced, or a cell's own child has inherited the variables.
    #[error("standard input is not a host's socket")]
    NotASocket,
    /// A process attaches to its host once.
    #[error("this process has already attached to its host")]
    Taken,
    /// The operating system refused.
    #[error("taking over the inherited socket: {0}")]
    Io(#[from] io::Error),
}

/// Whether this process was started as a cell.
pub(crate) fn is_cell() -> bool {
    TAKEN.get().is_some() || (variables().is_ok() && stdin_is_unix_socket())
}

/// Takes the socket of this process's host away from standard input, and the ticket to show on it.
///
/// # Errors
/// [`InheritError`]; after a first success always [`InheritError::Taken`].
pub(crate) fn take() -> Result<(UnixStream, Ticket), InheritError> {
    if TAKEN.get().is_some() {
        return Err(InheritError::Taken);
    }
    let ticket = variables()?;
    if !stdin_is_unix_socket() {
        return Err(InheritError::NotASocket);
    }
    TAKEN.set(()).map_err(|()| InheritError::Taken)?;
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?).map_err(io::Error::from)?;
    Ok((UnixStream::from(socket), ticket))
}

fn variables() -> Result<Ticket, InheritError> {
    let (Some(fd), Some(ticket)) = (env::var_os(FD_VARIABLE), env::var_os(TICKET_VARIABLE)) else {
        return Err(InheritError::NotACell);
    };
    if fd != FD {
        return Err(InheritError::Malformed);
    }
    ticket.to_str().and_then(Ticket::from_hex).ok_or(InheritError::Malformed)
}

fn stdin_is_unix_socket() -> bool {
    sockopt::socket_domain(io::stdin()).is_ok_and(|domain| domain == AddressFamily::UNIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_survives_the_environment() {
        let ticket = Ticket::random().expect("random bytes");
        assert_eq!(Ticket::from_hex(&ticket.to_hex()), Some(ticket));
        let low = Ticket(1_u128.to_be_bytes());
        assert_eq!(Ticket::from_hex(&low.to_hex()), Some(low));
    }

    #[test]
    fn two_tickets_differ() {
        assert_ne!(Ticket::random().expect("random bytes"), Ticket::random().expect("random bytes"));
    }

    #[test]
    fn what_is_not_a_ticket_is_refused() {
        for text in ["", "0", "+0000000000000000000000000000001", "zz000000000000000000000000000001"] {
            assert_eq!(Ticket::from_hex(text), None, "{text}");
        }
        assert_eq!(Ticket::from_hex(&"0".repeat(33)), None);
    }

    #[test]
    fn a_ticket_is_not_told_by_debug() {
        assert_eq!(format!("{:?}", Ticket([7; 16])), "Ticket(..)");
    }

    #[test]
    fn a_process_without_a_host_is_not_a_cell() {
        assert!(!is_cell());
        assert!(matches!(take(), Err(InheritError::NotACell)));
    }
}
