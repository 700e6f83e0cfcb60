//! Descriptors in arguments, results and items.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use facet::Facet;

use crate::codec::{FileDescriptor, Handle, HandleError, Kind};

/// A file descriptor that can be passed on: in arguments, in results and in items of a channel, wherever in them it is.
///
/// Passed on, the peer gets a descriptor of its own for the same open file, close-on-exec. The one here is closed as soon as
/// the message that it is in is on its way; to keep one, pass a [clone](Self::try_clone) on. At most 64 go with one message,
/// and none over TCP: see [`FdError`](crate::FdError).
///
/// ```
/// # use std::io::Write;
/// use transom::Fd;
///
/// #[transom::service]
/// trait Store {
///     /// Writes what is kept under `key` into a file, a pipe or a socket of the caller's.
///     async fn write(&self, key: &str, to: Fd);
/// }
/// # struct Empty;
/// impl Store for Empty {
///     async fn write(&self, key: &str, to: Fd) {
///         let mut to: std::fs::File = to.into();
///         to.write_all(key.as_bytes()).expect("it can be written");
///     }
/// }
/// # async fn example(store: StoreClient) -> Result<(), Box<dyn std::error::Error>> {
/// let (reader, writer) = std::io::pipe()?;
/// store.write("key", Fd::new(writer)).await?;
/// # Ok(())
/// # }
/// ```
///
/// # What the peer decides
/// Which file it is, and how it behaves: reading from it may wait for ever, and closing it may wait, too. Its flags, as
/// `O_NONBLOCK`, and its position are shared with whoever else has it open, the peer included: they may change at any
/// time.
#[derive(Facet)]
#[facet(proxy = FileDescriptor)]
pub struct Fd {
    // Read by reflection: the first field is the handle.
    #[facet(opaque)]
    handle: Arc<Handle>,
    #[facet(opaque)]
    place: Arc<Place>,
}

/// Where a descriptor is: in a value, and in the messages that the value is being put into.
#[derive(Debug, Default)]
pub(super) struct Place(OnceLock<OwnedFd>);

impl Place {
    /// The place of the descriptor that a handle stands for, and the descriptor.
    ///
    /// # Errors
    /// [`HandleError::Misplaced`] if there is none: it was made of bytes that came in no message.
    pub(super) fn taken(handle: &Handle) -> Result<Arc<Self>, HandleError> {
        let place = Self::of(handle)?;
        if place.0.get().is_some() { Ok(place) } else { Err(HandleError::Misplaced) }
    }

    fn of(handle: &Handle) -> Result<Arc<Self>, HandleError> {
        // Nobody else makes handles of this kind.
        Arc::clone(handle.keeper()).downcast().map_err(|_| HandleError::Misplaced)
    }

    /// Has a handle that has come in a message stand for this descriptor.
    ///
    /// # Errors
    /// [`HandleError::Misplaced`] if it stands for one.
    pub(super) fn fill(handle: &Handle, fd: OwnedFd) -> Result<(), HandleError> {
        Self::of(handle)?.0.set(fd).map_err(|_| HandleError::Misplaced)?;
        handle.release();
        Ok(())
    }
}

impl AsFd for Place {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.0.get() {
            Some(fd) => fd.as_fd(),
            None => panic!("a descriptor was made of bytes that came in no message"),
        }
    }
}

impl Fd {
    /// A descriptor to be passed on: of a file, a socket, a pipe.
    pub fn new(fd: impl Into<OwnedFd>) -> Self {
        let place = Arc::new(Place(OnceLock::from(fd.into())));
        Self { handle: Handle::new(Kind::Descriptor, Arc::clone(&place) as _), place }
    }

    /// Another descriptor for the same open file.
    ///
    /// # Errors
    /// Whatever the operating system says.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.as_fd().try_clone_to_owned().map(Self::new)
    }
}

impl From<OwnedFd> for Fd {
    fn from(fd: OwnedFd) -> Self {
        Self::new(fd)
    }
}

impl From<File> for Fd {
    fn from(file: File) -> Self {
        Self::new(file)
    }
}

/// # Panics
/// If it has been shared, in an `Arc`, with a message that has yet to be sent, and cannot be duplicated.
impl From<Fd> for OwnedFd {
    fn from(fd: Fd) -> Self {
        let Fd { handle, place } = fd;
        drop(handle);
        let taken = Arc::try_unwrap(place).map(|place| place.0.into_inner());
        match taken {
            Ok(Some(fd)) => fd,
            Ok(None) => panic!("a descriptor was made of bytes that came in no message"),
            Err(shared) => {
                shared.as_fd().try_clone_to_owned().expect("a shared descriptor can be duplicated")
            }
        }
    }
}

impl From<Fd> for File {
    fn from(fd: Fd) -> Self {
        Self::from(OwnedFd::from(fd))
    }
}

impl AsFd for Fd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.place.as_fd()
    }
}

#[doc(hidden)]
impl TryFrom<FileDescriptor> for Fd {
    type Error = HandleError;

    fn try_from(descriptor: FileDescriptor) -> Result<Self, HandleError> {
        let place = Arc::new(Place::default());
        Ok(Self { handle: descriptor.handle(Arc::clone(&place) as _)?, place })
    }
}

#[doc(hidden)]
impl TryFrom<&Fd> for FileDescriptor {
    type Error = HandleError;

    fn try_from(fd: &Fd) -> Result<Self, HandleError> {
        Self::of(&fd.handle)
    }
}

impl fmt::Debug for Fd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fd").field(&self.place.0.get()).finish()
    }
}
