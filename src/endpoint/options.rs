//! What a session is opened with.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::policy::Policy;
#[cfg(any(test, feature = "testing"))]
use crate::link::Breaker;
use crate::link::{Link, Peer, Transport};
use crate::session::{Keepalive, Limits, Metadata, Negotiated, Rejection};

/// What a session is opened with, on either side. The defaults suit most.
#[derive(Clone, Debug)]
pub struct Options {
    pub(super) limits: Limits,
    pub(super) metadata: Metadata,
    pub(super) ring: u64,
    pub(super) memory_cap: u64,
    handshake_timeout: Duration,
    keepalive: Asking,
    pub(super) idle: Option<Duration>,
    pub(super) descriptors: usize,
    #[cfg(any(test, feature = "testing"))]
    breaker: Option<Breaker>,
    pub(super) plaintext_beyond_loopback: bool,
    pub(super) policy: Policy,
}

/// Whether a silent peer is asked if it is alive.
#[derive(Clone, Copy, Debug)]
enum Asking {
    /// Where nothing else tells of its death.
    WhereNeeded,
    Never,
    Always(Keepalive),
}

impl Options {
    /// The defaults: the default [`Limits`], no metadata, a ring of 64 KiB, at most 16 MiB of the peer's memory, five
    /// seconds for the opening.
    pub fn new() -> Self {
        Self {
            limits: Limits::default(),
            metadata: Metadata::new(),
            ring: 64 * 1024,
            memory_cap: 16 * 1024 * 1024,
            handshake_timeout: Duration::from_secs(5),
            keepalive: Asking::WhereNeeded,
            idle: None,
            descriptors: 512,
            #[cfg(any(test, feature = "testing"))]
            breaker: None,
            plaintext_beyond_loopback: false,
            policy: Policy::default(),
        }
    }

    /// Sets what this side is willing to take; both sides keep to the stricter of each limit.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets what this side tells the peer about itself.
    #[must_use]
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Sets the size of this side's outgoing ring in bytes, a power of two from 4 KiB to 1 GiB. Frames larger than a
    /// quarter of it go in pieces.
    #[must_use]
    pub fn ring(mut self, bytes: u64) -> Self {
        self.ring = bytes;
        self
    }

    /// Sets the most bytes of the peer's shared memory that this side maps. A peer with more is talked to over the
    /// socket.
    #[must_use]
    pub fn memory_cap(mut self, bytes: u64) -> Self {
        self.memory_cap = bytes;
        self
    }

    /// Sets how long the opening of a session may take: to the end of the handshake, for a connector from the look-up of
    /// a name on, for a server from the accepted connection on. More time than clocks count is all the time there is.
    #[must_use]
    pub fn handshake_timeout(mut self, time: Duration) -> Self {
        self.handshake_timeout = time;
        self
    }

    /// Has a peer that is silent asked whether it is alive, on every kind of link. Unless told otherwise this is so over TCP
    /// alone: elsewhere the kernel tells of a peer's death.
    #[must_use]
    pub fn keepalive(mut self, keepalive: Keepalive) -> Self {
        self.keepalive = Asking::Always(keepalive);
        self
    }

    /// Never asks a silent peer whether it is alive.
    #[must_use]
    pub fn no_keepalive(mut self) -> Self {
        self.keepalive = Asking::Never;
        self
    }

    /// Ends the session when nothing has happened on it for this long, at the latest after twice the time. Keepalive does
    /// not count; a call in flight and an open channel do.
    #[must_use]
    pub fn idle_timeout(mut self, time: Duration) -> Self {
        self.idle = Some(time);
        self
    }

    /// Sets how many descriptors of the peer's may wait here until the application takes what they came with: a call
    /// whose handler has not begun, a result, an item. What comes beyond is closed at once, and what it came with does not
    /// decode. It is 512 unless set.
    #[must_use]
    pub fn descriptors(mut self, most: usize) -> Self {
        self.descriptors = most;
        self
    }

    /// Whether and when a silent peer is asked over this kind of link.
    pub(super) fn keepalive_over(&self, transport: &Transport) -> Option<Keepalive> {
        match (self.keepalive, transport) {
            (Asking::Always(keepalive), _) => Some(keepalive),
            (Asking::WhereNeeded, Transport::Tcp) => Some(Keepalive::default()),
            (Asking::Never, _)
            | (Asking::WhereNeeded, Transport::Shm | Transport::Unix { .. } | Transport::Mem) => None,
        }
    }

    /// Lets sessions over TCP leave this machine, although nothing on them is encrypted: whoever is on the way reads them,
    /// and changes them. Without it neither a [`Server`](crate::Server) is bound to an address beyond loopback, nor does a
    /// [`Connector`](crate::Connector) connect to one.
    #[must_use]
    pub fn plaintext_beyond_loopback(mut self) -> Self {
        self.plaintext_beyond_loopback = true;
        self
    }

    /// Asks `policy` about each peer, once it has introduced itself and before anything is called: with whom a session is
    /// opened and with whom not, on either side. It is given what the kernel knows of the peer, and what both sides would
    /// agree on, with the link and the [metadata](Negotiated::peer_metadata) that the peer has sent. A peer that is refused
    /// is told why: it has a [`Refusal::Policy`](crate::Refusal::Policy), by [`Side::Peer`](crate::Side::Peer).
    ///
    /// A listener lets others in meanwhile: it asks on a task or a thread of its own for each peer. A connector asks where it
    /// connects. In a runtime the policy must not block its thread, as no task must; without one the thread is the policy's,
    /// and offers neither timers nor I/O to what is asynchronous. It is part of the handshake, and has as much time as either
    /// side's [`handshake_timeout`](Self::handshake_timeout) leaves. If it panics, the peer finds the session closed.
    ///
    /// ```
    /// use transom::{Options, RejectReason, Rejection, Value};
    ///
    /// let options = Options::new().policy(|peer, agreed| async move {
    ///     match agreed.peer_metadata.get("token") {
    ///         Some(Value::Text(token)) if token == "open sesame" => Ok(()),
    ///         _ => Err(Rejection::new(RejectReason::Unauthenticated).with_text(format!("{peer}, by which token?"))),
    ///     }
    /// });
    /// ```
    #[must_use]
    pub fn policy<F>(mut self, policy: impl Fn(Peer, Arc<Negotiated>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), Rejection>> + Send + 'static,
    {
        self.policy = Policy::new(policy);
        self
    }

    /// Has the session's link broken by `breaker`, for tests.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn breaker(mut self, breaker: &Breaker) -> Self {
        self.breaker = Some(breaker.clone());
        self
    }

    /// The link that the session is opened on.
    pub(super) fn link(&self, link: Link) -> Link {
        #[cfg(any(test, feature = "testing"))]
        if let Some(breaker) = &self.breaker {
            return breaker.breakable(link);
        }
        link
    }

    /// Whether time matters on a session over this kind of link although nobody calls: this side asks, or over TCP may be
    /// asked, whether it is alive.
    pub(super) fn keeps_time(&self, transport: &Transport) -> bool {
        *transport == Transport::Tcp || self.idle.is_some() || self.keepalive_over(transport).is_some()
    }

    /// When an opening that begins `now` must be done, if ever.
    pub(super) fn open_until(&self, now: Instant) -> Option<Instant> {
        now.checked_add(self.handshake_timeout)
    }

    /// These options for an opening that is under way, and must be done at the same time as all of it.
    pub(super) fn left(&self, until: Option<Instant>, now: Instant) -> Self {
        let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(now));
        self.clone().handshake_timeout(left)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// K2.
    #[test]
    fn a_silent_peer_is_asked_where_nothing_else_tells_unless_it_is_said_otherwise() {
        let elsewhere = [Transport::Shm, Transport::Mem];
        let options = Options::new();
        assert_eq!(options.keepalive_over(&Transport::Tcp), Some(Keepalive::default()));
        assert!(elsewhere.iter().all(|transport| options.keepalive_over(transport).is_none()));
        let keepalive = Keepalive { silence: Duration::from_secs(1), timeout: Duration::from_secs(2) };
        let options = options.keepalive(keepalive);
        assert_eq!(options.keepalive_over(&Transport::Tcp), Some(keepalive));
        assert!(elsewhere.iter().all(|transport| options.keepalive_over(transport) == Some(keepalive)));
        let options = options.no_keepalive();
        assert_eq!(options.keepalive_over(&Transport::Tcp), None);
    }
}
