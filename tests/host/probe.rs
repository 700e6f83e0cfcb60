//! What a process has and what becomes of others, as the kernel tells.

use std::fs;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus};

/// What must happen at all happens within this.
pub(crate) const LIVENESS: Duration = Duration::from_secs(20);

/// What this process has of what a cell costs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resources {
    descriptors: usize,
    mappings: usize,
    threads: usize,
}

impl Resources {
    pub(crate) fn now() -> Self {
        let maps = fs::read_to_string("/proc/self/maps").expect("/proc");
        Self {
            descriptors: fs::read_dir("/proc/self/fd").expect("/proc").count(),
            mappings: maps.lines().filter(|line| line.contains("memfd:transom")).count(),
            threads: fs::read_dir("/proc/self/task").expect("/proc").count(),
        }
    }

    pub(crate) fn has_mappings(&self) -> bool {
        self.mappings > 0
    }

    /// Waits until everything is given back: tasks that were told to end have ended.
    pub(crate) async fn come_back(&self) {
        eventually("descriptors, mappings and threads are given back", || Self::now() == *self).await;
    }
}

/// Waits until `holds`.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIVENESS;
    while !holds() {
        assert!(Instant::now() < deadline, "in vain: {what}; now {:?}", Resources::now());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// `future`'s output; it must come within [`LIVENESS`].
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIVENESS, future).await.expect("in time")
}

/// Whether this process has children, alive or not reaped.
pub(crate) fn has_children() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(rustix::process::waitid(WaitId::All, options), Err(rustix::io::Errno::CHILD))
}

/// Another process, which need not be a child.
pub(crate) struct Other {
    pidfd: OwnedFd,
}

impl Other {
    pub(crate) fn new(pid: u32) -> Self {
        let pid = Pid::from_raw(pid.try_into().expect("a process")).expect("a process");
        Self { pidfd: rustix::process::pidfd_open(pid, PidfdFlags::empty()).expect("it lives") }
    }

    pub(crate) fn kill(&self) {
        rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL).expect("it lives");
    }

    /// It does nothing more until it is killed.
    pub(crate) fn freeze(&self) {
        rustix::process::pidfd_send_signal(&self.pidfd, Signal::STOP).expect("it lives");
    }

    /// Sleeps, with the whole thread, until the process has ended.
    pub(crate) fn wait(&self) {
        assert!(self.ends_within(LIVENESS), "it lives on");
    }

    pub(crate) fn is_alive(&self) -> bool {
        !self.ends_within(Duration::ZERO)
    }

    /// How it ended: a child of this process, or an orphan that became one.
    pub(crate) fn reap(self) -> WaitIdStatus {
        let ended = rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
        ended.expect("a child").expect("it has ended")
    }

    fn ends_within(&self, patience: Duration) -> bool {
        let mut watched = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let patience = Timespec::try_from(patience).expect("it fits");
        rustix::event::poll(&mut watched, Some(&patience)).expect("a pidfd can be polled") > 0
    }
}

/// The bytes of memory that a process has for itself.
pub(crate) fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux 4.5");
    let kilobytes = anonymous.trim().trim_end_matches(" kB").parse::<u64>().expect("a number");
    kilobytes * 1024
}

/// Whether there is such a process.
pub(crate) fn exists(pid: i32) -> bool {
    rustix::process::test_kill_process(Pid::from_raw(pid).expect("a process")).is_ok()
}
