//! Regular expressions of a user's own: bounded, so that a stream is never held back for long.

use std::cell::RefCell;

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::util::{start, syntax};
use regex_automata::{Anchored, MatchKind};
use regex_syntax::hir::{Hir, Look};

use crate::cursor::{Found, More};

/// The longest match that a pattern may have, in bytes.
pub const LONGEST_PATTERN: usize = 1024;

/// A pattern.
pub struct Pattern {
    automaton: DFA,
    cache: RefCell<Cache>,
    longest: usize,
    starts: [bool; 256],
}

/// Why a regular expression is no pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatternError {
    /// It is none: what is wrong, in one line.
    Syntax(String),
    /// It matches a text without a length.
    Empty,
    /// It can match more than the longest that is allowed; `None` if there is no bound at all.
    TooLong(Option<usize>),
    /// It looks at the words of all languages, for which no automaton is made here.
    UnicodeWord,
    /// It is too large.
    TooLarge,
}

impl std::fmt::Display for PatternError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Syntax(why) => write!(f, "this is no regular expression: {why}"),
            Self::Empty => {
                f.write_str("this matches the empty text; it has to match at least one character")
            }
            Self::TooLong(None) => write!(
                f,
                "this can match a text of any length, for which a stream would be held back without end; write a bound such as `{{1,40}}` in place of `+` or `*`"
            ),
            Self::TooLong(Some(longest)) => write!(
                f,
                "this can match {longest} bytes, for which a stream would be held back; at most {LONGEST_PATTERN} are allowed"
            ),
            Self::UnicodeWord => f.write_str(
                r"`\b` asks for the words of all languages; write `(?-u:\b)` for those of ASCII",
            ),
            Self::TooLarge => f.write_str("this is too large to be compiled; write smaller bounds"),
        }
    }
}

impl Pattern {
    /// Compiles a regular expression (in the syntax of Rust's `regex`).
    ///
    /// # Errors
    /// If it is none, or one that is not bounded.
    pub fn new(expression: &str) -> Result<Self, PatternError> {
        let hir = regex_syntax::Parser::new().parse(expression).map_err(|error| {
            let text = error.to_string();
            let why = text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
            PatternError::Syntax(why.to_owned())
        })?;
        let longest = Self::bounds(&hir)?;
        let automaton = DFA::builder()
            .syntax(syntax::Config::new())
            .thompson(regex_automata::nfa::thompson::Config::new().nfa_size_limit(Some(1 << 20)))
            .configure(DFA::config().match_kind(MatchKind::LeftmostFirst).cache_capacity(1 << 20))
            .build(expression)
            .map_err(|_| PatternError::TooLarge)?;
        let mut cache = automaton.create_cache();
        let mut starts = [false; 256];
        for (byte, starts) in (0..=u8::MAX).zip(starts.iter_mut()) {
            *starts = can_start(&automaton, &mut cache, byte).unwrap_or(true);
        }
        Ok(Self { automaton, cache: RefCell::new(cache), longest, starts })
    }

    fn bounds(hir: &Hir) -> Result<usize, PatternError> {
        let known = hir.properties();
        let looks = known.look_set();
        let words = [
            Look::WordUnicode,
            Look::WordUnicodeNegate,
            Look::WordStartUnicode,
            Look::WordEndUnicode,
            Look::WordStartHalfUnicode,
            Look::WordEndHalfUnicode,
        ];
        if words.into_iter().any(|word| looks.contains(word)) {
            return Err(PatternError::UnicodeWord);
        }
        if known.minimum_len().is_none_or(|least| least == 0) {
            return Err(PatternError::Empty);
        }
        match known.maximum_len() {
            Some(longest) if longest <= LONGEST_PATTERN => Ok(longest),
            longest => Err(PatternError::TooLong(longest)),
        }
    }

    pub(crate) fn can_start(&self, byte: u8) -> bool {
        self.starts[usize::from(byte)]
    }

    pub(crate) fn longest(&self) -> usize {
        self.longest + 1
    }

    /// The match that begins at a byte of the text.
    pub(crate) fn find(
        &self,
        text: &str,
        at: usize,
        before: Option<u8>,
        is_end: bool,
    ) -> Result<Option<Found>, More> {
        if !text.is_char_boundary(at) {
            return Ok(None);
        }
        // An automaton whose cache overflows again and again gives up; nothing is found then, which a bound on its
        // size makes as good as impossible.
        self.walk(text, at, before, is_end).unwrap_or(Ok(None))
    }

    fn walk(
        &self,
        text: &str,
        at: usize,
        before: Option<u8>,
        is_end: bool,
    ) -> Option<Result<Option<Found>, More>> {
        let cache = &mut *self.cache.borrow_mut();
        let start = start::Config::new().anchored(Anchored::Yes).look_behind(before);
        let mut state = self.automaton.start_state(cache, &start).ok()?;
        let mut found = None;
        let rest = &text.as_bytes()[at..];
        for (offset, byte) in rest.iter().enumerate() {
            state = self.automaton.next_state(cache, state, *byte).ok()?;
            if state.is_match() {
                // A match is known one byte later.
                found = Some(0..offset);
            }
            if state.is_dead() {
                return Some(Ok(found));
            }
            if state.is_quit() {
                return None;
            }
        }
        if !is_end {
            return Some(Err(More));
        }
        state = self.automaton.next_eoi_state(cache, state).ok()?;
        if state.is_match() {
            found = Some(0..rest.len());
        }
        Some(Ok(found))
    }
}

/// Whether a match can begin with a byte, whatever stands before it.
fn can_start(automaton: &DFA, cache: &mut Cache, byte: u8) -> Option<bool> {
    for before in [None, Some(b'a'), Some(b' '), Some(b'\n'), Some(b'\r')] {
        let start = start::Config::new().anchored(Anchored::Yes).look_behind(before);
        let state = automaton.start_state(cache, &start).ok()?;
        let next = automaton.next_state(cache, state, byte).ok()?;
        if !next.is_dead() {
            return Some(true);
        }
    }
    Some(false)
}
