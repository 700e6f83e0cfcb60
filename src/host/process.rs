//! A cell's process: started with a socket of its own, signalled through its pidfd, never left as a zombie.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::report::Cause;
use crate::sys::{self, watch::Watched};

/// A running child process. Dropping it kills and reaps it.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pidfd: Option<AsyncFd<Watched>>,
    cause: Option<Cause>,
}

/// What a new process leaves its parent with.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) process: Process,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

impl Process {
    /// Starts `command` with `socket` as its standard input. No other process ever holds that end: it is
    /// close-on-exec here, and closed here as soon as the child has it.
    ///
    /// Standard input and not a higher descriptor: the standard library puts it in place itself, without
    /// code between fork and exec, and it survives wrappers that close every other descriptor.
    pub(super) fn start(command: &mut Command, socket: UnixStream) -> io::Result<Started> {
        command.stdin(OwnedFd::from(socket)).stdout(Stdio::piped()).stderr(Stdio::piped());
        let spawned = command.spawn();
        command.stdin(Stdio::null());
        let mut child = spawned?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let mut process = Self { child, pidfd: None, cause: None };
        process.pidfd = pidfd(&process.child)?;
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
            return Err(io::Error::from(io::ErrorKind::BrokenPipe));
        };
        Ok(Started { process, stdout: stdout.into(), stderr: stderr.into() })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the process has ended, reaps it, and says how it ended. May be asked again.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped.
    pub(super) async fn ended(&mut self) -> Cause {
        loop {
            if let Some(cause) = self.try_ended() {
                return cause;
            }
            self.wait_for_exit().await;
        }
    }

    /// Sends `signal`, unless the process has ended.
    pub(super) fn signal(&mut self, signal: Signal) {
        if self.try_ended().is_some() {
            return;
        }
        let sent = match &self.pidfd {
            Some(pidfd) => rustix::process::pidfd_send_signal(pidfd.get_ref(), signal),
            // Not reaped yet, so the number still is this child's.
            None => rustix::process::kill_process(Pid::from_child(&self.child), signal),
        };
        if let Err(error) = sent
            && error != rustix::io::Errno::SRCH
        {
            tracing::error!(target: "transom::host", pid = self.id(), %error, "signalling a cell");
        }
    }

    fn try_ended(&mut self) -> Option<Cause> {
        if self.cause.is_none() {
            self.cause = match self.child.try_wait() {
                Ok(status) => status.map(Cause::from),
                Err(error) => {
                    tracing::error!(target: "transom::host", pid = self.id(), %error, "waiting for a cell");
                    Some(Cause::Unknown)
                }
            };
        }
        self.cause
    }

    async fn wait_for_exit(&self) {
        match &self.pidfd {
            Some(pidfd) => match pidfd.readable().await {
                Ok(mut guard) => guard.clear_ready(),
                Err(error) => {
                    tracing::error!(target: "transom::host", pid = self.id(), %error, "watching a cell");
                    wait_on_thread(Pid::from_child(&self.child)).await;
                }
            },
            None => wait_on_thread(Pid::from_child(&self.child)).await,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.try_ended().is_none() {
            self.signal(Signal::KILL);
            // A killed process is gone within microseconds; leaving it to nobody would leave a zombie.
            if let Err(error) = self.child.wait() {
                tracing::error!(target: "transom::host", pid = self.id(), %error, "reaping a cell");
            }
        }
    }
}

/// The child's pidfd, or `None` where the system has none or forbids it.
fn pidfd(child: &Child) -> io::Result<Option<AsyncFd<Watched>>> {
    match rustix::process::pidfd_open(Pid::from_child(child), PidfdFlags::NONBLOCK) {
        Ok(pidfd) => sys::watch::register(&Arc::new(pidfd), Interest::READABLE).map(Some),
        Err(error) => {
            tracing::debug!(target: "transom::host", %error, "no pidfd: waiting for the cell on a thread");
            Ok(None)
        }
    }
}

/// Waits until the child has ended, without reaping it.
async fn wait_on_thread(pid: Pid) {
    let waiting = tokio::task::spawn_blocking(move || {
        rustix::io::retry_on_intr(|| {
            rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
        })
    });
    match waiting.await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            tracing::error!(target: "transom::host", ?pid, %error, "waiting for a cell");
        }
        Err(error) => tracing::error!(target: "transom::host", ?pid, %error, "waiting for a cell"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn shell(script: &str) -> (Started, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        (Process::start(&mut command, theirs).expect("a shell"), ours)
    }

    #[tokio::test]
    async fn an_exit_code_is_told_and_told_again() {
        let (mut started, _socket) = shell("exit 7");
        assert_eq!(started.process.ended().await, Cause::Exit(7));
        assert_eq!(started.process.ended().await, Cause::Exit(7));
        started.process.signal(Signal::KILL);
    }

    #[tokio::test]
    async fn a_signal_is_told() {
        let (mut started, _socket) = shell("read nothing");
        started.process.signal(Signal::TERM);
        assert_eq!(started.process.ended().await, Cause::Signal(Signal::TERM.as_raw()));
    }

    #[tokio::test]
    async fn a_child_is_waited_for_without_a_pidfd_too() {
        let (mut started, socket) = shell("read line; exit 3");
        started.process.pidfd = None;
        drop(socket);
        assert_eq!(started.process.ended().await, Cause::Exit(3));
    }

    #[tokio::test]
    async fn dropping_it_kills_and_reaps() {
        let (started, mut socket) = shell("read nothing");
        let pid = Pid::from_child(&started.process.child);
        drop(started);
        let mut rest = Vec::new();
        socket.read_to_end(&mut rest).expect("the end: no one holds the child's end");
        assert!(rest.is_empty());
        let waited = rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        assert_eq!(waited.expect_err("no such child"), rustix::io::Errno::CHILD);
    }

    #[tokio::test]
    async fn the_childs_end_is_closed_here_even_if_nothing_could_be_started() {
        let (mut ours, theirs) = UnixStream::pair().expect("a pair");
        let mut command = Command::new("/nonexistent/program");
        Process::start(&mut command, theirs).expect_err("there is no such program");
        let mut rest = Vec::new();
        ours.read_to_end(&mut rest).expect("the end");
        assert!(rest.is_empty());
    }
}
