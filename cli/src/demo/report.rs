//! The result: a table for people, one object for programs.

use std::fmt;

use serde::Serialize;
use transom::Transport;

use super::cells::CellRun;
use super::progress::{grouped, time};
use super::station::Carried;
use super::tally::Tally;

/// What came out.
#[derive(Debug, Default)]
pub(super) struct Report {
    rows: Vec<Row>,
    /// What went through the station.
    pub(super) carried: Carried,
    /// The calls that went through the host.
    pub(super) visits: Tally,
}

/// What was seen of one cell.
#[derive(Debug)]
struct Row {
    cell: &'static str,
    tally: Tally,
    asked: u64,
    restarts: u64,
    transport: &'static str,
}

/// The result as programs read it.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    calls: u64,
    errors: u64,
    restarts: u64,
    transport: Option<&'static str>,
    p50_ns: u64,
    p99_ns: u64,
    readings: u64,
    readings_ahead: u64,
    echoed_bytes: u64,
    proxied_calls: u64,
    proxied_p50_ns: u64,
    ok: bool,
}

impl Report {
    /// Notes what was seen of these cells.
    pub(super) fn rows(&mut self, runs: [&CellRun; 4]) {
        let row = |run: &CellRun| Row {
            cell: run.name,
            tally: run.tally.clone(),
            asked: run.asked.calls(),
            restarts: run.restarts,
            transport: match run.transport {
                Transport::Shm => "shm",
                Transport::Unix { .. } => "unix",
                _ => "other",
            },
        };
        self.rows = runs.map(row).into();
    }

    /// All cells together.
    pub(super) fn summary(&self, ok: bool) -> Summary {
        let total = self.total();
        Summary {
            calls: total.tally.calls(),
            errors: total.tally.errors(),
            restarts: total.restarts,
            transport: (!self.rows.is_empty()).then_some(total.transport),
            p50_ns: total.tally.within(0.5),
            p99_ns: total.tally.within(0.99),
            readings: self.carried.readings,
            readings_ahead: self.carried.ahead,
            echoed_bytes: self.carried.echoed,
            proxied_calls: self.visits.calls(),
            proxied_p50_ns: self.visits.within(0.5),
            ok,
        }
    }

    fn total(&self) -> Row {
        let mut total = Row { cell: "all", tally: Tally::new(), asked: 0, restarts: 0, transport: "" };
        for row in &self.rows {
            total.tally.merge(&row.tally);
            total.asked += row.asked;
            total.restarts += row.restarts;
            total.transport = match total.transport {
                "" => row.transport,
                same if same == row.transport => same,
                _ => "mixed",
            };
        }
        total
    }
}

impl Row {
    fn columns(&self) -> [String; 9] {
        let within = |quantile| match self.tally.within(quantile) {
            0 => String::from("-"),
            nanos => time(nanos),
        };
        [
            self.cell.to_owned(),
            grouped(self.tally.calls()),
            grouped(self.tally.errors()),
            within(0.5),
            within(0.9),
            within(0.99),
            grouped(self.asked),
            grouped(self.restarts),
            self.transport.to_owned(),
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let titles = ["cell", "calls", "errors", "p50", "p90", "p99", "calls back", "restarts", "transport"]
            .map(str::to_owned);
        let mut lines = vec![titles];
        lines.extend(self.rows.iter().map(Row::columns));
        lines.push(self.total().columns());
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 9] = std::array::from_fn(width);
        for line in &lines {
            let [cell, numbers @ .., transport] = line;
            write!(f, "{cell:<width$}", width = widths[0])?;
            for (number, width) in numbers.iter().zip(&widths[1..]) {
                write!(f, "  {number:>width$}")?;
            }
            writeln!(f, "  {transport}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn row(cell: &'static str, answered: u64, failed: u64, transport: &'static str) -> Row {
        let mut tally = Tally::new();
        (0..answered).for_each(|_| tally.answered(Duration::from_nanos(1500)));
        (0..failed).for_each(|_| tally.failed());
        Row { cell, tally, asked: 7, restarts: failed.min(1), transport }
    }

    #[test]
    fn the_table_has_a_line_for_each_cell_and_one_for_all() {
        let rows = vec![row("steady", 1200, 0, "shm"), row("fragile", 0, 3, "shm")];
        let report = Report { rows, ..Report::default() };
        let expected = "\
cell     calls  errors     p50     p90     p99  calls back  restarts  transport
steady   1 200       0  1.5 µs  1.5 µs  1.5 µs           7         0  shm
fragile      3       3       -       -       -           7         1  shm
all      1 203       3  1.5 µs  1.5 µs  1.5 µs          14         1  shm
";
        assert_eq!(report.to_string(), expected);
    }

    #[test]
    fn the_summary_is_one_flat_object() {
        let carried = Carried { readings: 9, ahead: 4, echoed: 8 };
        let rows = vec![row("one", 2, 1, "shm"), row("other", 1, 0, "unix")];
        let report = Report { rows, carried, visits: row("", 5, 0, "").tally };
        let json = serde_json::to_string(&report.summary(false)).expect("numbers and texts");
        let nanos = report.rows[0].tally.within(0.5);
        assert_eq!(
            json,
            format!(
                "{{\"calls\":4,\"errors\":1,\"restarts\":1,\"transport\":\"mixed\",\"p50_ns\":{nanos},\"p99_ns\":{nanos},\"readings\":9,\"readings_ahead\":4,\"echoed_bytes\":8,\"proxied_calls\":5,\"proxied_p50_ns\":{nanos},\"ok\":false}}"
            )
        );
        let nothing = serde_json::to_value(Report::default().summary(false)).expect("numbers and texts");
        assert_eq!((&nothing["calls"], &nothing["transport"]), (&0.into(), &serde_json::Value::Null));
    }
}
