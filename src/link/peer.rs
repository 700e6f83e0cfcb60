//! Who is at the other end, as the kernel says.

use std::io;
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
}

impl Peer {
    /// Whoever connected this socket, or listened for it.
    pub(crate) fn of(socket: impl AsFd) -> io::Result<Self> {
        let (uid, _, pid) = sys::peer::credentials(socket)?;
        Ok(Self { uid: Some(uid), pid: (pid != 0).then_some(pid) })
    }

    /// A process that this one has started, as whatever user, and not reaped.
    #[cfg(feature = "tokio")]
    pub(crate) fn child(pid: u32) -> Self {
        Self { uid: sys::peer::uid_of(pid), pid: Some(pid) }
    }

    /// This process.
    pub(crate) fn this() -> Self {
        Self { uid: Some(sys::peer::own_uid()), pid: Some(std::process::id()) }
    }
}

/// Which users may open a session here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// The user that this process runs as.
    #[default]
    SameUser,
    /// These users, by number. The socket's file mode must let them reach it: see
    /// [`Server::mode`](crate::Server::mode).
    Users(Vec<u32>),
    /// Whoever can reach the socket.
    Anyone,
}

impl Access {
    pub(crate) fn allows(&self, peer: Peer) -> bool {
        match self {
            Self::SameUser => peer.uid == Some(sys::peer::own_uid()),
            Self::Users(users) => peer.uid.is_some_and(|uid| users.contains(&uid)),
            Self::Anyone => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_is_by_user() {
        let here = Peer::this();
        let user = here.uid.unwrap() + 1;
        let (other, unknown) = (Peer { uid: Some(user), pid: None }, Peer { uid: None, pid: None });
        assert!(Access::SameUser.allows(here) && !Access::SameUser.allows(other));
        assert!(Access::Users(vec![user]).allows(other) && !Access::Users(vec![]).allows(here));
        assert!(Access::Anyone.allows(other) && Access::Anyone.allows(unknown));
        assert!(!Access::SameUser.allows(unknown) && !Access::Users(vec![user]).allows(unknown));
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(Peer::of(&socket).unwrap(), here);
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
        assert_eq!(peer, Peer { uid: Some(user), pid: Some(child.id()) });
        child.wait().unwrap();
        assert_eq!(Peer::child(u32::MAX).uid, None, "there is no such process");
    }
}
