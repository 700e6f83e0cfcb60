//! What processes use of the machine, as `/proc` tells.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

/// What this process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// Resident memory, private and shared, without what is mapped from files.
    pub(super) memory: u64,
    pub(super) descriptors: u64,
}

impl Held {
    /// As of now.
    pub(super) fn now() -> io::Result<Self> {
        let memory = resident(&fs::read_to_string("/proc/self/status")?).ok_or(ErrorKind::InvalidData)?;
        // The one that lists them is there each time.
        Ok(Self { memory, descriptors: fs::read_dir("/proc/self/fd")?.count() as u64 })
    }
}

/// The bytes of private and of shared memory in `/proc/self/status`.
fn resident(status: &str) -> Option<u64> {
    let bytes = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(value.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
    };
    Some(bytes("RssAnon:")? + bytes("RssShmem:")?)
}

/// The CPU time that all threads of a process have used, in nanoseconds and without disturbing it.
pub(super) fn cpu(pid: u32) -> io::Result<Duration> {
    let mut nanos = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        match used(&thread?.path()) {
            Ok(used) => nanos += used,
            // It has ended since it was listed.
            Err(error) if error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(ESRCH) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Duration::from_nanos(nanos))
}

/// There is no such process: what reading about a thread gives that ends meanwhile.
const ESRCH: i32 = 3;

/// The CPU time that a thread has used, in nanoseconds.
fn used(thread: &Path) -> io::Result<u64> {
    let times = fs::read_to_string(thread.join("schedstat"))?;
    let used = times.split_whitespace().next().and_then(|time| time.parse().ok());
    used.ok_or_else(|| ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_is_private_and_what_is_shared() {
        let status =
            "VmRSS:\t    1724 kB\nRssAnon:\t     116 kB\nRssFile:\t    1608 kB\nRssShmem:\t       4 kB\n";
        assert_eq!(resident(status), Some(120 * 1024));
        assert_eq!(resident("RssAnon:\t 1 kB\n"), None);
    }

    #[test]
    fn what_is_taken_is_held() {
        let before = Held::now().unwrap();
        let pages = vec![1_u8; 64 << 20];
        // More than other tests may close meanwhile.
        let files: Vec<_> = (0..200).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        let after = Held::now().unwrap();
        assert!(after.memory >= before.memory + (32 << 20), "{before:?} {after:?}");
        assert!(after.descriptors > before.descriptors + 100, "{before:?} {after:?}");
        drop((pages, files));
    }

    #[test]
    fn the_time_of_every_thread_counts() {
        let busy = std::thread::spawn(|| {
            let own = || used(Path::new("/proc/thread-self")).unwrap();
            while own() < 20_000_000 {}
            (own(), cpu(std::process::id()).unwrap())
        });
        let (own, all) = busy.join().unwrap();
        assert!(all >= Duration::from_nanos(own));
    }
}
