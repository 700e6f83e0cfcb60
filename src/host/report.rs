//! How a cell ended, and what it last said.

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use crate::session::CloseReason;

/// The end of one incarnation of a cell.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeathReport {
    /// The cell's name.
    pub name: String,
    /// Which incarnation ended; the first is 1.
    pub incarnation: u64,
    /// How its process ended.
    pub cause: Cause,
    /// Why its session ended; `None` if it was never ready.
    pub session: Option<CloseReason>,
    /// The last lines it wrote to its standard error, oldest first.
    pub stderr_tail: Vec<String>,
}

/// How a cell's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// It exited with this code.
    Exit(i32),
    /// This signal ended it.
    Signal(i32),
    /// Somebody else in this process collected its status.
    Unknown,
}

impl From<ExitStatus> for Cause {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exit(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Unknown,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Unknown => f.write_str("an unknown cause"),
        }
    }
}

impl fmt::Display for DeathReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cell `{}` (incarnation {}) ended by {}", self.name, self.incarnation, self.cause)?;
        match &self.session {
            None => f.write_str(" before it was ready")?,
            // What is to be expected of a process that ends.
            Some(CloseReason::PeerDied) => {}
            Some(reason) => write!(f, "; its session: {reason}")?,
        }
        for line in &self.stderr_tail {
            write!(f, "\n  | {line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_the_cause_and_quotes_the_last_lines() {
        let mut report = DeathReport {
            name: String::from("indexer"),
            incarnation: 2,
            cause: Cause::from(ExitStatus::from_raw(9)),
            session: Some(CloseReason::PeerDied),
            stderr_tail: vec![String::from("out of luck")],
        };
        assert_eq!(report.cause, Cause::Signal(9));
        assert_eq!(report.to_string(), "cell `indexer` (incarnation 2) ended by signal 9\n  | out of luck");
        report.session = Some(CloseReason::Goodbye);
        assert!(report.to_string().contains("signal 9; its session: the peer said goodbye\n"), "{report}");
        report.session = None;
        assert!(report.to_string().contains("signal 9 before it was ready\n"), "{report}");
        assert_eq!(Cause::from(ExitStatus::from_raw(3 << 8)), Cause::Exit(3));
    }
}
