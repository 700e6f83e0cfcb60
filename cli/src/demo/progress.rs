//! What the user sees while the demonstration runs, on standard error: what happened line by line, and on a
//! terminal a last line that changes.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Where it is no terminal, lines about how far something is come no sooner than this after one another.
const PACE: Duration = Duration::from_millis(500);
/// Back to the start of the line, and nothing on it.
const CLEAR: &str = "\r\x1b[2K";

/// What the user sees of the run.
#[derive(Debug)]
pub(super) struct Progress {
    /// Lines can be written over.
    overwrites: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// A line that changes stands there.
    open: bool,
    last: Instant,
    /// Nobody reads any more.
    closed: bool,
}

impl Progress {
    /// Tells it on standard error. With logs between its lines, none changes.
    pub(super) fn new(with_logs: bool) -> Self {
        let overwrites = !with_logs && io::stderr().is_terminal();
        Self { overwrites, state: Mutex::new(State { open: false, last: Instant::now(), closed: false }) }
    }

    /// Says something that happened.
    pub(super) fn say(&self, who: &str, what: impl Display) {
        self.write(|state| {
            let clear = if std::mem::take(&mut state.open) { CLEAR } else { "" };
            format!("{clear}{who:<10}  {what}\n")
        });
    }

    /// Says how far something is.
    pub(super) fn at(&self, who: &str, what: impl Display) {
        self.write(|state| {
            if self.overwrites {
                state.open = true;
                format!("{CLEAR}{who:<10}  {what}")
            } else if state.last.elapsed() >= PACE {
                state.last = Instant::now();
                format!("{who:<10}  {what}\n")
            } else {
                String::new()
            }
        });
    }

    /// Leaves no half a line behind.
    pub(super) fn end(&self) {
        self.write(|state| String::from(if std::mem::take(&mut state.open) { CLEAR } else { "" }));
    }

    fn write(&self, text: impl FnOnce(&mut State) -> String) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let text = text(&mut state);
        // The run does not depend on being watched.
        if !state.closed && !text.is_empty() {
            state.closed = io::stderr().lock().write_all(text.as_bytes()).is_err();
        }
    }
}

/// A number in groups of three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A length of time in the unit that suits it.
pub(super) fn time(nanos: u64) -> String {
    let (unit, size) = match nanos {
        ..1_000 => return format!("{nanos} ns"),
        1_000..1_000_000 => ("µs", 1e3),
        1_000_000..1_000_000_000 => ("ms", 1e6),
        _ => ("s", 1e9),
    };
    let value = nanos as f64 / size;
    if value < 99.95 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// The same for a duration.
pub(super) fn duration(duration: Duration) -> String {
    time(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let shown = [0, 999, 1000, 412_331, 1_000_000].map(grouped);
        assert_eq!(shown, ["0", "999", "1 000", "412 331", "1 000 000"]);
    }

    #[test]
    fn times_have_the_unit_that_suits_them() {
        let shown = [0, 999, 1_000, 99_940, 99_960, 999_999, 1_500_000, 2_000_000_000].map(time);
        assert_eq!(shown, ["0 ns", "999 ns", "1.0 µs", "99.9 µs", "100 µs", "1000 µs", "1.5 ms", "2.0 s"]);
        assert_eq!(duration(Duration::from_micros(12)), "12.0 µs");
    }
}
