//! Orderings that make one place see what another did, and the names of such edges.

use std::collections::BTreeMap;

use crate::Finding;
use crate::source::{Source, Token};

/// The orderings that take two.
const ORDERINGS: [&str; 4] = ["Release", "Acquire", "AcqRel", "SeqCst"];
/// How far above an ordering its comment may begin.
const NEAR: usize = 3;

/// The orderings without a comment that says what they pair with.
pub(crate) fn unpaired(source: &Source) -> Vec<Finding> {
    let says = |line: usize, comment: &Token| {
        (line.saturating_sub(NEAR)..=line).contains(&comment.line)
            && (comment.text.to_lowercase().contains("pairs with") || !edges(comment).is_empty())
    };
    let mut findings = Vec::new();
    for (token, import) in source.tokens.iter().zip(source.imports()) {
        let used = !import && ORDERINGS.contains(&token.text.as_str());
        if used && !source.comments.iter().any(|comment| says(token.line, comment)) {
            let what = format!("`{}` does not say what it pairs with", token.text);
            findings.push(Finding::new(source, token.line, what));
        }
    }
    findings
}

/// The edges that a comment names, as in `sync: ring.tail (publish)`.
fn edges(comment: &Token) -> Vec<&str> {
    comment
        .text
        .split("sync: ")
        .skip(1)
        .filter_map(|behind| behind.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '.').next())
        .map(|name| name.trim_end_matches('.'))
        .filter(|name| name.contains('.'))
        .collect()
}

/// The edges that are named once only.
pub(crate) fn one_ended<'s>(sources: impl IntoIterator<Item = &'s Source>) -> Vec<Finding> {
    let mut ends: BTreeMap<&str, Vec<(&Source, usize)>> = BTreeMap::new();
    for source in sources {
        for comment in &source.comments {
            for edge in edges(comment) {
                ends.entry(edge).or_default().push((source, comment.line));
            }
        }
    }
    let lone = ends.into_iter().filter(|(_, ends)| ends.len() == 1);
    lone.map(|(edge, ends)| {
        let (source, line) = ends[0];
        Finding::new(source, line, format!("the other end of `{edge}` is missing"))
    })
    .collect()
}
