//! `transom bench` as its users run it: the built binary, and what it prints.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

const FIELDS: [&str; 15] = [
    "scenario",
    "transport",
    "api",
    "p50_ns",
    "p90_ns",
    "p99_ns",
    "p999_ns",
    "per_second",
    "limit_p50_ns",
    "ratio",
    "cpu_ms",
    "links",
    "start_ms",
    "link_kib",
    "link_descriptors",
];
const CALLS: &str = "unary-hot-raw,unary-hot,unary-cold,unary-conc64,echo-1k,echo-64k";

/// A directory for temporary files in which nothing may be left.
struct Clean(PathBuf);

impl Clean {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("transom-bench-test-{}-{name}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn bench(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_transom"));
        command.arg("bench").args(arguments).env("TMPDIR", &self.0).env_remove("TRANSOM_SHM");
        command
    }

    fn rows(&self, arguments: &[&str]) -> Vec<Value> {
        let output =
            self.bench(arguments).args(["--json", "--seconds", "0.02", "--pin", "none"]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Clean {
    fn drop(&mut self) {
        // Not recursive: whatever was left there makes this fail.
        let removed = fs::remove_dir(&self.0);
        if !thread::panicking() {
            removed.unwrap();
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Checks a row in which calls were made.
fn check(row: &Value, has_limit: bool) {
    let fields: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
    assert!(FIELDS.iter().all(|field| fields.contains(field)) && fields.len() == FIELDS.len(), "{row}");
    let figure = |field: &str| row[field].as_f64().unwrap_or_else(|| panic!("{field}: {row}"));
    let quantiles = ["p50_ns", "p90_ns", "p99_ns", "p999_ns"].map(figure);
    assert!(quantiles[0] > 0.0 && quantiles.is_sorted(), "{row}");
    assert!(figure("per_second") > 0.0 && figure("cpu_ms") > 0.0, "{row}");
    if has_limit {
        assert!(figure("limit_p50_ns") > 0.0 && figure("ratio") > 0.0, "{row}");
    } else {
        assert!(row["limit_p50_ns"].is_null() && row["ratio"].is_null(), "{row}");
    }
}

fn names(rows: &[Value]) -> Vec<String> {
    let word = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
    rows.iter().map(|row| format!("{} {}", word(row, "scenario"), word(row, "api"))).collect()
}

#[test]
fn every_scenario_gives_a_row_for_each_api() {
    let clean = Clean::new("rows");
    let expected: Vec<String> = CALLS
        .split(',')
        .flat_map(|scenario| ["async", "blocking"].map(|api| format!("{scenario} {api}")))
        .collect();
    for (transport, has_limit) in [("shm", true), ("unix", true), ("tcp", true), ("mem", false)] {
        let rows = clean.rows(&["--transport", transport, "--scenario", CALLS]);
        assert_eq!(names(&rows), expected);
        for row in &rows {
            assert_eq!(row["transport"], transport);
            check(row, has_limit);
        }
    }
}

#[test]
fn items_are_counted_beside_what_the_machine_carries() {
    let clean = Clean::new("items");
    let expected: Vec<String> = ["stream-64b", "stream-64k", "channels-1000"]
        .iter()
        .flat_map(|scenario| ["async", "blocking"].map(|api| format!("{scenario} {api}")))
        .collect();
    for (transport, has_limit) in [("shm", true), ("unix", true), ("tcp", true), ("mem", false)] {
        let rows =
            clean.rows(&["--transport", transport, "--scenario", "stream-64b,stream-64k,channels-1000"]);
        assert_eq!(names(&rows), expected);
        for row in &rows {
            let figure = |field: &str| row[field].as_f64().unwrap_or_else(|| panic!("{field}: {row}"));
            assert!(figure("per_second") > 0.0 && figure("cpu_ms") > 0.0, "{row}");
            assert_eq!(row["ratio"].as_f64().is_some_and(|ratio| ratio > 0.0), has_limit, "{row}");
            assert!(["p50_ns", "p99_ns", "limit_p50_ns"].iter().all(|field| row[field].is_null()), "{row}");
        }
    }
}

#[test]
fn an_idle_pair_has_cpu_time_and_nothing_else() {
    let clean = Clean::new("idle");
    let rows = clean.rows(&["--scenario", "idle-cpu", "--transport", "shm,tcp"]);
    assert_eq!(names(&rows), ["idle-cpu async", "idle-cpu blocking"].repeat(2));
    for row in &rows {
        assert_eq!(row.as_object().unwrap().len(), FIELDS.len());
        assert!(row["cpu_ms"].as_f64().unwrap() > 0.0, "{row}");
        assert!(
            FIELDS[3..10].iter().chain(&FIELDS[11..]).all(|field| row.get(field).is_some_and(Value::is_null)),
            "{row}"
        );
    }
}

#[test]
fn links_say_what_each_of_them_costs() {
    let clean = Clean::new("links");
    for transport in ["shm", "unix"] {
        let rows = clean.rows(&["--scenario", "links-200", "--links", "3", "--transport", transport]);
        assert_eq!(names(&rows), ["links-200 async", "links-200 blocking"]);
        for row in &rows {
            let figure = |field: &str| row[field].as_f64().unwrap_or_else(|| panic!("{field}: {row}"));
            assert_eq!((row.as_object().unwrap().len(), &row["links"]), (FIELDS.len(), &Value::from(3)));
            let quantiles = ["p50_ns", "p90_ns", "p99_ns"].map(figure);
            assert!(quantiles[0] > 0.0 && quantiles.is_sorted(), "{row}");
            assert!(
                ["start_ms", "link_kib", "link_descriptors"].iter().all(|field| figure(field) > 0.0),
                "{row}"
            );
            assert!(
                ["p999_ns", "per_second", "limit_p50_ns", "ratio"].iter().all(|field| row[field].is_null()),
                "{row}"
            );
        }
    }
}

#[test]
fn a_shared_cpu_is_no_reason_to_starve() {
    let clean = Clean::new("same");
    let output = clean
        .bench(&["--pin", "same", "--seconds", "0.02", "--gap-us", "20"])
        .args(["--scenario", "unary-hot-raw,unary-cold,unary-conc64,stream-64b,channels-1000"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].contains("Linux") && lines[0].contains("both sides pinned to CPU"), "{table}");
    assert_eq!(lines.len(), 3 + 10, "{table}");
    assert!(lines[2..].iter().all(|line| line.len() == lines[2].len()), "{table}");
}

#[test]
fn a_fallback_is_not_measured_as_shared_memory() {
    let clean = Clean::new("fallback");
    let Output { status, stdout, stderr } = clean
        .bench(&["--scenario", "unary-hot", "--json", "--seconds", "0.02", "--pin", "none"])
        .env("TRANSOM_SHM", "off")
        .output()
        .unwrap();
    assert_eq!((status.code(), text(&stdout).as_str()), (Some(1), ""));
    assert!(text(&stderr).contains("calls go over unix"), "{}", text(&stderr));
}

#[test]
fn its_other_processes_die_with_it() {
    let clean = Clean::new("killed");
    // The first row says that all is running; the second takes for ever.
    let mut bench = clean
        .bench(&["--json", "--seconds", "0.02", "--pin", "none", "--scenario", "unary-hot,idle-cpu"])
        .args(["--api", "blocking"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = bench.stderr.take().unwrap();
    let mut first = String::new();
    BufReader::new(bench.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("unary-hot"), "{first}");
    bench.kill().unwrap();
    bench.wait().unwrap();
    // Its end comes when everyone who could write there is gone.
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || sender.send(stderr.read_to_end(&mut Vec::new()).is_ok()));
    assert!(ended.recv_timeout(Duration::from_secs(20)).unwrap());
    // Killed in the middle of connecting it could not remove its directory.
    for left in fs::read_dir(&clean.0).unwrap() {
        fs::remove_dir_all(left.unwrap().path()).unwrap();
    }
}
