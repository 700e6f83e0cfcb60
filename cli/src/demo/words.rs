//! What a word is, and how often each one is there.

use std::collections::{HashMap, HashSet};

/// Words that are not worth indexing.
pub(super) const STOP_WORDS: [&str; 20] = [
    "a", "an", "and", "are", "as", "be", "by", "for", "from", "in", "is", "it", "not", "of", "on", "or",
    "that", "the", "to", "with",
];

/// The words of `text`: runs of letters, digits and underscores, in lower case.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

/// How often each word was seen.
#[derive(Debug, Default)]
pub(super) struct Counts {
    counts: HashMap<String, u64>,
}

impl Counts {
    /// Counts the words of `text`, those to be left out aside. How many words it has, those included.
    pub(super) fn add(&mut self, text: &str, left_out: &HashSet<String>) -> u64 {
        let mut all = 0;
        for word in words(text) {
            all += 1;
            if !left_out.contains(&word) {
                *self.counts.entry(word).or_default() += 1;
            }
        }
        all
    }

    /// How often `word` was seen.
    pub(super) fn of(&self, word: &str) -> u64 {
        self.counts.get(word).copied().unwrap_or(0)
    }

    /// How many different words were seen.
    pub(super) fn distinct(&self) -> usize {
        self.counts.len()
    }

    /// The most frequent words, at most `most` of them; of equally frequent ones the first in the alphabet first.
    pub(super) fn top(&self, most: usize) -> Vec<(&str, u64)> {
        let mut all: Vec<(&str, u64)> = self.counts.iter().map(|(word, &count)| (&**word, count)).collect();
        all.sort_unstable_by(|(a, more), (b, less)| less.cmp(more).then(a.cmp(b)));
        all.truncate(most);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_letters_digits_and_underscores() {
        let found: Vec<String> = words("let It_2 = Größe::new(0x1f); // ÉTÉ!").collect();
        assert_eq!(found, ["let", "it_2", "größe", "new", "0x1f", "été"]);
        assert_eq!(words(" \n--").count(), 0);
    }

    #[test]
    fn counts_leave_out_what_they_are_told_to_but_not_from_the_total() {
        let mut counts = Counts::default();
        let left_out = HashSet::from([String::from("the")]);
        assert_eq!(counts.add("The ring, the Bell", &left_out), 4);
        assert_eq!(counts.add("a ring", &left_out), 2);
        assert_eq!([counts.of("ring"), counts.of("bell"), counts.of("the"), counts.of("link")], [2, 1, 0, 0]);
        assert_eq!(counts.distinct(), 3);
        assert_eq!(counts.top(2), [("ring", 2), ("a", 1)]);
        assert_eq!(counts.top(9).len(), 3);
    }
}
