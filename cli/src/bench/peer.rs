//! The other process of a measurement: this same binary, started anew.
//!
//! Its standard input is a socket to the one who started it. It says over it that it is ready, and where it can be reached
//! otherwise, in a line; what follows depends on the job. It is killed when it is no longer needed, and by the kernel when the one who started it dies.

use std::fmt::Display;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Signal, set_parent_process_death_signal};

use super::error::BenchError;
use super::options::{Case, Job, PeerOptions, name};
use super::pin;

/// A process that has not become ready in this time never will.
const PATIENCE: Duration = Duration::from_secs(10);

/// The other process, as the one who started it holds it. Dropped, the process is gone.
#[derive(Debug)]
pub(super) struct Peer {
    child: Child,
    /// What leads to its standard input.
    pub(super) control: UnixStream,
    /// Where it can be reached besides, if anywhere.
    pub(super) address: String,
}

impl Peer {
    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// When it cannot be started, or ends instead of becoming ready.
    pub(super) fn start(
        job: Job,
        case: Case,
        cpu: Option<usize>,
        address: Option<&str>,
    ) -> Result<Self, BenchError> {
        let (control, theirs) = UnixStream::pair()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bench-peer").arg("--job").arg(name(job)).args(case.arguments());
        if let Some(cpu) = cpu {
            command.arg("--cpu").arg(cpu.to_string());
        }
        if let Some(address) = address {
            command.arg("--address").arg(address);
        }
        let child = command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).spawn()?;
        // The command holds the other end, too; without it the end of the process is the end of the socket.
        drop(command);
        let mut peer = Self { child, control, address: String::new() };
        peer.control.set_read_timeout(Some(PATIENCE))?;
        // Of what follows the line nothing may be read here.
        BufReader::with_capacity(1, &peer.control).read_line(&mut peer.address)?;
        if peer.address.pop() != Some('\n') {
            return Err(BenchError::PeerGone);
        }
        peer.control.set_read_timeout(None)?;
        Ok(peer)
    }

    /// Whether it is still there.
    ///
    /// # Errors
    /// [`BenchError::PeerGone`] if it is not.
    pub(super) fn check(&mut self) -> Result<(), BenchError> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(_) => Err(BenchError::PeerGone),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Fails if the process has ended already, which is what is wanted.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// The socket to the one who started this process, from within it.
#[derive(Debug)]
pub(super) struct Starter(UnixStream);

impl Starter {
    /// Settles this process where it is wanted.
    pub(super) fn attach(options: &PeerOptions) -> Result<Self, BenchError> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        pin::pin(options.cpu)?;
        Ok(Self(UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?)))
    }

    /// Says that this process is ready.
    ///
    /// # Errors
    /// When the one who started it died before the kernel knew to tell.
    pub(super) fn ready(self) -> Result<UnixStream, BenchError> {
        self.ready_at("")
    }

    /// Says that this process is ready, and where it can be reached.
    ///
    /// # Errors
    /// Those of [`ready`](Self::ready).
    pub(super) fn ready_at(mut self, address: impl Display) -> Result<UnixStream, BenchError> {
        writeln!(self.0, "{address}")?;
        Ok(self.0)
    }
}
