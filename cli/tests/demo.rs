//! `transom demo` as its users run it: the built program, its output, its exit code, and what it leaves.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde_json::Value;

/// Longer than any run may take.
const PATIENCE: Duration = Duration::from_secs(110);
/// What the host makes at least: 20 000 sums, 2 000 conversions, 200 lists, twice 100 calls.
const LEAST_CALLS: u64 = 22_400;
/// Calls in flight when the cell crashes: the request to, and the 49 that wait for the host.
const LOST_CALLS: u64 = 50;

/// Runs `transom demo` in a process group of its own and sees to it that nobody of that group is left.
fn demo(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_transom"));
    command.arg("demo").args(arguments).current_dir(directory).env_remove("TRANSOM_SHM");
    run(command)
}

fn run(mut command: Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let child = command.spawn().expect("the built program");
    let group = Pid::from_child(&child);
    let (done, ended) = channel::<()>();
    let watchdog = thread::spawn(move || {
        if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            rustix::process::kill_process_group(group, Signal::KILL).expect("the program is there");
        }
    });
    let output = child.wait_with_output().expect("its output");
    drop(done);
    watchdog.join().expect("it only waits");
    let left = rustix::process::kill_process_group(group, Signal::KILL);
    assert_eq!(left, Err(rustix::io::Errno::SRCH), "processes were left: {}", text(&output.stderr));
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The one object on standard output.
fn object(output: &Output) -> Value {
    let stdout = text(&output.stdout);
    assert_eq!(stdout.lines().count(), 1, "one line is wanted: {stdout}");
    serde_json::from_str(&stdout).expect("an object")
}

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A directory that is removed with this value.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("transom-demo-{name}-{}", std::process::id()));
        fs::create_dir(&path).expect("a new directory");
        Self(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("the directory");
    }
}

fn ends_well_over(transport: &str) {
    let output = demo(&here(), &["--json", "--transport", transport]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let result = object(&output);
    let number = |key: &str| result[key].as_u64().unwrap_or_else(|| panic!("{key} in {result}"));
    assert_eq!(result["ok"], true, "{result}");
    assert_eq!(result["transport"], transport, "{result}");
    assert_eq!((number("errors"), number("restarts")), (LOST_CALLS, 1), "{result}");
    assert!(number("calls") > LEAST_CALLS, "{result}");
    assert!(0 < number("p50_ns") && number("p50_ns") <= number("p99_ns"), "{result}");
    // All readings, a window of them while nobody took any; what went through the tunnel and through the host.
    assert_eq!((number("readings"), number("echoed_bytes")), (100_000, 4 << 20), "{result}");
    assert!((1_000..=64 * 1024 / 32).contains(&number("readings_ahead")), "{result}");
    assert_eq!(number("proxied_calls"), 1_001, "{result}");
    assert!(number("proxied_p50_ns") > 0, "{result}");
    assert_eq!(result.as_object().map(serde_json::Map::len), Some(12), "{result}");
    // Fed the sources of this very workspace.
    let told = text(&output.stderr);
    assert!(told.contains("back after") && told.contains("and noticed nothing"), "{told}");
    assert!(told.contains("while nobody took any") && told.contains("over tcp through the host"), "{told}");
    let root = here().parent().map(Path::to_owned).expect("the workspace's root");
    assert!(told.contains(&format!("files in {},", root.display())), "{told}");
}

#[test]
fn it_ends_well_over_shared_memory() {
    ends_well_over("shm");
}

#[test]
fn it_ends_well_over_a_socket() {
    ends_well_over("unix");
}

#[test]
fn people_get_a_table() {
    let place = Place::new("table");
    fs::write(place.0.join("one.md"), "Two words. And the stop words.").expect("a file");
    let output = demo(&here(), &["--input", &place.0.display().to_string()]);
    let (table, told) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{told}");
    let starts: Vec<&str> = table.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(starts, ["cell", "calculator", "indexer", "station", "fragile", "all", "All"], "{table}");
    assert!(told.contains("1 files in") && told.contains(", 6 words;"), "{told}");
    assert!(!told.contains('\x1b') && !told.contains('\r'), "this is no terminal: {told:?}");
}

#[test]
fn without_shared_memory_it_says_so_and_goes_on() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_transom"));
    command.args(["demo", "--json"]).current_dir(here()).env("TRANSOM_SHM", "off");
    let output = run(command);
    let result = object(&output);
    assert_eq!((&result["ok"], &result["transport"]), (&true.into(), &"unix".into()), "{result}");
    assert!(text(&output.stderr).contains("switched off"), "{}", text(&output.stderr));
}

#[test]
fn what_was_asked_for_and_cannot_be_had_is_an_error() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_transom"));
    command.args(["demo", "--json", "--transport", "shm"]).current_dir(here()).env("TRANSOM_SHM", "off");
    let output = run(command);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(object(&output)["ok"], false);
    assert!(text(&output.stderr).contains("calls go over unix (the peer cannot"), "{}", text(&output.stderr));
}

#[test]
fn without_sources_it_says_how_to_name_some() {
    let place = Place::new("empty");
    let output = demo(&place.0, &["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let result = object(&output);
    assert_eq!((&result["ok"], &result["calls"]), (&false.into(), &0.into()), "{result}");
    let told = text(&output.stderr);
    assert!(told.contains("--input"), "{told}");
    let output = demo(&here(), &["--input", &place.0.display().to_string()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no *.rs, *.md or *.toml files"), "{}", text(&output.stderr));
}

#[test]
fn a_cell_needs_a_host() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_transom"));
    command.args(["demo-cell", "indexer"]);
    let output = run(command);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("transom: "), "{}", text(&output.stderr));
}
