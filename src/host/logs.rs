//! A cell's standard output and standard error: always drained, and told as `tracing` events.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::unix::pipe;
use tokio::task::JoinHandle;

/// Longer lines come out in pieces.
const LONGEST_LINE: usize = 8 * 1024;
/// Lines of standard error that a death report quotes.
const TAIL_LINES: usize = 20;

/// The two streams of one incarnation, being drained. Dropping it closes them: what another process that holds
/// them writes after that reaches nobody.
#[derive(Debug)]
pub(super) struct Logs {
    tail: Arc<Mutex<Tail>>,
    drains: [JoinHandle<()>; 2],
}

impl Logs {
    /// Drains both streams until the last process that holds them has closed them, or this is dropped.
    pub(super) fn drain(name: &Arc<str>, stdout: OwnedFd, stderr: OwnedFd) -> io::Result<Self> {
        let stdout = pipe::Receiver::from_owned_fd(stdout)?;
        let stderr = pipe::Receiver::from_owned_fd(stderr)?;
        let tail = Arc::new(Mutex::new(Tail::default()));
        let kept = Arc::clone(&tail);
        let (out_name, err_name) = (Arc::clone(name), Arc::clone(name));
        let drains = [
            tokio::spawn(lines(stdout, move |line| {
                tracing::info!(target: "transom::cell", cell = &*out_name, stream = "stdout", line);
            })),
            tokio::spawn(lines(stderr, move |line| {
                tracing::warn!(target: "transom::cell", cell = &*err_name, stream = "stderr", line);
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            })),
        ];
        Ok(Self { tail, drains })
    }

    /// The last lines of standard error. Waits for what a dead cell has left in its pipes, but not longer
    /// than `patience`: a process that it left behind may hold them open.
    pub(super) async fn last_lines(&mut self, patience: Duration) -> Vec<String> {
        let [stdout, stderr] = &mut self.drains;
        let ended = async {
            if !stdout.is_finished() {
                report_panic(stdout.await);
            }
            if !stderr.is_finished() {
                report_panic(stderr.await);
            }
        };
        if tokio::time::timeout(patience, ended).await.is_err() {
            tracing::debug!(target: "transom::cell", "a cell's output is held open by another process");
        }
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).lines()
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        for drain in &self.drains {
            drain.abort();
        }
    }
}

/// A subscriber that panics on an event must not take the cell's supervision along.
fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(target: "transom::cell", %error, "draining a cell's output ended early");
    }
}

/// The last lines of a stream.
#[derive(Debug, Default)]
struct Tail {
    lines: VecDeque<String>,
}

impl Tail {
    fn push(&mut self, line: &str) {
        if self.lines.len() == TAIL_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line.to_owned());
    }

    fn lines(&self) -> Vec<String> {
        self.lines.iter().cloned().collect()
    }
}

/// Reads to the end, giving every line, or piece of a too long one, to `sink`.
async fn lines(mut source: impl AsyncRead + Unpin, mut sink: impl FnMut(&str)) {
    let mut pending = Vec::with_capacity(LONGEST_LINE);
    loop {
        match source.read_buf(&mut pending).await {
            Ok(0) => break,
            Ok(_) => split(&mut pending, &mut sink),
            Err(error) => {
                tracing::error!(target: "transom::cell", %error, "reading a cell's output");
                break;
            }
        }
    }
    if !pending.is_empty() {
        sink(&String::from_utf8_lossy(&pending));
    }
}

/// Takes the complete lines, and pieces of [`LONGEST_LINE`], off the front of `pending`.
fn split(pending: &mut Vec<u8>, sink: &mut impl FnMut(&str)) {
    let mut rest = pending.as_slice();
    loop {
        let within = rest.get(..LONGEST_LINE).unwrap_or(rest);
        let (line, used) = match within.iter().position(|&byte| byte == b'\n') {
            Some(at) => (&within[..at], at + 1),
            None if within.len() == LONGEST_LINE => (within, LONGEST_LINE),
            None => break,
        };
        sink(String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).as_ref());
        rest = &rest[used..];
    }
    let used = pending.len() - rest.len();
    pending.drain(..used);
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> Vec<String> {
        let mut seen = Vec::new();
        lines(bytes, |line| seen.push(line.to_owned())).await;
        seen
    }

    #[tokio::test]
    async fn lines_come_out_one_by_one_and_the_last_needs_no_end() {
        assert_eq!(read(b"one\r\n\ntwo\nthree").await, ["one", "", "two", "three"]);
        assert!(read(b"").await.is_empty());
    }

    #[tokio::test]
    async fn a_long_line_comes_out_in_pieces_and_loses_nothing() {
        let mut long = vec![b'x'; 2 * LONGEST_LINE + 5];
        long.push(b'\n');
        let lengths: Vec<usize> = read(&long).await.iter().map(String::len).collect();
        assert_eq!(lengths, [LONGEST_LINE, LONGEST_LINE, 5]);
    }

    #[tokio::test]
    async fn what_is_not_text_is_told_all_the_same() {
        assert_eq!(read(b"a\xffb\n").await, ["a\u{fffd}b"]);
    }

    #[test]
    fn the_tail_keeps_the_last_lines() {
        let mut tail = Tail::default();
        for number in 0..TAIL_LINES + 3 {
            tail.push(&number.to_string());
        }
        let lines = tail.lines();
        assert_eq!(lines.len(), TAIL_LINES);
        assert_eq!(lines.first().map(String::as_str), Some("3"));
        assert_eq!(lines.last().map(String::as_str), Some("22"));
    }
}
