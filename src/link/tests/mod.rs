//! Descriptors with frames, over every link and against peers that lie; and what differs over TCP.

mod full;
mod lies;
mod order;
mod scarce;
mod tcp;
mod wakes;

use std::io::{self, PipeReader, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use transom_shm_layout::half::HalfConfig;

use super::{FdError, Frame, Full, Header, Kind, Link, NotPassed, ShmParts, mem_pair, shm_link, stream_link};
use crate::{memory, sys};

/// Both ends of a link in shared memory, and of its lifeline.
fn shm_pair() -> ([Link; 2], [UnixStream; 2]) {
    let lifelines = <[UnixStream; 2]>::from(UnixStream::pair().unwrap());
    (shm_pair_over([0, 1].map(|at| lifelines[at].try_clone().unwrap().into())), lifelines)
}

/// Both ends of a link in shared memory with these lifelines.
fn shm_pair_over([lifeline, other_lifeline]: [OwnedFd; 2]) -> [Link; 2] {
    let halves = [0; 2].map(|_| memory::create(HalfConfig::default()).unwrap());
    let size = halves[0].region.plan().size() as u64;
    let [peer_of_other, peer_of_one] =
        [&halves[0], &halves[1]].map(|half| memory::attach(&half.descriptor, size, size).unwrap());
    let ([one, other], [(bell, ring), (other_bell, other_ring)]) =
        (halves, [0; 2].map(|_| sys::pipe::create().unwrap()));
    let link = |own: memory::Memory, peer, bell, peer_bell, lifeline| {
        shm_link(ShmParts { own: own.region, peer, bell, peer_bell, lifeline, inherited: false })
    };
    [
        link(one, peer_of_one, bell, other_ring, lifeline),
        link(other, peer_of_other, other_bell, ring, other_lifeline),
    ]
}

/// A link over a socket, and the other end of that socket.
fn half_stream() -> (Link, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (stream_link(ours, false).unwrap(), theirs)
}

/// Both ends of every link that carries descriptors.
fn links() -> [(&'static str, [Link; 2]); 3] {
    let (unix, other) = half_stream();
    [("mem", mem_pair().into()), ("unix", [unix, stream_link(other, false).unwrap()]), ("shm", shm_pair().0)]
}

/// Sends a call with this payload and these descriptors.
fn send(link: &mut Link, payload: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), NotPassed> {
    stage(link, payload, descriptors)?;
    link.transmit.publish();
    Ok(())
}

/// The same without showing it.
fn stage(link: &mut Link, payload: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), NotPassed> {
    link.transmit.reserve(payload.len()).map_err(|Full| NotPassed::Full)?.copy_from_slice(payload);
    link.transmit.commit_with(&header(payload), descriptors)
}

fn header(payload: &[u8]) -> Header {
    Header { length: u32::try_from(payload.len()).unwrap(), ..Header::new(Kind::Call) }
}

/// The next frame, which is there.
fn receive(link: &mut Link) -> Frame {
    let mut frame = Frame::default();
    assert!(link.receive.next(&mut frame).unwrap());
    link.receive.release();
    assert_eq!(frame.header, header(&frame.payload));
    frame
}

/// Whether all who could write into a pipe are gone.
fn is_at_its_end(reader: &mut PipeReader) -> bool {
    is_at_its_end_within(reader, Duration::ZERO)
}

/// Waits until they are: a process that another test starts has all descriptors of this one for a moment.
fn comes_to_its_end(reader: &mut PipeReader) -> bool {
    is_at_its_end_within(reader, Duration::from_secs(20))
}

fn is_at_its_end_within(reader: &mut PipeReader, patience: Duration) -> bool {
    let mut watched = [PollFd::new(reader, PollFlags::IN)];
    let patience = Timespec::try_from(patience).unwrap();
    poll(&mut watched, Some(&patience)).unwrap() > 0 && reader.read(&mut [0]).unwrap() == 0
}

/// As many pipes: what reads from them, and what writes into them.
fn pipes(count: usize) -> (Vec<PipeReader>, Vec<OwnedFd>) {
    (0..count).map(|_| io::pipe().unwrap()).map(|(reader, writer)| (reader, writer.into())).unzip()
}

fn borrowed(descriptors: &[OwnedFd]) -> Vec<BorrowedFd<'_>> {
    descriptors.iter().map(AsFd::as_fd).collect()
}
