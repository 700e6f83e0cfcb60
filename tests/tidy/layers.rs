//! The order of the layers, and what a module names beyond its own.

use crate::Finding;
use crate::source::Source;

/// The folders of `src/`, lowest first. A layer names itself and those before it; the layers of one rank do not
/// know each other.
const LAYERS: [&[&str]; 11] = [
    &["sys"],
    &["memory"],
    &["codec"],
    &["link"],
    &["session", "limits"],
    &["driver"],
    &["service"],
    &["proxy", "tunnel"],
    &["endpoint"],
    &["host", "cell"],
    &["fuzzing"],
];

/// Layers that no other may name: they measure or test what lies below them, and nothing is built on them.
const LEAVES: [&str; 2] = ["limits", "fuzzing"];

/// Where in the order a layer is.
pub(crate) fn rank(layer: &str) -> Option<usize> {
    LAYERS.iter().position(|layers| layers.contains(&layer))
}

/// The names of other layers in `source` that it may not know.
pub(crate) fn beyond(source: &Source) -> Vec<Finding> {
    // Files right in `src/` put the layers together.
    let Some((layer, _)) = source.path.strip_prefix("src/").and_then(|path| path.split_once('/')) else {
        return Vec::new();
    };
    let Some(own) = rank(layer) else {
        return vec![Finding::new(source, 1, format!("`{layer}` has no rank in tests/tidy/layers.rs"))];
    };
    let mut findings = Vec::new();
    for (line, name) in named(source) {
        let what = match rank(&name) {
            _ if name == layer => continue,
            None => format!("`{layer}` names `{name}`, which is no layer: name it where it is made"),
            Some(_) if LEAVES.contains(&name.as_str()) => format!("nothing is built on `{name}`"),
            Some(other) if other >= own => format!("`{layer}` names `{name}`, which does not lie below it"),
            Some(_) => continue,
        };
        findings.push(Finding::new(source, line, what));
    }
    findings
}

/// The first name behind every path to the crate's root, and its line.
fn named(source: &Source) -> Vec<(usize, String)> {
    let mut names = source.named_behind(&["crate", "transom"]);
    // As many `super` as the file is deep lead there too.
    let depth = source.path.trim_end_matches("/mod.rs").trim_end_matches(".rs").matches('/').count();
    let chain = ["super", ":", ":"].repeat(depth);
    let climbs = (0..source.tokens.len()).filter(|&at| source.has(at, &chain));
    names.extend(climbs.flat_map(|at| source.firsts(at + chain.len())));
    // Generated code reaches the services through what only it may name.
    for (_, name) in names.iter_mut().filter(|(_, name)| name == "__private") {
        "service".clone_into(name);
    }
    names
}
