//! One incarnation of a cell: a process with a socket and a ticket of its own, from its start to its report.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::timeout;

use super::DeathReport;
use super::logs::Logs;
use super::process::{Process, Started};
use super::spawn::{Deadlines, Setup};
use crate::endpoint::{OpenError, Opening, open};
use crate::link::{Access, FD, FD_VARIABLE, HandoverError, Peer, TICKET_VARIABLE, Ticket, Wanted};
use crate::service::Session;
use crate::session::{CloseReason, Role};

/// How long a process has to end by itself after its lifeline has hung up, or after it could not be attached: the former
/// should be gone already, the latter may have something to say about it.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long the rest of a dead process's output is waited for; another process may hold it open.
const REST_OF_OUTPUT: Duration = Duration::from_millis(500);

/// One process of a cell. Dropping it kills and reaps it.
pub(super) struct Incarnation {
    name: Arc<str>,
    number: u64,
    process: Process,
    logs: Logs,
    /// This side's end of the lifeline, held for as long as the process lives, whatever becomes of the session: to the
    /// cell its hang-up means that the host is gone, and nothing else.
    _lifeline: UnixStream,
}

/// What a new process is to show, and where.
pub(super) struct Expected {
    socket: UnixStream,
    ticket: Ticket,
}

/// Why a new process did not become ready.
pub(super) enum Unready {
    /// It ended.
    Died,
    /// It took too long.
    Late,
    /// It did not attach as it should.
    Open(OpenError),
}

impl Incarnation {
    /// Starts a process with a fresh socket and ticket.
    pub(super) fn start(setup: &mut Setup, number: u64) -> io::Result<(Self, Expected)> {
        let (socket, theirs) = UnixStream::pair()?;
        let lifeline = socket.try_clone()?;
        let ticket = Ticket::random()?;
        setup.command.env(FD_VARIABLE, FD).env(TICKET_VARIABLE, ticket.to_hex());
        let Started { process, stdout, stderr } = Process::start(&mut setup.command, theirs)?;
        let name = Arc::clone(&setup.name);
        let logs = Logs::drain(&name, stdout, stderr)?;
        Ok((Self { name, number, process, logs, _lifeline: lifeline }, Expected { socket, ticket }))
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits until the process has attached.
    pub(super) async fn attached(&mut self, expected: Expected, setup: &Setup) -> Result<Session, Unready> {
        let options = setup.options.clone().handshake_timeout(setup.deadlines.start);
        let opening = Opening {
            role: Role::Acceptor,
            ticket: Some(expected.ticket),
            wanted: Wanted::Shm,
            // The socket's credentials name this process, which made it; the ticket says who holds it.
            peer: Peer::child(self.pid()),
            access: Access::Anyone,
        };
        let opened = tokio::select! {
            opened = open(expected.socket.into(), opening, &options, Arc::clone(&setup.dispatch)) => opened,
            _ = self.process.ended() => return Err(Unready::Died),
        };
        match opened {
            Ok(session) => Ok(session),
            Err(OpenError::Timeout) => Err(Unready::Late),
            Err(error) => {
                let ended = timeout(LAST_WORDS, self.process.ended()).await.is_ok();
                Err(if ended && is_hang_up(&error) { Unready::Died } else { Unready::Open(error) })
            }
        }
    }

    /// Waits until the incarnation ends by itself, process and session: each takes the other along.
    ///
    /// # Cancel safety
    /// Can be called again when this was dropped.
    pub(super) async fn ended(&mut self, session: &Session, deadlines: Deadlines) {
        tokio::select! {
            _ = self.process.ended() => buried(session).await,
            reason = session.closed() => match reason {
                CloseReason::PeerDied => self.exit_within(LAST_WORDS).await,
                _ => self.leave(deadlines.exit).await,
            },
        }
    }

    /// Ends it politely, step by step.
    pub(super) async fn retire(&mut self, session: &Session, deadlines: Deadlines) {
        session.goodbye();
        tokio::select! {
            _ = self.process.ended() => return buried(session).await,
            drained = timeout(deadlines.drain, session.closed()) => if drained.is_err() {
                session.close();
            },
        }
        self.leave(deadlines.exit).await;
    }

    /// Ends it now.
    pub(super) fn kill(&mut self) {
        self.process.signal(Signal::KILL);
    }

    /// Says how it ended, once its process has. `session` is the one that it had.
    pub(super) async fn report(mut self, session: Option<&Session>) -> DeathReport {
        let cause = self.process.ended().await;
        if let Some(session) = session {
            buried(session).await;
        }
        DeathReport {
            name: self.name.to_string(),
            incarnation: self.number,
            cause,
            session: session.and_then(Session::close_reason),
            stderr_tail: self.logs.last_lines(REST_OF_OUTPUT).await,
        }
    }

    /// Its session has ended: so must the process.
    async fn leave(&mut self, patience: Duration) {
        if timeout(patience, self.process.ended()).await.is_err() {
            self.process.signal(Signal::TERM);
            self.exit_within(patience).await;
        }
    }

    async fn exit_within(&mut self, patience: Duration) {
        if timeout(patience, self.process.ended()).await.is_err() {
            self.process.signal(Signal::KILL);
            self.process.ended().await;
        }
    }
}

/// Whether the peer went away without a word.
fn is_hang_up(error: &OpenError) -> bool {
    matches!(error, OpenError::Handover(HandoverError::Closed) | OpenError::Ended(CloseReason::PeerDied))
}

/// The process is dead: takes in what it had completely sent and ends the session, whoever holds its lifeline open.
async fn buried(session: &Session) {
    session.peer_died();
    session.closed().await;
}
