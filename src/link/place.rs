//! A place in the file system at which a socket listens, held by one process at a time.
//!
//! ```text
//!  lock `path.lock`  ->  look at what is at `path`  ->  listen under another name  ->  rename it to `path`
//! ```
//! Whoever finds a socket at `path` finds one that listens, with its mode set; a stale one is replaced, a live one never
//! stolen. The lock file stays for ever: were it unlinked, two processes could hold locks on two files of its name.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::Ticket;
use crate::sys;

/// A place, taken. Dropped, it takes its socket away.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    /// Device and number of the socket's file.
    identity: (u64, u64),
    _lock: File,
}

/// Why a place cannot be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TakenError {
    /// Somebody listens there.
    #[error("somebody listens there")]
    InUse,
    /// What is there is no socket.
    #[error("what is there is no socket")]
    NotASocket,
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Place {
    /// Takes the place at `path`, and listens there; the socket is nonblocking.
    ///
    /// # Errors
    /// [`TakenError`]; what was at `path` is as it was.
    pub(crate) fn take(path: &Path, mode: u32) -> Result<(Self, OwnedFd), TakenError> {
        let lock =
            sys::socket::try_lock(&beside(path, |name| format!("{name}.lock")))?.ok_or(TakenError::InUse)?;
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => return Err(TakenError::NotASocket),
            // Somebody who takes no locks may listen there.
            Ok(_) if UnixStream::connect(path).is_ok() => return Err(TakenError::InUse),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        // As short as can be: a socket's path holds some hundred bytes.
        let tag = Ticket::random()?.to_hex();
        let hidden = beside(path, |_| format!(".{}", &tag[..8]));
        let socket = sys::socket::listen(&hidden, mode)?;
        let renamed = fs::symlink_metadata(&hidden).and_then(|found| {
            fs::rename(&hidden, path)?;
            Ok((found.dev(), found.ino()))
        });
        match renamed {
            Ok(identity) => Ok((Self { path: path.to_owned(), identity, _lock: lock }, socket)),
            Err(error) => {
                // The first error is the one that counts.
                let _unlinked = fs::remove_file(&hidden);
                Err(error.into())
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let ours =
            fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.identity);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(target: "transom::link", path = %self.path.display(), %error, "a socket stays behind");
        }
    }
}

fn beside(path: &Path, name: impl FnOnce(&str) -> String) -> PathBuf {
    path.with_file_name(name(&path.file_name().unwrap_or_default().to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixListener;

    struct Directory(PathBuf);

    impl Directory {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("transom-{}", Ticket::random().unwrap().to_hex()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_place_is_one_holders_and_free_again_afterwards() {
        let directory = Directory::new();
        let path = directory.0.join("a.sock");
        let (place, _socket) = Place::take(&path, 0o600).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        UnixStream::connect(&path).unwrap();
        assert!(matches!(Place::take(&path, 0o600), Err(TakenError::InUse)));
        drop(place);
        assert!(!path.exists());
        Place::take(&path, 0o600).unwrap();
        let left: Vec<_> =
            fs::read_dir(&directory.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["a.sock.lock"], "no hidden name is left");
    }

    #[test]
    fn a_stale_socket_is_replaced_a_live_one_and_a_file_are_not() {
        let directory = Directory::new();
        let path = directory.0.join("a.sock");
        let stranger = UnixListener::bind(&path).unwrap();
        assert!(matches!(Place::take(&path, 0o600), Err(TakenError::InUse)));
        drop(stranger);
        let taken = Place::take(&path, 0o600).unwrap();
        UnixStream::connect(&path).unwrap();
        drop(taken);
        fs::write(&path, "text").unwrap();
        assert!(matches!(Place::take(&path, 0o600), Err(TakenError::NotASocket)));
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
    }

    #[test]
    fn a_successors_socket_is_left_alone() {
        let directory = Directory::new();
        let path = directory.0.join("a.sock");
        let taken = Place::take(&path, 0o600).unwrap();
        fs::remove_file(&path).unwrap();
        let _successor = UnixListener::bind(&path).unwrap();
        drop(taken);
        assert!(path.exists());
    }
}
