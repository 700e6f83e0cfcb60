//! Rows as a table or as JSON, and the machine that they were taken on.

use std::fs;
use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use super::error::BenchError;
use super::links;
use super::options::{Case, name};
use super::pin::Placement;
use super::rounds::Figures;

/// One row; what does not apply to it is `None`.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    scenario: String,
    transport: String,
    api: String,
    p50_ns: Option<u64>,
    p90_ns: Option<u64>,
    p99_ns: Option<u64>,
    p999_ns: Option<u64>,
    per_second: Option<u64>,
    limit_p50_ns: Option<u64>,
    ratio: Option<f64>,
    cpu_ms: f64,
    links: Option<u32>,
    start_ms: Option<f64>,
    link_kib: Option<f64>,
    link_descriptors: Option<f64>,
}

impl Row {
    /// The row of a case in which calls were made.
    pub(super) fn calls(case: Case, figures: &Figures) -> Self {
        Self {
            p50_ns: Some(figures.p50_ns),
            p90_ns: Some(figures.p90_ns),
            p99_ns: Some(figures.p99_ns),
            p999_ns: Some(figures.p999_ns),
            per_second: Some(figures.per_second.round() as u64),
            limit_p50_ns: figures.limit.map(|(p50_ns, _)| p50_ns),
            ratio: figures.limit.map(|(_, ratio)| rounded(ratio, 1e6)),
            ..Self::idle(case, figures.cpu)
        }
    }

    /// The row of a case in which items were received.
    pub(super) fn items(case: Case, figures: &Figures) -> Self {
        Self {
            per_second: Some(figures.per_second.round() as u64),
            ratio: figures.limit.map(|(_, ratio)| rounded(ratio, 1e6)),
            ..Self::idle(case, figures.cpu)
        }
    }

    /// The row of a case in which nothing happened.
    pub(super) fn idle(case: Case, cpu: Duration) -> Self {
        Self {
            scenario: name(case.scenario),
            transport: name(case.transport),
            api: name(case.api),
            p50_ns: None,
            p90_ns: None,
            p99_ns: None,
            p999_ns: None,
            per_second: None,
            limit_p50_ns: None,
            ratio: None,
            cpu_ms: rounded(cpu.as_secs_f64() * 1e3, 1e3),
            links: None,
            start_ms: None,
            link_kib: None,
            link_descriptors: None,
        }
    }

    /// The row of a case with many links.
    pub(super) fn links(case: Case, figures: &links::Figures) -> Self {
        Self {
            p50_ns: Some(figures.p50_ns),
            p90_ns: Some(figures.p90_ns),
            p99_ns: Some(figures.p99_ns),
            links: Some(figures.links),
            start_ms: Some(rounded(Duration::from_nanos(figures.start_ns).as_secs_f64() * 1e3, 1e3)),
            link_kib: Some(rounded(figures.memory_bytes as f64 / 1024.0, 10.0)),
            link_descriptors: Some(rounded(figures.descriptors, 100.0)),
            ..Self::idle(case, Duration::from_nanos(figures.idle_cpu_ns))
        }
    }
}

/// A value to the nearest `part`th.
fn rounded(value: f64, part: f64) -> f64 {
    (value * part).round() / part
}

/// Where rows go, one by one as they are measured.
#[derive(Debug)]
pub(super) enum Report {
    /// An aligned table.
    Table,
    /// An object a line.
    Json,
}

/// Names and widths of the columns.
const COLUMNS: [(&str, usize); 11] = [
    ("scenario", 13),
    ("transport", 9),
    ("api", 8),
    ("p50 ns", 9),
    ("p90 ns", 9),
    ("p99 ns", 9),
    ("p99.9 ns", 9),
    ("per second", 10),
    ("limit p50", 9),
    ("ratio", 6),
    ("cpu ms", 9),
];

impl Report {
    /// Begins; a table with the machine and what was asked of it.
    pub(super) fn begin(&self, cpus: usize, placement: Placement) -> Result<(), BenchError> {
        match self {
            Self::Json => Ok(()),
            Self::Table => {
                let facts = facts(cpus, placement);
                let header = line(COLUMNS.map(|(name, _)| name.to_owned()));
                Ok(writeln!(io::stdout(), "{facts}\n\n{header}")?)
            }
        }
    }

    /// Adds a row.
    pub(super) fn add(&self, row: &Row) -> Result<(), BenchError> {
        let line = match self {
            Self::Json => serde_json::to_string(row)?,
            Self::Table => {
                [table_line(row)].into_iter().chain(links_line(row)).collect::<Vec<_>>().join("\n")
            }
        };
        Ok(writeln!(io::stdout(), "{line}")?)
    }
}

fn table_line(row: &Row) -> String {
    let nanos = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    line([
        row.scenario.clone(),
        row.transport.clone(),
        row.api.clone(),
        nanos(row.p50_ns),
        nanos(row.p90_ns),
        nanos(row.p99_ns),
        nanos(row.p999_ns),
        nanos(row.per_second),
        nanos(row.limit_p50_ns),
        row.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
        format!("{:.3}", row.cpu_ms),
    ])
}

/// What a row says of its links, below it.
fn links_line(row: &Row) -> Option<String> {
    let (links, start_ms, kib) = (row.links?, row.start_ms?, row.link_kib?);
    let descriptors = row.link_descriptors?;
    Some(format!(
        "  {links} links, up after {start_ms:.0} ms; each takes {kib:.1} KiB and {descriptors:.2} descriptors of the host"
    ))
}

/// Words to the left, figures to the right.
fn line(cells: [String; 11]) -> String {
    let cells = cells.into_iter().zip(COLUMNS).enumerate();
    let padded = cells.map(
        |(at, (cell, (_, width)))| {
            if at < 3 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        },
    );
    padded.collect::<Vec<_>>().join("  ")
}

fn facts(cpus: usize, placement: Placement) -> String {
    let uname = rustix::system::uname();
    let kernel = uname.release().to_string_lossy();
    let model = fs::read_to_string("/proc/cpuinfo").ok();
    let model = model.as_deref().and_then(cpu_model).unwrap_or(std::env::consts::ARCH);
    let placed = match (placement.client, placement.server) {
        (Some(client), Some(server)) if client == server => format!("both sides pinned to CPU {client}"),
        (Some(client), Some(server)) => {
            format!("callers pinned to CPU {client}, the service to CPU {server}")
        }
        _ => "not pinned".to_owned(),
    };
    format!("{cpus} CPUs ({model}), Linux {kernel}, {placed}")
}

/// The model as `/proc/cpuinfo` names it, where it does.
fn cpu_model(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::options::{Api, Pin, Scenario, Transport};

    const CASE: Case =
        Case { scenario: Scenario::UnaryHotRaw, transport: Transport::Shm, api: Api::Async, pin: Pin::Apart };

    #[test]
    fn a_row_has_every_field_and_null_where_nothing_applies() {
        let figures = Figures {
            p50_ns: 200,
            p90_ns: 210,
            p99_ns: 300,
            p999_ns: 9000,
            per_second: 4_500_000.4,
            limit: Some((150, 1.333_333_333)),
            cpu: Duration::from_micros(1500),
        };
        assert_eq!(
            serde_json::to_string(&Row::calls(CASE, &figures)).unwrap(),
            r#"{"scenario":"unary-hot-raw","transport":"shm","api":"async","p50_ns":200,"p90_ns":210,"p99_ns":300,"p999_ns":9000,"per_second":4500000,"limit_p50_ns":150,"ratio":1.333333,"cpu_ms":1.5,"links":null,"start_ms":null,"link_kib":null,"link_descriptors":null}"#
        );
        let idle = Row::idle(Case { scenario: Scenario::IdleCpu, ..CASE }, Duration::from_micros(120));
        assert_eq!(
            serde_json::to_string(&idle).unwrap(),
            r#"{"scenario":"idle-cpu","transport":"shm","api":"async","p50_ns":null,"p90_ns":null,"p99_ns":null,"p999_ns":null,"per_second":null,"limit_p50_ns":null,"ratio":null,"cpu_ms":0.12,"links":null,"start_ms":null,"link_kib":null,"link_descriptors":null}"#
        );
        let links = links::Figures {
            links: 200,
            start_ns: 1_234_567_890,
            memory_bytes: 150_000,
            descriptors: 7.005,
            idle_cpu_ns: 0,
            p50_ns: 10,
            p90_ns: 20,
            p99_ns: 30,
        };
        let links = Row::links(Case { scenario: Scenario::Links200, ..CASE }, &links);
        assert_eq!(
            serde_json::to_string(&links).unwrap(),
            r#"{"scenario":"links-200","transport":"shm","api":"async","p50_ns":10,"p90_ns":20,"p99_ns":30,"p999_ns":null,"per_second":null,"limit_p50_ns":null,"ratio":null,"cpu_ms":0.0,"links":200,"start_ms":1234.568,"link_kib":146.5,"link_descriptors":7.01}"#
        );
        assert!(links_line(&links).unwrap().contains("after 1235 ms; each takes 146.5 KiB and 7.0"));
    }

    #[test]
    fn the_lines_of_a_table_are_as_long_as_its_header() {
        let header = line(COLUMNS.map(|(name, _)| name.to_owned()));
        let row = table_line(&Row::idle(CASE, Duration::from_millis(3)));
        assert_eq!(header.len(), row.len());
        assert!(row.ends_with("    3.000"), "{row}");
    }

    #[test]
    fn the_model_is_found() {
        assert_eq!(cpu_model("processor : 0\nmodel name\t: A CPU @ 2 GHz\n"), Some("A CPU @ 2 GHz"));
        assert_eq!(cpu_model("processor : 0\n"), None);
    }
}
