//! Replacing text in bodies that arrive piece by piece.
//!
//! Owns finding several patterns at once, across the borders of chunks, with at most the longest
//! pattern less one byte held back. Works on bytes, so it does not matter where a character is
//! split. Of matches that begin at the same place the longest counts.

use aho_corasick::automaton::Automaton;
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Input, Match, MatchKind};

use crate::template::Template;
use crate::values::Values;

/// What is searched for, and what is put in its place.
#[derive(Debug)]
pub(crate) struct Replacer {
    /// Linear in the text for all patterns, and small beside a DFA.
    searcher: NFA,
    patterns: Vec<Vec<u8>>,
    replacements: Vec<Template>,
    /// Length of the longest pattern.
    longest: usize,
}

impl Replacer {
    /// Makes a replacer of patterns that are not empty. Fails if they are too many to build a
    /// searcher for.
    pub(crate) fn new(rules: Vec<(Vec<u8>, Template)>) -> Result<Self, String> {
        let (patterns, replacements): (Vec<_>, Vec<_>) = rules.into_iter().unzip();
        let searcher = NFA::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&patterns)
            .map_err(|error| error.to_string())?;
        let longest = patterns.iter().map(Vec::len).max().unwrap_or_default();
        Ok(Self { searcher, patterns, replacements, longest })
    }

    /// The indices of the references in what is put in.
    pub(crate) fn references(&self) -> impl Iterator<Item = usize> {
        self.replacements.iter().flat_map(Template::indices)
    }

    /// Takes a piece of the body and returns what goes on in its place; `None` means the piece as
    /// it is. `held` is what earlier pieces left behind, and takes what this one leaves behind.
    pub(crate) fn push(
        &self,
        held: &mut Vec<u8>,
        data: &[u8],
        is_last: bool,
        values: &Values,
    ) -> Option<Vec<u8>> {
        if held.is_empty() {
            let (out, rest) = self.replace(data, is_last, values);
            held.extend_from_slice(&data[rest..]);
            return match out {
                Some(out) => Some(out),
                None if rest < data.len() => Some(data[..rest].to_vec()),
                None => None,
            };
        }
        let mut joined = std::mem::take(held);
        joined.extend_from_slice(data);
        let (out, rest) = self.replace(&joined, is_last, values);
        held.extend_from_slice(&joined[rest..]);
        joined.truncate(rest);
        Some(out.unwrap_or(joined))
    }

    /// What is passed on, `None` if that is the text itself up to where the held rest begins; and
    /// where that is.
    fn replace(&self, text: &[u8], is_last: bool, values: &Values) -> (Option<Vec<u8>>, usize) {
        let mut out: Option<Vec<u8>> = None;
        let mut done = 0;
        let mut rest = self.pending(text, done, is_last);
        while let Some(found) = self.find(text, done) {
            // A match at or behind the rest may still turn out to be another, longer one.
            if found.start() >= rest {
                break;
            }
            let out = out.get_or_insert_with(|| Vec::with_capacity(text.len()));
            out.extend_from_slice(&text[done..found.start()]);
            match self.replacements[found.pattern()].fill(values) {
                Some(replacement) => out.extend_from_slice(replacement.as_bytes()),
                None => out.extend_from_slice(&text[found.range()]),
            }
            done = found.end();
            if rest < done {
                rest = self.pending(text, done, is_last);
            }
        }
        if let Some(out) = &mut out {
            out.extend_from_slice(&text[done..rest]);
        }
        (out, rest)
    }

    /// The first match from `from` on; of those the longest.
    fn find(&self, text: &[u8], from: usize) -> Option<Match> {
        self.searcher
            .try_find(&Input::new(text).range(from..))
            .expect("a searcher takes every input that is not anchored")
    }

    /// Where the first tail begins, from `from` on, that may be the beginning of a match.
    fn pending(&self, text: &[u8], from: usize, is_last: bool) -> usize {
        if is_last {
            return text.len();
        }
        let earliest = text.len().saturating_sub(self.longest.saturating_sub(1)).max(from);
        (earliest..text.len())
            .find(|&at| {
                let tail = &text[at..];
                self.patterns
                    .iter()
                    .any(|pattern| pattern.len() > tail.len() && pattern.starts_with(tail))
            })
            .unwrap_or(text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::{Direction, References};

    fn replacer(rules: &[(&str, &str)]) -> Replacer {
        let rules = rules.iter().map(|(find, replace)| {
            let mut references = References::default();
            let replace = Template::parse(replace, Direction::Request, &mut references).unwrap();
            (find.as_bytes().to_vec(), replace)
        });
        Replacer::new(rules.collect()).unwrap()
    }

    fn in_chunks<'a>(replacer: &Replacer, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let values = Values::default();
        let (mut held, mut out) = (Vec::new(), Vec::new());
        for chunk in chunks {
            let passed = replacer.push(&mut held, chunk, false, &values);
            out.extend(passed.unwrap_or_else(|| chunk.to_vec()));
            assert!(held.len() < replacer.longest, "holds back {} bytes", held.len());
        }
        out.extend(replacer.push(&mut held, b"", true, &values).unwrap_or_default());
        assert!(held.is_empty());
        out
    }

    /// The definition: at each place the longest pattern that is there, or one byte on.
    fn by_definition(rules: &[(&str, &str)], text: &[u8]) -> Vec<u8> {
        let (mut out, mut at) = (Vec::new(), 0);
        while at < text.len() {
            let here = rules.iter().filter(|(find, _)| text[at..].starts_with(find.as_bytes()));
            match here.max_by_key(|(find, _)| find.len()) {
                Some((find, replace)) => {
                    out.extend_from_slice(replace.as_bytes());
                    at += find.len();
                }
                None => {
                    out.push(text[at]);
                    at += 1;
                }
            }
        }
        out
    }

    /// A small generator (SplitMix64), so that a failure can be repeated from its seed.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
        }

        fn text(&mut self, longest: usize) -> String {
            let length = self.below(longest + 1);
            (0..length).map(|_| ['a', 'b', 'é', 'c'][self.below(4)]).collect()
        }
    }

    #[test]
    fn any_chunking_gives_what_the_whole_text_gives() {
        for seed in 0..4_000 {
            let mut random = Random(seed);
            let mut finds: Vec<String> = Vec::new();
            for _ in 0..=random.below(5) {
                let find = format!("{}{}", ['a', 'b', 'é'][random.below(3)], random.text(5));
                if !finds.contains(&find) {
                    finds.push(find);
                }
            }
            let replacements: Vec<String> = finds.iter().map(|_| random.text(4)).collect();
            let rules: Vec<(&str, &str)> = finds
                .iter()
                .map(String::as_str)
                .zip(replacements.iter().map(String::as_str))
                .collect();
            let text = random.text(60).into_bytes();
            let mut chunks = Vec::new();
            let mut rest = text.as_slice();
            while !rest.is_empty() {
                let (chunk, behind) = rest.split_at(1 + random.below(rest.len().min(12)));
                chunks.push(chunk);
                rest = behind;
            }
            let expected = by_definition(&rules, &text);
            let replacer = replacer(&rules);
            assert_eq!(in_chunks(&replacer, chunks), expected, "seed {seed}: {rules:?}");
            let whole = replacer.push(&mut Vec::new(), &text, true, &Values::default());
            assert_eq!(whole.unwrap_or(text), expected, "seed {seed}, whole: {rules:?}");
        }
    }

    #[test]
    fn a_chunk_without_a_match_passes_without_a_copy() {
        let replacer = replacer(&[("internal.example", "api.example.com")]);
        let mut held = Vec::new();
        assert_eq!(replacer.push(&mut held, b"nothing here", false, &Values::default()), None);
        assert!(held.is_empty());
        assert_eq!(replacer.push(&mut held, b"", true, &Values::default()), None);
    }

    #[test]
    fn holds_back_only_what_may_begin_a_match() {
        let replacer = replacer(&[("internal.example", "api")]);
        let values = Values::default();
        let mut held = Vec::new();
        let passed = replacer.push(&mut held, b"see inter", false, &values);
        assert_eq!((passed.as_deref(), held.as_slice()), (Some(&b"see "[..]), &b"inter"[..]));
        let passed = replacer.push(&mut held, b"nal.example!", false, &values);
        assert_eq!((passed.as_deref(), held.as_slice()), (Some(&b"api!"[..]), &b""[..]));
        let passed = replacer.push(&mut held, b"in", true, &values);
        assert_eq!((passed, held.as_slice()), (None, &b""[..]));
    }

    #[test]
    fn waits_for_the_longer_of_two_matches() {
        let replacer = replacer(&[("ab", "1"), ("abcd", "2")]);
        assert_eq!(in_chunks(&replacer, [&b"ab"[..], b"cd"]), b"2");
        assert_eq!(in_chunks(&replacer, [&b"ab"[..], b"cx"]), b"1cx");
        assert_eq!(in_chunks(&replacer, [&b"ab"[..]]), b"1");
    }

    #[test]
    fn does_not_search_what_it_put_in() {
        let replacer = replacer(&[("a", "ba"), ("b", "c")]);
        assert_eq!(in_chunks(&replacer, [&b"ab"[..], b"a"]), b"bacba");
    }
}
