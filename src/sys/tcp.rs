//! TCP sockets: listening, and what their connections are told.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{Shutdown, sockopt};

/// A socket that listens at the first of `addresses` that can be had, and where that is. It is nonblocking.
pub(crate) fn listen(addresses: &[SocketAddr]) -> io::Result<(OwnedFd, SocketAddr)> {
    let listener = TcpListener::bind(addresses)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener.into(), address))
}

/// Has what is written sent at once, however little it is.
pub(crate) fn send_at_once(connection: impl AsFd) -> io::Result<()> {
    Ok(sockopt::set_tcp_nodelay(connection, true)?)
}

/// Tells the other side, after all that was sent before, that nothing more will be.
pub(crate) fn stop_sending(connection: impl AsFd) {
    // One that is not connected any more is at its end already.
    let _shut = rustix::net::shutdown(connection, Shutdown::Write);
}

/// Whether both ends are the same. It happens where nobody listens: a connection is given any port that is free, and that
/// can be the one it connects to.
pub(crate) fn is_its_own_peer(connection: &TcpStream) -> bool {
    // One that has ended meanwhile has no peer, and shows so to whoever uses it.
    matches!((connection.local_addr(), connection.peer_addr()), (Ok(own), Ok(peer)) if own == peer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketType};

    #[test]
    fn a_connection_to_itself_is_known_and_another_is_not() {
        let (listener, address) = listen(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let connection = TcpStream::connect(address).unwrap();
        assert!(!is_its_own_peer(&connection));
        let (_accepted, from) = crate::sys::socket::accept(&listener).unwrap();
        assert_eq!(from, Some(connection.local_addr().unwrap()));

        let own = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        rustix::net::bind(&own, &"127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
        let own = TcpStream::from(own);
        rustix::net::connect(&own, &own.local_addr().unwrap()).unwrap();
        assert!(is_its_own_peer(&own));
    }

    #[test]
    fn the_first_address_that_can_be_had_is_listened_at() {
        let (_listener, taken) = listen(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        assert_eq!(listen(&[taken]).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let (_other, address) = listen(&[taken, "127.0.0.1:0".parse().unwrap()]).unwrap();
        assert_ne!(address, taken);
    }
}
