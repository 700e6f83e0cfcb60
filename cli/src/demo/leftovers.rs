//! Whether a run has given back everything: processes, shared memory, sockets.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use rustix::process::{Pid, WaitId, WaitIdOptions};

use super::DemoError;

/// What this process holds of shared memory and sockets.
#[derive(Debug)]
pub(super) struct Holdings(BTreeMap<String, usize>);

impl Holdings {
    /// What it holds now.
    pub(super) fn now() -> io::Result<Self> {
        let mut held = BTreeMap::new();
        for entry in fs::read_dir("/proc/self/fd")? {
            // The descriptor that lists the directory is gone by then.
            let Ok(target) = fs::read_link(entry?.path()) else { continue };
            let target = target.to_string_lossy();
            if target.starts_with("/memfd:") || target.starts_with("socket:") {
                *held.entry(format!("descriptor of {target}")).or_default() += 1;
            }
        }
        for line in fs::read_to_string("/proc/self/maps")?.lines() {
            if let Some(at) = line.find("/memfd:") {
                *held.entry(format!("mapping of {}", &line[at..])).or_default() += 1;
            }
        }
        Ok(Self(held))
    }

    /// Nothing may be held now that was not before.
    pub(super) fn check(&self) -> Result<(), DemoError> {
        for (what, count) in Self::now()?.0 {
            if count > self.0.get(&what).copied().unwrap_or(0) {
                return Err(DemoError::Left { what });
            }
        }
        Ok(())
    }
}

/// None of these may be a child of this process any more, not even a dead one.
pub(super) fn check_children(pids: &[u32]) -> Result<(), DemoError> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    for &pid in pids {
        let child = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let Some(child) = child else { continue };
        match rustix::process::waitid(WaitId::Pid(child), options) {
            Err(rustix::io::Errno::CHILD) => {}
            Err(error) => return Err(DemoError::Io(error.into())),
            Ok(_) => return Err(DemoError::Left { what: format!("process {pid}") }),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_socket_and_a_memfd_are_seen() {
        // Other tests of this process have descriptors of their own; these two are looked for by name.
        let before = Holdings::now().expect("/proc");
        let name = format!("leftover-{}", std::process::id());
        let memory = rustix::fs::memfd_create(&*name, rustix::fs::MemfdFlags::CLOEXEC).expect("a memfd");
        let found = Holdings::now().expect("/proc");
        assert!(found.0.keys().any(|what| what.contains(&name)), "{found:?}");
        assert!(!before.0.keys().any(|what| what.contains(&name)), "{before:?}");
        drop(memory);
        let (socket, _other) = UnixStream::pair().expect("a pair");
        let error = before.check().expect_err("a socket is open");
        assert!(matches!(error, DemoError::Left { .. }), "{error}");
        drop(socket);
    }

    #[test]
    fn a_child_is_seen_until_it_is_reaped() {
        let mut child = Command::new("/bin/sh").args(["-c", "exit 0"]).spawn().expect("a shell");
        let pid = [child.id()];
        let error = check_children(&pid).expect_err("nobody has reaped it");
        assert!(matches!(error, DemoError::Left { .. }), "{error}");
        child.wait().expect("its end");
        check_children(&pid).expect("no child");
    }
}
