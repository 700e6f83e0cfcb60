//! The repository's sources, read as far as the rules need it: words, punctuation and comments, by line.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// A source file.
pub(crate) struct Source {
    /// Its path in the repository.
    pub(crate) path: String,
    /// How many lines it has.
    pub(crate) length: usize,
    /// Its words and punctuation, without comments and the insides of literals.
    pub(crate) tokens: Vec<Token>,
    /// Its comments, a piece for each line.
    pub(crate) comments: Vec<Token>,
}

/// A word, a punctuation mark, or a line of a comment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// The line it is on, from 1.
    pub(crate) line: usize,
    /// The text.
    pub(crate) text: String,
}

impl Source {
    /// Takes `text` apart.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let (mut tokens, mut comments) = (Vec::new(), Vec::new());
        let (mut line, mut rest) = (1, text);
        while let Some(first) = rest.chars().next() {
            let (kind, length) = piece(rest, first);
            let (text, behind) = rest.split_at(length);
            match kind {
                Kind::Space => {}
                Kind::Token => tokens.push(Token { line, text: text.to_owned() }),
                Kind::Literal => tokens.push(Token { line, text: "\"".to_owned() }),
                Kind::Comment => comments.extend(
                    text.lines()
                        .enumerate()
                        .map(|(at, text)| Token { line: line + at, text: text.trim().to_owned() }),
                ),
            }
            line += text.matches('\n').count();
            rest = behind;
        }
        Self { path: path.to_owned(), length: text.lines().count(), tokens, comments }
    }

    /// Whether the tokens from `at` on are these.
    pub(crate) fn has(&self, at: usize, expected: &[&str]) -> bool {
        self.tokens[at..]
            .iter()
            .map(|token| token.text.as_str())
            .take(expected.len())
            .eq(expected.iter().copied())
    }

    /// The first names behind every path that begins with one of `roots`, each with its line.
    pub(crate) fn named_behind(&self, roots: &[&str]) -> Vec<(usize, String)> {
        let begins = |at: usize| roots.iter().any(|root| self.has(at, &[root, ":", ":"]));
        let inside = |at: usize| at > 0 && self.tokens[at - 1].text == ":";
        let paths = (0..self.tokens.len()).filter(|&at| begins(at) && !inside(at));
        paths.flat_map(|at| self.firsts(at + 3)).collect()
    }

    /// The names at `at`: one, or the first of each branch in braces.
    pub(crate) fn firsts(&self, at: usize) -> Vec<(usize, String)> {
        let (mut depth, mut begins) = (0_u32, true);
        let mut names = Vec::new();
        for token in self.tokens.iter().skip(at) {
            match token.text.as_str() {
                "{" => depth += 1,
                "}" => depth = depth.saturating_sub(1),
                "," if depth == 1 => begins = true,
                name if begins && depth <= 1 => {
                    names.push((token.line, name.to_owned()));
                    begins = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        names
    }

    /// Whether the file is in one of these folders.
    pub(crate) fn is_in(&self, folders: &[&str]) -> bool {
        folders.iter().any(|folder| self.path.starts_with(folder))
    }

    /// Which tokens belong to `use` declarations.
    pub(crate) fn imports(&self) -> Vec<bool> {
        let mut importing = false;
        let belongs = |token: &Token| {
            importing = (importing || token.text == "use") && token.text != ";";
            importing
        };
        self.tokens.iter().map(belongs).collect()
    }
}

enum Kind {
    Space,
    Token,
    Literal,
    Comment,
}

/// What `rest` begins with, and how many bytes of it that is.
fn piece(rest: &str, first: char) -> (Kind, usize) {
    if rest.starts_with("//") {
        return (Kind::Comment, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Kind::Comment, block(rest));
    }
    if first.is_whitespace() {
        return (Kind::Space, first.len_utf8());
    }
    let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    let (prefix, behind) = rest.split_at(word);
    if matches!(prefix, "r" | "br" | "cr") {
        let hashes = behind.len() - behind.trim_start_matches('#').len();
        if behind[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let inside = word + hashes + 1;
            let length = rest[inside..].find(&end).map_or(rest.len(), |at| inside + at + end.len());
            return (Kind::Literal, length);
        }
    }
    if matches!(prefix, "" | "b" | "c") && behind.starts_with('"') {
        return (Kind::Literal, word + quoted(behind, '"'));
    }
    if matches!(prefix, "" | "b") && behind.starts_with('\'') {
        // A lifetime has no second quote where a character has one.
        let mut inside = behind.chars().skip(1);
        if inside.next() == Some('\\') || inside.next() == Some('\'') {
            return (Kind::Literal, word + quoted(behind, '\''));
        }
    }
    (Kind::Token, if word == 0 { first.len_utf8() } else { word })
}

/// The length of a block comment; they nest.
fn block(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

/// The length of a literal that begins and ends with `quote`.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    rest.len()
}

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A page of the repository.
pub(crate) fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every source file but those that are meant not to compile.
pub(crate) fn sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
        let mut paths = Vec::new();
        walk(root(), &mut paths);
        paths.sort();
        let name = |path: &PathBuf| path.strip_prefix(root()).unwrap_or(path).to_string_lossy().into_owned();
        let sources: Vec<Source> =
            paths.iter().map(name).map(|name| Source::new(&name, &page(&name))).collect();
        assert!(sources.iter().any(|source| source.path == "src/lib.rs"), "the sources were not found");
        sources
    });
    &SOURCES
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.unwrap_or_else(|error| panic!("{}: {error}", folder.display())).path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" && !path.ends_with("tests/ui") {
                walk(&path, found);
            }
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}
