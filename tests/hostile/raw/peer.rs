//! A peer after its hand-over: frames in and out, over a socket or over rings.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::fence;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::thread::futex;

use super::{
    ALIGN, BELL, Frame, HEAD, Half, Hello, Prologue, RING, RINGS, Socket, TAIL, flags, kind, stance,
    wait_for, word,
};

/// Which side of a session the hostile peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It connects to a listener of ours.
    Initiator,
    /// It listens, and a connector of ours comes.
    Acceptor,
}

impl Role {
    /// The ID of this side's first request; every next one is two higher.
    pub fn first_id(self) -> u64 {
        match self {
            Self::Initiator => 1,
            Self::Acceptor => 2,
        }
    }
}

/// Memory to be handed over: a half, and a pipe that rings its owner.
pub struct Offer {
    pub half: Half,
    /// What becomes readable when the other side rings.
    pub bell: OwnedFd,
    /// What the other side rings with.
    pub bell_end: OwnedFd,
}

impl Offer {
    /// Good memory with a ring of `ring` bytes.
    pub fn new(ring: u64) -> Self {
        let (bell, bell_end) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).expect("a pipe");
        Self { half: Half::new(ring), bell, bell_end }
    }

    /// What goes along with the prologue.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.half.descriptor(), self.bell_end.as_fd()]
    }

    /// The prologue that announces it.
    pub fn prologue(&self, word: u8) -> Prologue {
        Prologue { half: super::size_of_half(self.half.ring()), ..Prologue::new(word, stance::MEMORY) }
    }
}

/// A segment seen from the hostile side.
pub struct Rings {
    pub own: Arc<Half>,
    pub other: Half,
    pub bell: OwnedFd,
    pub other_bell: OwnedFd,
    /// Behind the last frame written.
    pub tail: u64,
    /// Behind the last frame read.
    pub head: u64,
    epoch: u64,
}

impl Rings {
    /// Writes a frame behind the last one and shows it; whether there was room.
    pub fn write(&mut self, frame: &Frame) -> bool {
        let taken = self.other.word(HEAD).load(Acquire);
        // One that has lied about its tail may have had more taken than it wrote.
        let room = self.own.ring().saturating_sub(self.tail.saturating_sub(taken));
        let bytes = frame.encode();
        let size = (bytes.len() as u64).next_multiple_of(ALIGN);
        let to_end = self.own.ring() - self.tail % self.own.ring();
        let gap = if size > to_end { to_end } else { 0 };
        if gap + size > room {
            return false;
        }
        if gap > 0 {
            let length = u32::try_from(gap).expect("a gap") - Frame::HEADER as u32;
            self.put(&Frame { length: Some(length), ..Frame::new(kind::PAD, []) }.encode());
        }
        self.tail += gap;
        self.put(&bytes);
        self.show(self.tail + size);
        true
    }

    /// Puts bytes behind the last frame, without showing them.
    pub fn put(&self, bytes: &[u8]) {
        let offset = usize::try_from(self.tail % self.own.ring()).expect("an offset");
        self.own.write(RING + offset, bytes);
    }

    /// Says that there is something up to `tail`.
    pub fn show(&mut self, tail: u64) {
        self.tail = tail;
        self.own.word(TAIL).store(tail, Release);
        self.ring();
    }

    /// Wakes the other side, however it sleeps.
    pub fn ring(&self) {
        fence(SeqCst);
        let sleep = self.other.word(BELL).load(Relaxed);
        if sleep & 3 != 0 {
            self.wake();
        }
    }

    /// Wakes the other side whether it sleeps or not.
    pub fn wake(&self) {
        let rings = self.own.short_word(RINGS);
        rings.fetch_add(1, Relaxed);
        futex::wake(rings, futex::Flags::empty(), i32::MAX.cast_unsigned()).expect("a futex");
        // A full pipe says as much; one without a reader says that the lifeline is at its end, too.
        rustix::io::write(&self.other_bell, &[1]).unwrap_or(0);
    }

    /// The next frame, if there is one.
    pub fn read(&mut self) -> Option<Frame> {
        loop {
            if self.other.word(TAIL).load(Acquire) == self.head {
                return None;
            }
            let to_end = self.other.ring() - self.head % self.other.ring();
            let offset = RING + usize::try_from(self.head % self.other.ring()).expect("an offset");
            let (mut frame, length) = Frame::decode(&self.other.read(offset, Frame::HEADER));
            if frame.kind == kind::PAD {
                self.head += to_end;
                continue;
            }
            frame.payload = self.other.read(offset + Frame::HEADER, length);
            self.head += ((Frame::HEADER + length) as u64).next_multiple_of(ALIGN);
            self.own.word(HEAD).store(self.head, Release);
            self.ring();
            return Some(frame);
        }
    }

    /// Sleeps until there is a frame, or `lifeline` says something.
    fn sleep(&mut self, lifeline: &Socket) {
        self.epoch += 1;
        self.own.word(BELL).store(self.epoch << 2 | 2, Release);
        fence(SeqCst);
        if self.other.word(TAIL).load(Acquire) == self.head {
            wait_for(&[self.bell.as_fd(), lifeline.as_fd()]);
        }
        self.own.word(BELL).store(0, Relaxed);
        // Nothing in it is as good as something.
        rustix::io::read(&self.bell, &mut [0; 64]).unwrap_or(0);
    }

    /// Waits until the other side sleeps.
    pub fn wait_for_sleep(&self) {
        crate::scene::eventually("the other side sleeps", || self.other.word(BELL).load(Acquire) & 3 != 0);
    }
}

/// A peer spoken by hand.
pub struct Peer {
    pub role: Role,
    pub socket: Socket,
    pub rings: Option<Rings>,
}

impl Peer {
    /// Does an initiator's hand-over by the rules; with memory if there is some to offer.
    pub fn ask(socket: Socket, offer: Option<Offer>) -> Self {
        let Some(offer) = offer else {
            assert!(socket.say(&Prologue::new(word::ASK, stance::SOCKET).encode()));
            let welcome = socket.hear(Prologue::LEN).expect("a welcome");
            assert_eq!(Prologue::decode(&welcome).word, word::WELCOME);
            return Self { role: Role::Initiator, socket, rings: None };
        };
        socket.hand(&offer.prologue(word::ASK).encode(), &offer.descriptors());
        let (welcome, descriptors) = socket.take(Prologue::LEN).expect("a welcome");
        let rings = join(offer, &Prologue::decode(&welcome), descriptors);
        assert!(socket.say(&[stance::MEMORY]));
        Self { role: Role::Initiator, socket, rings: Some(rings) }
    }

    /// Does an acceptor's hand-over by the rules; with memory if there is some to offer.
    pub fn welcome(socket: Socket, offer: Option<Offer>) -> Self {
        let (ask, descriptors) = socket.take(Prologue::LEN).expect("a prologue");
        let ask = Prologue::decode(&ask);
        assert_eq!(ask.word, word::ASK);
        let rings = offer.map(|offer| {
            socket.hand(&offer.prologue(word::WELCOME).encode(), &offer.descriptors());
            let rings = join(offer, &ask, descriptors);
            assert_eq!(socket.hear(1), Some(vec![stance::MEMORY]));
            rings
        });
        if rings.is_none() {
            assert!(socket.say(&Prologue::new(word::WELCOME, stance::SOCKET).encode()));
        }
        Self { role: Role::Acceptor, socket, rings }
    }

    /// Does the session's handshake by the rules.
    pub fn shake_hands(&mut self) {
        let hello = Hello::of(self.role);
        match self.role {
            Role::Initiator => {
                assert!(self.send(&hello.frame(kind::HELLO)));
                assert_eq!(self.receive().expect("a welcome").kind, kind::WELCOME);
                assert!(self.send(&Frame::new(kind::CONFIRM, [1, 0])));
            }
            Role::Acceptor => {
                assert_eq!(self.receive().expect("a hello").kind, kind::HELLO);
                assert!(self.send(&hello.frame(kind::WELCOME)));
                assert_eq!(self.receive().expect("a confirmation").kind, kind::CONFIRM);
            }
        }
    }

    /// Sends a frame; whether anybody was there to take it.
    pub fn send(&mut self, frame: &Frame) -> bool {
        match &mut self.rings {
            None => self.socket.say(&frame.encode()),
            Some(rings) => {
                crate::scene::eventually("there is room in the ring", || rings.write(frame));
                true
            }
        }
    }

    /// Sends a frame with descriptors by the rules, in the message of this number; whether anybody was there to take it.
    pub fn pass(&mut self, frame: &Frame, descriptors: &[BorrowedFd<'_>], number: u32) -> bool {
        let count = u16::try_from(descriptors.len()).expect("a few");
        let frame = frame.clone().with_flags(frame.flags | flags::DESCRIPTORS);
        if self.rings.is_some() {
            self.socket.hand(&number.to_le_bytes(), descriptors);
            return self.send(&Frame { descriptors: count, sequence: number, ..frame });
        }
        let bytes = Frame { descriptors: count, ..frame }.encode();
        self.socket.hand(&bytes[..1], descriptors);
        self.socket.say(&bytes[1..])
    }

    /// The next frame; `None` if the other side is gone.
    pub fn receive(&mut self) -> Option<Frame> {
        let Some(rings) = &mut self.rings else {
            let (mut frame, length) = Frame::decode(&self.socket.hear(Frame::HEADER)?);
            frame.payload = self.socket.hear(length)?;
            return Some(frame);
        };
        loop {
            if let Some(frame) = rings.read() {
                return Some(frame);
            }
            rings.sleep(&self.socket);
            if let Some(frame) = rings.read() {
                return Some(frame);
            }
            let flags = rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT;
            match rustix::net::recv(&self.socket, &mut [0; 1], flags) {
                Err(rustix::io::Errno::AGAIN) => {}
                _ => return rings.read(),
            }
        }
    }

    /// The rings, of a peer that has some.
    pub fn rings(&mut self) -> &mut Rings {
        self.rings.as_mut().expect("it goes through shared memory")
    }
}

/// Puts both sides' memory together.
fn join(offer: Offer, theirs: &Prologue, descriptors: Vec<OwnedFd>) -> Rings {
    assert_eq!(theirs.stance, stance::MEMORY);
    let [half, other_bell] = <[OwnedFd; 2]>::try_from(descriptors).expect("two descriptors");
    Rings {
        own: Arc::new(offer.half),
        other: Half::of_the_other(half, theirs.half),
        bell: offer.bell,
        other_bell,
        tail: 0,
        head: 0,
        epoch: 0,
    }
}
