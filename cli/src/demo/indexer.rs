//! The indexer: text in, word counts out. It gets the stop words from its host and tells it how far it is.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use facet::Facet;
use tokio::sync::OnceCell;
use transom::Context;

use super::DemoError;
use super::cells::{Asked, CellRun};
use super::progress::{Progress, grouped};
use super::sources::Sources;
use super::words::{Counts, STOP_WORDS};

/// The cell tells its host how far it is after this many files.
const STEP: u64 = 8;
/// Words that are asked for.
const QUESTIONS: usize = 2_000;

/// What the cell serves.
#[transom::service]
pub(super) trait Index {
    /// Takes in a text; how many words it has.
    async fn add(&self, cx: &Context, text: &str) -> Result<u64, HostUnreached>;
    /// How often `word` was seen. Stop words are not counted.
    fn count(&self, word: &str) -> u64;
    /// The most frequent words.
    fn top(&self, most: u32) -> Vec<Entry>;
}

/// A word of the index.
#[derive(Facet, Debug, PartialEq)]
pub(super) struct Entry {
    word: String,
    count: u64,
}

/// The cell could not ask its host.
#[derive(Facet, Debug)]
pub(super) struct HostUnreached {
    /// Why not.
    detail: String,
}

/// What the host serves the indexer.
#[transom::service]
pub(super) trait Librarian {
    /// Words that are not to be counted.
    fn stop_words(&self) -> Vec<String>;
    /// So much has been taken in.
    fn taken_in(&self, files: u64, words: u64);
}

/// The cell's index.
#[derive(Default)]
pub(super) struct Words {
    stop_words: OnceCell<HashSet<String>>,
    counts: Mutex<Counts>,
    files: AtomicU64,
    words: AtomicU64,
}

impl Words {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index for Words {
    async fn add(&self, cx: &Context, text: &str) -> Result<u64, HostUnreached> {
        let host: LibrarianClient = cx.client();
        let ask = async || Ok(host.stop_words().await?.into_iter().collect());
        let unreached = |error: transom::CallError| HostUnreached { detail: error.to_string() };
        let stop_words = self.stop_words.get_or_try_init(ask).await.map_err(unreached)?;
        let found = self.counts().add(text, stop_words);
        let files = self.files.fetch_add(1, Ordering::Relaxed) + 1;
        let words = self.words.fetch_add(found, Ordering::Relaxed) + found;
        if files.is_multiple_of(STEP) {
            host.taken_in(files, words).await.map_err(unreached)?;
        }
        Ok(found)
    }

    fn count(&self, word: &str) -> u64 {
        self.counts().of(word)
    }

    fn top(&self, most: u32) -> Vec<Entry> {
        let counts = self.counts();
        let entry = |(word, count): (&str, u64)| Entry { word: word.to_owned(), count };
        counts.top(most as usize).into_iter().map(entry).collect()
    }
}

/// What the host knows for the indexer, and hears of it.
#[derive(Clone, Debug)]
pub(super) struct Library {
    pub(super) asked: Asked,
    progress: Arc<Progress>,
    /// Files that the cell has told of.
    told: Arc<AtomicU64>,
}

impl Library {
    pub(super) fn new(progress: Arc<Progress>) -> Self {
        Self { asked: Asked::default(), progress, told: Arc::default() }
    }

    pub(super) fn server(&self) -> LibrarianServer<Self> {
        LibrarianServer::new(self.clone())
    }
}

impl Librarian for Library {
    fn stop_words(&self) -> Vec<String> {
        self.asked.count();
        STOP_WORDS.map(str::to_owned).to_vec()
    }

    fn taken_in(&self, files: u64, words: u64) {
        self.asked.count();
        self.told.store(files, Ordering::Relaxed);
        self.progress
            .at("indexer", format_args!("has taken in {} files, {} words", grouped(files), grouped(words)));
    }
}

/// Feeds it the sources and asks for words, counting along.
pub(super) async fn act(
    run: &mut CellRun,
    library: &Library,
    sources: &Sources,
    progress: &Progress,
) -> Result<(), DemoError> {
    let index: IndexClient = run.cell.client();
    let stop_words: HashSet<String> = STOP_WORDS.map(str::to_owned).into();
    let mut own = Counts::default();
    let mut total = 0;
    for file in &sources.files {
        let expected = own.add(&file.text, &stop_words);
        let words = run.call("add", index.add(&file.text)).await?;
        run.check(format_args!("the words of {}", file.path), words, expected)?;
        total += words;
    }
    let files = sources.files.len() as u64;
    run.check("files that it told of", library.told.load(Ordering::Relaxed), files - files % STEP)?;
    run.check("calls to the host", run.asked.calls(), files / STEP + 1)?;
    progress.say(
        run.name,
        format_args!(
            "{} files in {}, {} words; it asked for the stop words and told how far it was {} times",
            grouped(files),
            sources.directory.display(),
            grouped(total),
            files / STEP,
        ),
    );
    let top = own.top(QUESTIONS);
    for &(word, count) in &top {
        let got = run.call("count", index.count(word)).await?;
        run.check(format_args!("the count of `{word}`"), got, count)?;
    }
    for word in STOP_WORDS.into_iter().chain(["no such word"]) {
        let got = run.call("count", index.count(word)).await?;
        run.check(format_args!("the count of `{word}`"), got, 0)?;
    }
    let expected: Vec<Entry> =
        top.iter().take(3).map(|&(word, count)| Entry { word: word.to_owned(), count }).collect();
    let got = run.call("top", index.top(3)).await?;
    let most: Vec<String> =
        got.iter().map(|entry| format!("{} {}", entry.word, grouped(entry.count))).collect();
    run.check("the most frequent words", got, expected)?;
    progress.say(
        run.name,
        format_args!(
            "asked for {} of {} words ({}, …): all as the host counts them itself",
            grouped(top.len() as u64),
            grouped(own.distinct() as u64),
            most.join(", "),
        ),
    );
    Ok(())
}
