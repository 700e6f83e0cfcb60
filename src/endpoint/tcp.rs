//! Reaching what a `tcp:` address names: looking its host up, keeping plain text on this machine, and trying one address
//! after the other.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::{ConnectError, Options, ServeError};
use crate::link::{Address, is_loopback};
use crate::sys;

/// The host and the port of an address, and the address itself for those who complain.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) address: &'a Address,
    pub(super) host: &'a str,
    pub(super) port: u16,
}

/// A connected socket, and to where.
type Connected = (OwnedFd, SocketAddr);

/// Connects to what `place` names, until `until` at the latest.
///
/// # Cancel safety
/// Dropped before it is done, it leaves nothing behind but a thread of the runtime that still looks a name up.
#[cfg(feature = "tokio")]
pub(super) async fn connect(
    place: Place<'_>,
    options: &Options,
    until: Option<Instant>,
) -> Result<Connected, ConnectError> {
    let found = match place.in_digits() {
        Some(address) => vec![address],
        None => within(until, tokio::net::lookup_host((place.host, place.port)))
            .await
            .map(Vec::from_iter)
            .map_err(|source| place.unresolved(source))?,
    };
    try_each(place.attempts(found, options, until)?).await.map_err(|source| place.unreached(source))
}

#[cfg(feature = "tokio")]
async fn try_each(mut attempts: Attempts) -> io::Result<Connected> {
    while let Some((address, until)) = attempts.next(super::open::runtime_now()) {
        let connected = within(until, tokio::net::TcpStream::connect(address)).await;
        if let Some(connected) = attempts.made(address, connected.and_then(tokio::net::TcpStream::into_std)) {
            return Ok(connected);
        }
    }
    Err(attempts.failure)
}

#[cfg(feature = "tokio")]
async fn within<T>(until: Option<Instant>, future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match until {
        None => future.await,
        Some(until) => {
            let done = tokio::time::timeout_at(until.into(), future).await;
            done.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
        }
    }
}

/// Connects to what `place` names, until `until` at the latest.
pub(super) fn connect_blocking(
    place: Place<'_>,
    options: &Options,
    until: Option<Instant>,
) -> Result<Connected, ConnectError> {
    let found = place.look_up(until).map_err(|source| place.unresolved(source))?;
    try_each_blocking(place.attempts(found, options, until)?).map_err(|source| place.unreached(source))
}

fn try_each_blocking(mut attempts: Attempts) -> io::Result<Connected> {
    while let Some((address, until)) = attempts.next(Instant::now()) {
        let connected = match until {
            None => TcpStream::connect(address),
            Some(until) => {
                // No time at all is no argument; the least there is comes to the same.
                let left = until.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
                TcpStream::connect_timeout(&address, left)
            }
        };
        if let Some(connected) = attempts.made(address, connected) {
            return Ok(connected);
        }
    }
    Err(attempts.failure)
}

/// Listens at what `place` names, a name looked up while this thread waits; where that is, as it came out.
pub(super) fn listen(place: Place<'_>, options: &Options) -> Result<Connected, ServeError> {
    let address = || place.address.to_string();
    let found = place
        .look_up(options.open_until(Instant::now()))
        .map_err(|source| ServeError::Unresolved { address: address(), source })?;
    if let Some(found) = beyond_loopback(&found, options) {
        return Err(ServeError::Plaintext { address: address(), found });
    }
    sys::tcp::listen(&found).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::InUse { address: address() },
        _ => ServeError::Io { address: address(), source },
    })
}

/// The first address to which plain text must not go.
fn beyond_loopback(found: &[SocketAddr], options: &Options) -> Option<SocketAddr> {
    let refused = |address: &&SocketAddr| !options.plaintext_beyond_loopback && !is_loopback(**address);
    found.iter().find(refused).copied()
}

impl Place<'_> {
    /// The address, of a host that need not be looked up.
    fn in_digits(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.host.parse::<IpAddr>().ok()?, self.port))
    }

    /// The addresses of the host. The system may take as long as it likes to look them up: a thread of its own does so.
    fn look_up(&self, until: Option<Instant>) -> io::Result<Vec<SocketAddr>> {
        if let Some(address) = self.in_digits() {
            return Ok(vec![address]);
        }
        let (host, port) = (self.host.to_owned(), self.port);
        let (sender, found) = channel();
        let look_up = move || {
            // Whoever asked may wait no longer.
            drop(sender.send((host.as_str(), port).to_socket_addrs().map(Vec::from_iter)));
        };
        std::thread::Builder::new().name("transom-lookup".to_owned()).spawn(look_up)?;
        let found = match until {
            None => found.recv().map_err(RecvTimeoutError::from),
            Some(until) => found.recv_timeout(until.saturating_duration_since(Instant::now())),
        };
        found.unwrap_or_else(|error| match error {
            RecvTimeoutError::Timeout => Err(io::ErrorKind::TimedOut.into()),
            RecvTimeoutError::Disconnected => Err(io::Error::other(error)),
        })
    }

    fn attempts(
        &self,
        found: Vec<SocketAddr>,
        options: &Options,
        until: Option<Instant>,
    ) -> Result<Attempts, ConnectError> {
        match beyond_loopback(&found, options) {
            Some(found) => Err(ConnectError::Plaintext { address: self.address.to_string(), found }),
            None => Ok(Attempts::new(found, until)),
        }
    }

    fn unresolved(&self, source: io::Error) -> ConnectError {
        ConnectError::Unresolved { address: self.address.to_string(), source }
    }

    fn unreached(&self, source: io::Error) -> ConnectError {
        let address = self.address.to_string();
        match source.kind() {
            io::ErrorKind::ConnectionRefused => ConnectError::Absent { address },
            // There was no address to try.
            io::ErrorKind::NotFound => ConnectError::Unresolved { address, source },
            _ => ConnectError::Socket { address, source },
        }
    }
}

/// Attempts to connect, one for each address.
struct Attempts {
    left: std::vec::IntoIter<SocketAddr>,
    until: Option<Instant>,
    /// How the last one failed.
    failure: io::Error,
}

impl Attempts {
    fn new(found: Vec<SocketAddr>, until: Option<Instant>) -> Self {
        Self { left: found.into_iter(), until, failure: io::ErrorKind::NotFound.into() }
    }

    /// The next address to try, and until when: the time left is shared out among the addresses left, so that one that does
    /// not answer does not take it all.
    fn next(&mut self, now: Instant) -> Option<(SocketAddr, Option<Instant>)> {
        let shares = u32::try_from(self.left.len()).unwrap_or(u32::MAX);
        let address = self.left.next()?;
        Some((address, self.until.map(|until| now + until.saturating_duration_since(now) / shares)))
    }

    /// What came of an attempt, if it is a connection.
    fn made(&mut self, address: SocketAddr, connected: io::Result<TcpStream>) -> Option<Connected> {
        let connected = connected.and_then(|connection| match sys::tcp::is_its_own_peer(&connection) {
            true => Err(io::ErrorKind::ConnectionRefused.into()),
            false => Ok(connection),
        });
        match connected {
            Ok(connection) => Some((connection.into(), address)),
            Err(error) => {
                tracing::debug!(target: "transom::endpoint", %address, %error, "not connected");
                self.failure = error;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const SECOND: Duration = Duration::from_secs(1);

    /// An address at which nobody listens, and one at which somebody does.
    fn addresses() -> (SocketAddr, TcpListener) {
        let here = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (closed, open) = (here(), here());
        (closed.local_addr().unwrap(), open)
    }

    #[test]
    fn time_is_shared_out_among_the_addresses_left() {
        let (now, (one, _)) = (Instant::now(), addresses());
        let mut attempts = Attempts::new(vec![one; 3], Some(now + 6 * SECOND));
        assert_eq!(attempts.next(now), Some((one, Some(now + 2 * SECOND))));
        // The first was quick; the second has half of what is left.
        let now = now + SECOND;
        assert_eq!(attempts.next(now), Some((one, Some(now + 5 * SECOND / 2))));
        let now = now + 9 * SECOND;
        assert_eq!(attempts.next(now), Some((one, Some(now))), "late, it is tried for no time at all");
        assert_eq!(attempts.next(now), None);
        assert_eq!(Attempts::new(vec![one], None).next(now), Some((one, None)));
    }

    #[test]
    fn every_address_is_tried_until_one_answers() {
        let (closed, open) = addresses();
        let there = open.local_addr().unwrap();
        for until in [None, Some(Instant::now() + 20 * SECOND)] {
            let (_socket, address) = try_each_blocking(Attempts::new(vec![closed, there], until)).unwrap();
            assert_eq!(address, there);
            let error = try_each_blocking(Attempts::new(vec![closed, closed], until)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        }
    }

    #[tokio::test]
    #[cfg(feature = "tokio")]
    async fn a_task_tries_every_address_too() {
        let (closed, open) = addresses();
        let there = open.local_addr().unwrap();
        for until in [None, Some(Instant::now() + 20 * SECOND)] {
            let (_socket, address) = try_each(Attempts::new(vec![closed, there], until)).await.unwrap();
            assert_eq!(address, there);
            let error = try_each(Attempts::new(vec![closed, closed], until)).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        }
    }

    #[test]
    fn plain_text_stays_here_unless_told_otherwise() {
        let [near, far] = ["[::1]:7", "192.0.2.1:7"].map(|text| text.parse::<SocketAddr>().unwrap());
        let (careful, bold) = (Options::new(), Options::new().plaintext_beyond_loopback());
        assert_eq!(beyond_loopback(&[near, near], &careful), None);
        assert_eq!(beyond_loopback(&[near, far], &careful), Some(far));
        assert_eq!(beyond_loopback(&[near, far], &bold), None);
    }
}
