//! What the endpoints under test log: for whoever was turned away there is no other trace.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::raw::PATIENCE;

/// Warnings of `transom::endpoint` by the address they are about, in order.
#[derive(Default)]
struct Logs {
    by_address: Mutex<HashMap<String, Vec<String>>>,
    more: Condvar,
}

static LOGS: OnceLock<Logs> = OnceLock::new();

impl Logs {
    fn lines(&self) -> MutexGuard<'_, HashMap<String, Vec<String>>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins to collect; again and again does no harm.
pub fn collect() {
    LOGS.get_or_init(|| {
        tracing::subscriber::set_global_default(Collector).expect("nobody else collects");
        Logs::default()
    });
}

/// Waits for the next warning about `address` and takes it.
pub fn next(address: &str) -> String {
    let logs = LOGS.get().expect("somebody collects");
    let nothing_yet = |lines: &mut HashMap<String, Vec<String>>| lines.get(address).is_none_or(Vec::is_empty);
    let (mut lines, waited) = logs
        .more
        .wait_timeout_while(logs.lines(), PATIENCE, nothing_yet)
        .unwrap_or_else(PoisonError::into_inner);
    assert!(!waited.timed_out(), "nobody was turned away at {address}");
    lines.get_mut(address).expect("just seen").remove(0)
}

/// The warnings about `address` that nobody has taken.
pub fn left(address: &str) -> Vec<String> {
    LOGS.get().and_then(|logs| logs.lines().remove(address)).unwrap_or_default()
}

struct Collector;

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "transom::endpoint" && *metadata.level() == Level::WARN
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        if let Some(logs) = LOGS.get() {
            logs.lines().entry(line.address).or_default().push(line.error);
            logs.more.notify_all();
        }
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

/// What of an event matters.
#[derive(Default)]
struct Line {
    address: String,
    error: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "address" => self.address = format!("{value:?}"),
            "error" => self.error = format!("{value:?}"),
            _ => {}
        }
    }
}
