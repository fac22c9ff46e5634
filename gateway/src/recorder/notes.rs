//! What plugins say about one exchange: the lines that they write to the log, and why they refuse.
//!
//! Owns the bounds: a record is as large as it is, whatever a plugin says. Must not decide whether a line goes to the log.

use std::time::Instant;

use serde::Serialize;

use super::Hook;

/// By convention the attribute in which a plugin says why it refuses. It is for those who run the gateway, and no
/// client sees it.
pub(crate) const REASON: &str = "refusal.reason";

/// Lines of one hook, and of one exchange: the last ones.
const MOST_LINES: usize = 8;
/// Bytes of a line, and of a reason.
const MOST_BYTES: usize = 512;
/// Reasons of one exchange.
const MOST_REASONS: usize = 8;

/// A line that a plugin wrote to the log.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) at: Instant,
    pub(crate) level: &'static str,
    pub(crate) text: Box<str>,
}

/// The last lines that a hook wrote.
#[derive(Debug, Default)]
pub(crate) struct Written {
    lines: Vec<Line>,
    omitted: u32,
}

impl Written {
    /// One more line, of which only the beginning is kept.
    pub(crate) fn push(&mut self, level: &'static str, text: &str) {
        if self.lines.len() == MOST_LINES {
            self.lines.remove(0);
            self.omitted = self.omitted.saturating_add(1);
        }
        self.lines.push(Line { at: Instant::now(), level, text: cut(text).into() });
    }

    /// What a hook that refuses most probably said about it.
    pub(crate) fn last(&self) -> Option<&str> {
        let says = |line: &&Line| !matches!(line.level, "trace" | "debug");
        let line = self.lines.iter().rev().find(says).or(self.lines.last());
        line.map(|line| &*line.text)
    }
}

/// What the plugins of an exchange said. Most say nothing.
#[derive(Debug, Default)]
pub(super) struct Notes {
    lines: Vec<(u16, Hook, Line)>,
    lines_omitted: u32,
    reasons: Vec<(u16, Hook, Box<str>)>,
}

impl Notes {
    pub(super) fn wrote(&mut self, plugin: u16, hook: Hook, written: Written) {
        self.lines_omitted = self.lines_omitted.saturating_add(written.omitted);
        self.lines.extend(written.lines.into_iter().map(|line| (plugin, hook, line)));
        let surplus = self.lines.len().saturating_sub(MOST_LINES);
        self.lines.drain(..surplus);
        let surplus = u32::try_from(surplus).unwrap_or(u32::MAX);
        self.lines_omitted = self.lines_omitted.saturating_add(surplus);
    }

    pub(super) fn reason(&mut self, plugin: u16, hook: Hook, reason: &str) {
        self.reasons.retain(|(by, of, _)| (*by, *of) != (plugin, hook));
        if self.reasons.len() < MOST_REASONS {
            self.reasons.push((plugin, hook, cut(reason).into()));
        }
    }

    pub(super) fn reason_of(&self, plugin: u16, hook: Hook) -> Option<&str> {
        let found = self.reasons.iter().find(|(by, of, _)| (*by, *of) == (plugin, hook));
        found.map(|(.., reason)| &**reason)
    }

    /// Each line with its plugin and hook, and how many had no room.
    pub(super) fn lines(&self) -> (&[(u16, Hook, Line)], u32) {
        (&self.lines, self.lines_omitted)
    }
}

/// A line in a record.
#[derive(Debug, Serialize)]
pub(crate) struct LineRecord {
    pub(crate) plugin: String,
    pub(crate) hook: &'static str,
    pub(crate) at_ns: u64,
    /// `trace`, `debug`, `info`, `warn` or `error`.
    pub(crate) level: &'static str,
    pub(crate) text: String,
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MOST_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_lines_of_a_hook_and_of_an_exchange_and_counts_the_others() {
        let mut notes = Notes::default();
        for hook in [Hook::OnRequest, Hook::OnResponse] {
            let mut written = Written::default();
            for line in 0..MOST_LINES + 3 {
                written.push("info", &format!("{line}"));
            }
            notes.wrote(0, hook, written);
        }
        let (lines, omitted) = notes.lines();
        assert_eq!(lines.len(), MOST_LINES);
        assert!(lines.iter().all(|(_, hook, _)| *hook == Hook::OnResponse));
        assert_eq!(&*lines[MOST_LINES - 1].2.text, "10");
        assert_eq!(omitted as usize, 2 * 3 + MOST_LINES);
    }

    #[test]
    fn a_line_and_a_reason_are_cut_between_characters() {
        let mut written = Written::default();
        written.push("warn", &"ä".repeat(MOST_BYTES));
        assert_eq!(written.last().unwrap().len(), MOST_BYTES);
        let mut notes = Notes::default();
        notes.reason(1, Hook::OnRequest, &format!("x{}", "ä".repeat(MOST_BYTES)));
        assert_eq!(notes.reason_of(1, Hook::OnRequest).unwrap().len(), MOST_BYTES - 1);
        assert_eq!(notes.reason_of(1, Hook::OnResponse), None);
    }

    #[test]
    fn the_line_that_explains_a_refusal_is_no_detail_for_finding_faults_where_there_is_another() {
        let mut written = Written::default();
        written.push("info", "refused");
        written.push("debug", "took 3 steps");
        assert_eq!(written.last(), Some("refused"));
        let mut detail = Written::default();
        detail.push("debug", "took 3 steps");
        assert_eq!(detail.last(), Some("took 3 steps"));
    }
}
