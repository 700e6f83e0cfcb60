//! Addresses: where a session is to be had, and over what.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

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
}

/// Why a text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It begins with none of `shm:`, `unix:`, `mem:`.
    #[error("`{address}` begins with none of `shm:`, `unix:`, `mem:`")]
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
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(address: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = address.split_once(':').unwrap_or_default();
        let of: fn(&str) -> Self = match scheme {
            "shm" => |path| Self::Shm(path.into()),
            "unix" => |path| Self::Unix(path.into()),
            "mem" => |name| Self::Mem(name.into()),
            _ => return Err(AddressError::Scheme { address: address.to_owned() }),
        };
        if rest.is_empty() {
            return Err(AddressError::Empty { address: address.to_owned() });
        }
        Ok(of(rest))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shm(path) => write!(f, "shm:{}", path.display()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Mem(name) => write!(f, "mem:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_being_written_and_a_senseless_one_is_named() {
        for text in ["shm:/run/a.sock", "unix:relative", "mem:a:b"] {
            assert_eq!(text.parse::<Address>().map(|address| address.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "/run/a.sock", "http://x", "shm"] {
            assert_eq!(text.parse::<Address>(), Err(AddressError::Scheme { address: text.to_owned() }));
        }
        assert!(matches!("mem:".parse::<Address>(), Err(AddressError::Empty { .. })));
    }
}
