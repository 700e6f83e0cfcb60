//! Bytes and descriptors over a Unix socket.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::retry_on_intr;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// The most descriptors in one message. The kernel would take 253.
pub(crate) const MOST: usize = 64;

/// What a message brought, apart from its bytes and descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// How many bytes came, 0 at the end.
    pub(crate) bytes: usize,
    /// Descriptors were sent that did not get here: there was no room for them, or this process may not have them.
    pub(crate) truncated: bool,
}

/// Sends bytes with descriptors; how many bytes went. The descriptors go with the first byte. Never waits.
///
/// # Errors
/// `InvalidInput` for more descriptors than [`MOST`]; else what the kernel says.
pub(crate) fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if descriptors.len() > MOST
        || !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors))
    {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    Ok(retry_on_intr(|| sendmsg(&socket, &[IoSlice::new(bytes)], &mut control, flags))?)
}

/// Receives bytes and the descriptors that come with them, close-on-exec: of a message that was sent with some, none are
/// left when its first byte has been received, and nothing of the next message is received with them. Never waits.
///
/// There is room for `most` descriptors, of at most [`MOST`]; a few more may come.
pub(crate) fn receive(
    socket: impl AsFd,
    into: &mut [u8],
    most: usize,
    passed: &mut impl Extend<OwnedFd>,
) -> io::Result<Message> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let room = rustix::cmsg_space!(ScmRights(most)).min(space.len());
    let mut control = RecvAncillaryBuffer::new(&mut space[..room]);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let message = retry_on_intr(|| recvmsg(&socket, &mut [IoSliceMut::new(into)], &mut control, flags))?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            passed.extend(received);
        }
    }
    Ok(Message { bytes: message.bytes, truncated: message.flags.contains(ReturnFlags::CTRUNC) })
}
