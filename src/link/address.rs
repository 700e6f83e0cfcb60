//! Addresses: where a session is to be had, and over what.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// What separates the parts of addresses, here or elsewhere, and is in no name of a host.
const NO_HOST: [char; 7] = [':', '/', '[', ']', '@', '?', ' '];

/// Where a session is to be had, and over what.
///
/// ```
/// use transom::Address;
///
/// let address: Address = "shm:/run/app.sock".parse()?;
/// assert_eq!(address, Address::Shm("/run/app.sock".into()));
/// assert_eq!(address.to_string(), "shm:/run/app.sock");
/// # Ok::<(), transom::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// `shm:/run/app.sock`: the Unix socket over which shared memory is handed over. Where that cannot be had, the
    /// session goes over the socket itself, and [`Session::transport`](crate::Session::transport) says why.
    Shm(PathBuf),
    /// `unix:/run/app.sock`: the Unix socket, and nothing but.
    Unix(PathBuf),
    /// `mem:name`: a name within this process.
    Mem(String),
    /// `tcp:host:port`, `tcp:[::1]:port`: a TCP socket. Nothing on it is encrypted and nobody's user is known, so that it
    /// stays within this machine unless [`Options::plaintext_beyond_loopback`](crate::Options::plaintext_beyond_loopback)
    /// says otherwise; who is let in then, [`Access`](crate::Access) says.
    Tcp {
        /// A name to look up, or an IP address; one of version 6 without its brackets.
        host: String,
        /// The port. A listener takes any that is free for 0; [`Listener::address`](crate::Listener::address) says which.
        port: u16,
    },
}

/// The TCP address in digits.
impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        let host = match address {
            SocketAddr::V6(address) if address.scope_id() != 0 => {
                format!("{}%{}", address.ip(), address.scope_id())
            }
            address => address.ip().to_string(),
        };
        Self::Tcp { host, port: address.port() }
    }
}

/// Why a text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It begins with none of `shm:`, `unix:`, `mem:`, `tcp:`.
    #[error("`{address}` begins with none of `shm:`, `unix:`, `mem:`, `tcp:`")]
    Scheme {
        /// The text.
        address: String,
    },
    /// Nothing follows the scheme.
    #[error("`{address}` names nothing")]
    Empty {
        /// The text.
        address: String,
    },
    /// What follows `tcp:` is not a host and a port.
    #[error("`{address}` is neither `tcp:host:port` nor `tcp:[IPv6 address]:port`")]
    HostAndPort {
        /// The text.
        address: String,
    },
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(address: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = address.split_once(':').unwrap_or_default();
        let of: fn(&str) -> Option<Self> = match scheme {
            "shm" => |path| Some(Self::Shm(path.into())),
            "unix" => |path| Some(Self::Unix(path.into())),
            "mem" => |name| Some(Self::Mem(name.into())),
            "tcp" => host_and_port,
            _ => return Err(AddressError::Scheme { address: address.to_owned() }),
        };
        if rest.is_empty() {
            return Err(AddressError::Empty { address: address.to_owned() });
        }
        of(rest).ok_or_else(|| AddressError::HostAndPort { address: address.to_owned() })
    }
}

/// Reads `host:port`. What the host is shows when it is looked up; but what is part of no host is not one.
fn host_and_port(text: &str) -> Option<Address> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => {
            let (address, _zone) = host.split_once('%').unwrap_or((host, ""));
            address.parse::<Ipv6Addr>().ok().map(|_| host)
        }
        None => Some(host).filter(|host| !host.is_empty() && !host.contains(NO_HOST)),
    }?;
    // A sign is no part of a number here.
    let port = port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse().ok())??;
    Some(Address::Tcp { host: host.to_owned(), port })
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shm(path) => write!(f, "shm:{}", path.display()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Mem(name) => write!(f, "mem:{name}"),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp:[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp:{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_being_written_and_a_senseless_one_is_named() {
        for text in [
            "shm:/run/a.sock",
            "unix:relative",
            "mem:a:b",
            "tcp:127.0.0.1:0",
            "tcp:localhost:65535",
            "tcp:[::1]:7000",
            "tcp:[fe80::1%eth0]:7000",
        ] {
            assert_eq!(text.parse::<Address>().map(|address| address.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "/run/a.sock", "http://x", "shm"] {
            assert_eq!(text.parse::<Address>(), Err(AddressError::Scheme { address: text.to_owned() }));
        }
        for text in ["mem:", "tcp:"] {
            assert!(matches!(text.parse::<Address>(), Err(AddressError::Empty { .. })));
        }
    }

    #[test]
    fn a_host_and_a_port_are_both_there_and_nothing_else() {
        for text in [
            "7000",
            "localhost",
            "localhost:",
            ":7000",
            "localhost:65536",
            "localhost:+1",
            "localhost: 1",
            "local host:1",
            "::1:7000",
            "[::1]",
            "[::1]7000",
            "[]:7000",
            "[localhost]:7000",
            "[::1:7000",
            "//localhost:7000",
            "user@localhost:7000",
        ] {
            let address = format!("tcp:{text}");
            assert_eq!(address.parse::<Address>(), Err(AddressError::HostAndPort { address }));
        }
    }

    #[test]
    fn an_address_in_digits_is_what_it_says() {
        for text in ["127.0.0.1:0", "[::1]:7000", "[fe80::1%2]:7000"] {
            let address = Address::from(text.parse::<SocketAddr>().unwrap());
            assert_eq!(address.to_string(), format!("tcp:{text}"));
            assert_eq!(address.to_string().parse::<Address>().as_ref(), Ok(&address));
        }
    }
}
