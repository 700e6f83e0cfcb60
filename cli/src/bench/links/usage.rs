//! What processes use of the machine, as `/proc` tells.

use std::fs;
use std::io::{self, ErrorKind};
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
        let times = fs::read_to_string(thread?.path().join("schedstat"))?;
        let used = times.split_whitespace().next().and_then(|time| time.parse::<u64>().ok());
        nanos += used.ok_or(ErrorKind::InvalidData)?;
    }
    Ok(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

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
        let file = fs::File::open("/dev/null").unwrap();
        let after = Held::now().unwrap();
        assert!(after.memory >= before.memory + (32 << 20), "{before:?} {after:?}");
        assert!(after.descriptors > before.descriptors, "{before:?} {after:?}");
        drop((pages, file));
    }

    #[test]
    fn the_time_of_every_thread_counts() {
        let before = cpu(std::process::id()).unwrap();
        let busy = std::thread::spawn(|| {
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_millis(50) {
                std::hint::spin_loop();
            }
            cpu(std::process::id()).unwrap()
        });
        assert!(busy.join().unwrap() > before);
    }
}
