//! Who is at the other end, as the kernel says.

use std::io;
use std::os::fd::AsFd;

use crate::sys;

/// Who is at the other end of a session, as this side's kernel says and not as the peer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// The user that the peer ran as when it connected, or listened.
    pub uid: u32,
    /// The process that connected, listened, or was spawned; `None` where this process cannot see it.
    pub pid: Option<u32>,
}

impl Peer {
    /// Whoever connected this socket, or listened for it.
    pub(crate) fn of(socket: impl AsFd) -> io::Result<Self> {
        let (uid, _, pid) = sys::peer::credentials(socket)?;
        Ok(Self { uid, pid: (pid != 0).then_some(pid) })
    }

    /// A process that this one has started as the same user.
    pub(crate) fn child(pid: u32) -> Self {
        Self { uid: sys::peer::own_uid(), pid: Some(pid) }
    }

    /// This process.
    pub(crate) fn this() -> Self {
        Self::child(std::process::id())
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
            Self::SameUser => peer.uid == sys::peer::own_uid(),
            Self::Users(users) => users.contains(&peer.uid),
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
        let other = Peer { uid: here.uid + 1, pid: None };
        assert!(Access::SameUser.allows(here) && !Access::SameUser.allows(other));
        assert!(Access::Users(vec![other.uid]).allows(other) && !Access::Users(vec![]).allows(here));
        assert!(Access::Anyone.allows(other));
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(Peer::of(&socket).unwrap(), here);
    }
}
