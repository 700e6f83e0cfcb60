//! Pauses between calls, exact to microseconds: a runtime's own timers count milliseconds.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

use super::error::BenchError;

/// Pauses of this thread.
#[derive(Debug)]
pub(super) struct Pause {
    timer: OwnedFd,
    length: Timespec,
}

/// Pauses of a task, asleep in the runtime's event loop.
#[derive(Debug)]
pub(super) struct AsyncPause {
    /// A timer is read like a pipe: there is something to read once it has expired.
    timer: Receiver,
    length: Timespec,
}

impl Pause {
    pub(super) fn new(length: Duration) -> Result<Self, BenchError> {
        Ok(Self { timer: timer(TimerfdFlags::CLOEXEC)?, length: timespec(length) })
    }

    /// Sleeps once.
    pub(super) fn wait(&self) -> Result<(), BenchError> {
        arm(&self.timer, self.length)?;
        loop {
            match rustix::io::read(&self.timer, &mut [0_u8; 8]) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsyncPause {
    /// # Panics
    /// Outside a runtime.
    pub(super) fn new(length: Duration) -> Result<Self, BenchError> {
        let timer = timer(TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        Ok(Self { timer: Receiver::from_owned_fd_unchecked(timer)?, length: timespec(length) })
    }

    /// Sleeps once.
    pub(super) async fn wait(&mut self) -> Result<(), BenchError> {
        arm(&self.timer, self.length)?;
        // Longer than what there is to read: a buffer that is not filled spares another look.
        let _expirations = self.timer.read(&mut [0; 16]).await?;
        Ok(())
    }
}

fn timer(flags: TimerfdFlags) -> Result<OwnedFd, BenchError> {
    Ok(timerfd_create(TimerfdClockId::Monotonic, flags)?)
}

fn arm(timer: impl AsFd, length: Timespec) -> Result<(), BenchError> {
    let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: length };
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &once)?;
    Ok(())
}

/// A length as the kernel counts it; one that is too long for it is as long as it counts.
fn timespec(length: Duration) -> Timespec {
    Timespec::try_from(length).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    const LENGTH: Duration = Duration::from_micros(300);

    #[test]
    fn a_pause_is_no_shorter_than_asked() {
        let pause = Pause::new(LENGTH).unwrap();
        for _ in 0..3 {
            let before = Instant::now();
            pause.wait().unwrap();
            assert!(before.elapsed() >= LENGTH);
        }
    }

    #[tokio::test]
    async fn nor_is_one_of_a_task() {
        let mut pause = AsyncPause::new(LENGTH).unwrap();
        for _ in 0..3 {
            let before = Instant::now();
            pause.wait().await.unwrap();
            assert!(before.elapsed() >= LENGTH);
        }
    }
}
