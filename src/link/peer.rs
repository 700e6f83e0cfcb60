//! Who is at the other end, as the kernel says.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use crate::sys;

/// Who is at the other end of a session, as this side's kernel says and not as the peer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// The user that the peer ran as when it connected, listened, or had been spawned; `None` where this process cannot
    /// tell, which is so for a spawned one that it cannot see in `/proc`.
    pub uid: Option<u32>,
    /// The process that connected, listened, or was spawned; `None` where this process cannot see it.
    pub pid: Option<u32>,
    /// Where it is, over TCP: the address that connected or was connected to. Nothing else is known of it then.
    pub address: Option<SocketAddr>,
}

impl Peer {
    /// Whoever connected this socket, or listened for it.
    pub(crate) fn of(socket: impl AsFd) -> io::Result<Self> {
        let (uid, _, pid) = sys::peer::credentials(socket)?;
        Ok(Self { uid: Some(uid), pid: (pid != 0).then_some(pid), address: None })
    }

    /// Whoever is at the other end of a TCP connection.
    pub(crate) fn remote(address: SocketAddr) -> Self {
        Self { uid: None, pid: None, address: Some(address) }
    }

    /// A process that this one has started, as whatever user, and not reaped.
    #[cfg(feature = "tokio")]
    pub(crate) fn child(pid: u32) -> Self {
        Self { uid: sys::peer::uid_of(pid), pid: Some(pid), address: None }
    }

    /// This process.
    pub(crate) fn this() -> Self {
        Self { uid: Some(sys::peer::own_uid()), pid: Some(std::process::id()), address: None }
    }
}

/// What decides whether it is let in.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.uid) {
            (Some(address), _) => write!(f, "{address}"),
            (None, Some(uid)) => write!(f, "user {uid}"),
            (None, None) => f.write_str("an unknown user"),
        }
    }
}

/// Whether this is an address that only this machine reaches, or is reached from.
pub(crate) fn is_loopback(address: SocketAddr) -> bool {
    // One of version 4 may come in the clothes of version 6.
    address.ip().to_canonical().is_loopback()
}

/// Who may open a session here.
///
/// Over TCP nobody's user is known: the kernel tells an address, and any program of any user may be behind it. So the
/// default there is [`ThisMachine`](Self::ThisMachine), and a [`Server`](crate::Server) that is to let in certain users
/// only is not bound to a TCP address at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// The user that this process runs as. The default wherever the kernel names the user.
    #[default]
    SameUser,
    /// These users, by number. The socket's file mode must let them reach it: see
    /// [`Server::mode`](crate::Server::mode).
    Users(Vec<u32>),
    /// Whoever is on this machine and can reach the socket, as any user. Over TCP, where this is the default: whoever
    /// connects from a loopback address.
    ThisMachine,
    /// Whoever can reach the socket.
    Anyone,
}

impl Access {
    pub(crate) fn allows(&self, peer: Peer) -> bool {
        match self {
            Self::SameUser => peer.uid == Some(sys::peer::own_uid()),
            Self::Users(users) => peer.uid.is_some_and(|uid| users.contains(&uid)),
            Self::ThisMachine => peer.address.is_none_or(is_loopback),
            Self::Anyone => true,
        }
    }

    /// Whether it asks for what is not known over TCP.
    pub(crate) fn is_by_user(&self) -> bool {
        matches!(self, Self::SameUser | Self::Users(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_is_by_user() {
        let here = Peer::this();
        let user = here.uid.unwrap() + 1;
        let unknown = Peer { uid: None, ..here };
        let other = Peer { uid: Some(user), ..here };
        assert!(Access::SameUser.allows(here) && !Access::SameUser.allows(other));
        assert!(Access::Users(vec![user]).allows(other) && !Access::Users(vec![]).allows(here));
        for access in [Access::ThisMachine, Access::Anyone] {
            assert!(access.allows(other) && access.allows(unknown) && !access.is_by_user());
        }
        assert!(!Access::SameUser.allows(unknown) && !Access::Users(vec![user]).allows(unknown));
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(Peer::of(&socket).unwrap(), here);
    }

    #[test]
    fn over_tcp_access_is_by_machine() {
        let at = |address: &str| Peer::remote(address.parse().unwrap());
        for near in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(Access::ThisMachine.allows(at(near)), "{near}");
            assert!(!Access::SameUser.allows(at(near)) && !Access::Users(vec![0]).allows(at(near)), "{near}");
        }
        for far in ["10.0.0.1:1", "0.0.0.0:1", "[::]:1", "[fe80::1]:1", "[::ffff:10.0.0.1]:1"] {
            assert!(!Access::ThisMachine.allows(at(far)) && Access::Anyone.allows(at(far)), "{far}");
        }
    }

    #[test]
    #[cfg(feature = "tokio")]
    fn a_child_is_known_by_its_own_user() {
        use std::os::unix::process::CommandExt as _;
        use std::process::{Command, Stdio};
        // Who may be anybody starts it as somebody else.
        let own = sys::peer::own_uid();
        let user = if own == 0 { 65_534 } else { own };
        let mut child = Command::new("/bin/cat").uid(user).stdin(Stdio::piped()).spawn().unwrap();
        let peer = Peer::child(child.id());
        drop(child.stdin.take());
        assert_eq!(peer, Peer { uid: Some(user), pid: Some(child.id()), address: None });
        child.wait().unwrap();
        assert_eq!(Peer::child(u32::MAX).uid, None, "there is no such process");
    }
}
