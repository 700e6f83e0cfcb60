//! The repository's habits, as rules over its own sources. Each says file and line of whatever breaks it.

#[path = "tidy/edges.rs"]
mod edges;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};

use edges::{one_ended, unpaired};
use layers::{beyond, rank};
use source::{Source, page, sources};

/// What breaks a rule, and where.
pub(crate) struct Finding {
    path: String,
    line: usize,
    what: String,
}

impl Finding {
    fn new(source: &Source, line: usize, what: impl Into<String>) -> Self {
        Self { path: source.path.clone(), line, what: what.into() }
    }
}

/// Fails with all findings, if there are any.
fn none(findings: impl IntoIterator<Item = Finding>) {
    let said: Vec<String> =
        findings.into_iter().map(|Finding { path, line, what }| format!("{path}:{line}: {what}")).collect();
    assert!(said.is_empty(), "\n{}\n", said.join("\n"));
}

#[test]
fn a_layer_uses_only_what_lies_below_it() {
    none(sources().iter().flat_map(beyond));
}

#[test]
fn the_architecture_lists_every_layer_in_order() {
    let page = page("ARCHITECTURE.md");
    let rows = section(&page, "## Layers").map(|(_, row)| row).filter(|row| row.starts_with('|'));
    let names = rows.flat_map(|row| row.split('`').filter_map(|name| name.strip_prefix("src/")));
    let listed: Vec<&str> = names.map(|name| name.trim_end_matches('/')).collect();
    assert!(
        listed.is_sorted_by_key(|layer| rank(layer)),
        "not in the order of tests/tidy/layers.rs: {listed:?}"
    );
    let folders = sources().iter().filter_map(|source| source.path.strip_prefix("src/")?.split_once('/'));
    let built: BTreeSet<&str> = folders.map(|(folder, _)| folder).collect();
    assert_eq!(BTreeSet::from_iter(listed), built, "listed in ARCHITECTURE.md, and built");
}

/// The most lines of a file, tests included.
const FILE: usize = 500;
/// The most lines of a `mod.rs`: it tells its folder's story, and algorithms have files of their own.
const MOD: usize = 150;

fn too_long(source: &Source) -> Option<Finding> {
    let most = if source.path.ends_with("/mod.rs") { MOD } else { FILE };
    (source.length > most).then(|| Finding::new(source, most + 1, format!("more than {most} lines")))
}

#[test]
fn files_are_short() {
    none(sources().iter().filter_map(too_long));
}

fn says_nothing(source: &Source) -> Option<Finding> {
    let first = source.comments.first();
    let says = first.is_some_and(|comment| comment.line == 1 && comment.text.starts_with("//!"));
    (!says).then(|| Finding::new(source, 1, "does not begin with what it owns (`//!`)"))
}

#[test]
fn files_begin_with_what_they_own() {
    none(sources().iter().filter_map(says_nothing));
}

/// The files that ARCHITECTURE.md allows `unsafe` code, with the line that says so.
fn unsafe_files(page: &str) -> BTreeMap<&str, usize> {
    let items = section(page, "## Unsafe code")
        .filter_map(|(line, item)| Some((item.strip_prefix("- `")?.split_once('`')?.0, line)));
    items.collect()
}

fn unsafety(source: &Source, allowed: bool) -> Vec<Finding> {
    let find = |word: &str| source.tokens.iter().find(|token| token.text == word);
    let mut findings = Vec::new();
    if !allowed {
        let words = [find("unsafe"), find("unsafe_code")].into_iter().flatten();
        let what = "`unsafe` in a file that ARCHITECTURE.md does not list";
        findings.extend(words.map(|token| Finding::new(source, token.line, what)));
        return findings;
    }
    if find("unsafe_code").is_none() {
        findings.push(Finding::new(source, 1, "is listed in ARCHITECTURE.md and allows no unsafe code"));
    }
    if !source.comments.iter().any(|comment| comment.text == "//! # Safety") {
        findings.push(Finding::new(source, 1, "allows unsafe code and has no `# Safety` at its top"));
    }
    findings
}

#[test]
fn unsafe_code_is_where_the_architecture_says() {
    let page = page("ARCHITECTURE.md");
    let listed = unsafe_files(&page);
    none(sources().iter().flat_map(|source| unsafety(source, listed.contains_key(source.path.as_str()))));
    let there: BTreeSet<&str> = sources().iter().map(|source| source.path.as_str()).collect();
    let gone = listed.iter().filter(|(file, _)| !there.contains(*file));
    none(gone.map(|(file, &line)| Finding {
        path: "ARCHITECTURE.md".to_owned(),
        line,
        what: format!("{file} is not there"),
    }));
}

fn globs(source: &Source) -> Vec<Finding> {
    let imports = source.imports();
    let mut public = false;
    let mut findings = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        match token.text.as_str() {
            // `pub use`, or `pub(crate) use` and the like.
            "use" => public = at > 0 && matches!(source.tokens[at - 1].text.as_str(), "pub" | ")"),
            "*" if imports[at] && public => {
                findings.push(Finding::new(source, token.line, "re-exports by glob: name what is meant"));
            }
            _ => {}
        }
    }
    findings
}

#[test]
fn nothing_is_re_exported_by_glob() {
    none(sources().iter().flat_map(globs));
}

/// Marks of what is left undone, in comments.
const MARKS: [&str; 4] = ["TODO", "FIXME", "XXX", "HACK"];
/// Macros that are left behind.
const LEFTOVERS: [&str; 3] = ["todo", "unimplemented", "dbg"];

fn undone(source: &Source) -> Vec<Finding> {
    let marked = |text: &str| text.split(|c: char| !c.is_alphanumeric()).any(|word| MARKS.contains(&word));
    let marks = source.comments.iter().filter(|comment| marked(&comment.text));
    let is_leftover = |at: usize| LEFTOVERS.iter().any(|name| source.has(at, &[name, "!"]));
    let leftovers =
        source.tokens.iter().enumerate().filter(|&(at, _)| is_leftover(at)).map(|(_, token)| token);
    let found = marks.chain(leftovers);
    found.map(|token| Finding::new(source, token.line, format!("left undone: {}", token.text))).collect()
}

#[test]
fn nothing_is_left_undone() {
    none(sources().iter().flat_map(undone));
}

/// The one file of the layout that names what a model puts something else in the stead of.
const SHIM: &str = "shm-layout/src/sync.rs";

fn past_the_shim(source: &Source) -> Vec<Finding> {
    let names = source.named_behind(&["core", "std", "alloc"]).into_iter();
    let modelled = names.filter(|(_, name)| matches!(name.as_str(), "sync" | "cell" | "hint"));
    modelled
        .map(|(line, name)| Finding::new(source, line, format!("`{name}` comes from {SHIM} alone")))
        .collect()
}

#[test]
fn the_layout_has_its_atomics_and_cells_from_one_place() {
    let layout = sources().iter().filter(|source| source.is_in(&["shm-layout/src/"]));
    none(layout.filter(|source| source.path != SHIM).flat_map(past_the_shim));
}

/// Where atomics are used across threads and processes.
const ATOMICS: [&str; 2] = ["src/", "shm-layout/src/"];

#[test]
fn every_ordering_says_what_it_pairs_with() {
    none(sources().iter().filter(|source| source.is_in(&ATOMICS)).flat_map(unpaired));
}

#[test]
fn every_edge_is_named_at_both_ends() {
    none(one_ended(sources().iter().filter(|source| source.is_in(&ATOMICS))));
}

/// The lines of a section of a page, with their numbers.
fn section<'p>(page: &'p str, title: &'p str) -> impl Iterator<Item = (usize, &'p str)> {
    let lines = page.lines().enumerate().map(|(at, line)| (at + 1, line));
    lines.skip_while(move |(_, line)| *line != title).skip(1).take_while(|(_, line)| !line.starts_with("## "))
}

#[test]
fn code_is_told_from_comments_and_literals() {
    let text = "let c = '\\''; // one \"\n/* two /* 2 */\n */ fn f<'a>(b: &'a str) -> u8 { b'\"' }\n\
                r#\"raw \" // no\"# b\"\\\"\" \"//\n\" end";
    let source = Source::new("x.rs", text);
    let words: Vec<&str> = source.tokens.iter().map(|token| token.text.as_str()).collect();
    let expected = "let c = \" ; fn f < ' a > ( b : & ' a str ) - > u8 { \" } \" \" \" end";
    assert_eq!(words.join(" "), expected);
    let comments: Vec<(usize, &str)> =
        source.comments.iter().map(|comment| (comment.line, comment.text.as_str())).collect();
    assert_eq!(comments, [(1, "// one \""), (2, "/* two /* 2 */"), (3, "*/")]);
    assert_eq!(source.tokens.last().map(|token| token.line), Some(5));
}

#[test]
fn each_rule_finds_what_breaks_it() {
    let found = |path: &str, text: &str| beyond(&Source::new(path, text)).len();
    assert_eq!(found("src/link/shm.rs", "use crate::memory::Region; use super::super::link::X;"), 0);
    assert_eq!(found("src/link/shm.rs", "use crate::session::Rule;"), 1);
    assert_eq!(found("src/link/shm.rs", "use crate::{\n memory::Region,\n session::{Rule, Side},\n};"), 1);
    assert_eq!(found("src/link/shm.rs", "fn f() -> crate::Rule {}"), 1);
    assert_eq!(found("src/link/shm.rs", "use super::super::session::Rule;"), 1);
    assert_eq!(found("src/host/logs.rs", "use crate::cell::Watcher;"), 1);
    assert_eq!(found("src/link/tests.rs", "#[transom::service] trait Calc {}"), 1);
    assert_eq!(found("src/service/tests.rs", "#[transom::service] trait Calc {}"), 0);
    assert_eq!(found("src/driver/x.rs", "use crate::limits::Machine;"), 1);
    assert_eq!(found("src/new/mod.rs", "//! A folder that no rank has."), 1);

    let source = |text: &str| Source::new("src/x.rs", text);
    let lines = |path: &str, count: usize| too_long(&Source::new(path, &"\n".repeat(count))).is_some();
    assert!(lines("src/x.rs", FILE + 1) && !lines("src/x.rs", FILE));
    assert!(lines("src/x/mod.rs", MOD + 1) && !lines("src/x/mod.rs", MOD));
    assert!(says_nothing(&source("use x;\n//! Late.")).is_some());
    assert!(says_nothing(&source("//! Owns x.")).is_none());
    assert_eq!(unsafety(&source("fn f() { unsafe { g() } }"), false).len(), 1);
    assert_eq!(unsafety(&source("//! # Safety\n#![allow(unsafe_code)]"), true).len(), 0);
    assert_eq!(unsafety(&source("#![allow(unsafe_code)]"), true).len(), 1);
    assert_eq!(unsafety(&source("//! # Safety"), true).len(), 1);
    assert_eq!(globs(&source("pub use a::{b, c::*}; pub(crate) use d::*; use e::*;")).len(), 2);
    assert_eq!(undone(&source("// TODO: x\nfn f() { todo!() } // dbg\nlet todo = 1;")).len(), 2);
    let atomics = "use core::sync::atomic::fence;\nuse core::{cell::Cell, fmt};\nuse crate::sync::fence;";
    assert_eq!(past_the_shim(&source(atomics)).len(), 2);
    assert_eq!(unpaired(&source("use Ordering::Acquire;\n\n\n\nx.load(Acquire)")).len(), 1);
    assert_eq!(unpaired(&source("// sync: nothing named\nx.load(Acquire)")).len(), 1);
    assert_eq!(unpaired(&source("// Pairs with the fence.\n\n\nx.load(Acquire)")).len(), 0);
    let ends = [source("// sync: a.b (set) -> C::d\n// sync: e.f (set)"), source("// sync: a.b (read).")];
    assert_eq!(one_ended(&ends).len(), 1);
}
