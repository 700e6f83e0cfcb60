//! Who is at the other end of a Unix socket.

use std::io;
use std::os::fd::AsFd;

/// The credentials of the process that connected or listened, as the kernel noted them then.
pub(crate) fn credentials(socket: impl AsFd) -> io::Result<(u32, u32, u32)> {
    let credentials = rustix::net::sockopt::socket_peercred(socket)?;
    let pid = u32::try_from(credentials.pid.as_raw_nonzero().get()).unwrap_or(0);
    Ok((credentials.uid.as_raw(), credentials.gid.as_raw(), pid))
}

/// The effective user of another process; `None` where this one cannot see it.
#[cfg(feature = "tokio")]
pub(crate) fn uid_of(pid: u32) -> Option<u32> {
    // What it says, and not whose the file is: that is root for a program that changed its user.
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    // The real, the effective, the saved one, and that of the file system.
    ids.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// This process's effective user.
pub(crate) fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}
