//! What is done with what detectors find in a text.
//!
//! Owns the placeholders that take the place of matches, and the counts. Must not know where a text comes from.

use std::collections::BTreeSet;
use std::ops::Range;

use gateway_model_text::{Changes, Check, Text};

use crate::config::{Mode, Rules};
use crate::moderation::{Moderation, Verdict};
use crate::report::Direction;
use crate::vault::{Request, Vault, label};

/// How often each detector matched.
pub(crate) type Counts = Vec<(usize, u32)>;

/// The texts of a request.
pub(crate) struct Inbound<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) except: &'a BTreeSet<String>,
    pub(crate) vault: &'a mut Vault,
    /// The request, in which no placeholder must be before.
    pub(crate) request: Request<'a>,
    pub(crate) counts: Counts,
    /// The detector that stops it.
    pub(crate) blocked: Option<usize>,
}

/// The texts of an answer.
pub(crate) struct Outbound<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) except: &'a BTreeSet<String>,
    pub(crate) vault: &'a Vault,
    pub(crate) message: &'a str,
    /// Who is asked about the text of a stream.
    pub(crate) windows: Option<&'a Moderation>,
    /// What it has seen: the end of it, or all where it is asked at the end.
    pub(crate) said: String,
    pub(crate) counts: Counts,
    pub(crate) blocked: Option<usize>,
}

fn count(counts: &mut Counts, detector: usize) {
    match counts.iter_mut().find(|(known, _)| *known == detector) {
        Some((_, count)) => *count += 1,
        None => counts.push((detector, 1)),
    }
}

impl Check for Inbound<'_> {
    fn check(&mut self, text: &Text<'_>, changes: &mut Changes) {
        let (rules, except) = (self.rules, self.except);
        let until = rules.set.read(text.before, text.text, text.is_end, |detector, range| {
            let value = &text.text[range.clone()];
            if except.contains(value) {
                return;
            }
            count(&mut self.counts, detector);
            match rules.modes[detector] {
                Mode::Report => {}
                Mode::Redact => changes.replace(range, redacted(&rules.names[detector])),
                Mode::Mask => {
                    let placeholder =
                        self.vault.placeholder(&rules.names[detector], value, &mut self.request);
                    changes.replace(
                        range,
                        placeholder.unwrap_or_else(|| redacted(&rules.names[detector])),
                    );
                }
                Mode::Block => {
                    self.blocked.get_or_insert(detector);
                }
            }
        });
        if self.blocked.is_some() {
            changes.stop(String::new());
        }
        changes.wait_from(until);
    }
}

impl Check for Outbound<'_> {
    fn check(&mut self, text: &Text<'_>, changes: &mut Changes) {
        let mut found = Found::default();
        let back = self.vault.find(text.text, text.is_end, |range, value| {
            found.edits.push((range, value.to_owned()))
        });
        found.put_back = found.edits.len();
        let seen = self.detect(text, &mut found);
        let until = back.min(seen);
        if let Some(moderation) = self.windows.filter(|_| self.blocked.is_none())
            && !self.judge(moderation, text, until, &mut found, changes)
        {
            return changes.wait_from(0);
        }
        for (detector, times) in found.counts {
            (0..times).for_each(|_| count(&mut self.counts, detector));
        }
        if let Some(detector) = self.blocked {
            changes.stop(self.message.replace("{reason}", &reason(&self.rules.names[detector])));
        }
        found.edits.sort_by_key(|(range, _)| range.start);
        for (range, with) in found.edits {
            changes.replace(range, with);
        }
        changes.wait_from(until);
    }
}

/// What there is in a text.
#[derive(Default)]
struct Found {
    edits: Vec<(Range<usize>, String)>,
    /// How many of the edits put back what the client said.
    put_back: usize,
    counts: Counts,
}

impl Outbound<'_> {
    /// What the detectors find. Returns from where on they need more.
    fn detect(&mut self, text: &Text<'_>, found: &mut Found) -> usize {
        let (rules, except) = (self.rules, self.except);
        let Found { edits, put_back, counts } = found;
        rules.set.read(text.before, text.text, text.is_end, |detector, range| {
            if except.contains(&text.text[range.clone()]) {
                return;
            }
            count(counts, detector);
            match rules.modes[detector] {
                Mode::Report | Mode::Mask => {}
                Mode::Redact => {
                    let back = &edits[..*put_back];
                    let next = back.partition_point(|(it, _)| it.end <= range.start);
                    if back.get(next).is_none_or(|(it, _)| range.end <= it.start) {
                        edits.push((range, redacted(&rules.names[detector])));
                    }
                }
                Mode::Block => {
                    self.blocked.get_or_insert(detector);
                }
            }
        })
    }

    /// Asks moderation about what would be passed on, once that is a window or the end of the text: about what the model
    /// said, without what is redacted of it, and before what the client said comes back. `false` if it is not time yet.
    fn judge(
        &mut self,
        moderation: &Moderation,
        text: &Text<'_>,
        until: usize,
        found: &mut Found,
        changes: &mut Changes,
    ) -> bool {
        let Some(window) = moderation.window() else {
            self.said.push_str(&text.text[..until]);
            keep_end(&mut self.said, MOST_SAID);
            return true;
        };
        if until == 0 || until < window && !text.is_end {
            return until == 0;
        }
        let mut said = text.text[..until].to_owned();
        let redacted = found.edits[found.put_back..].iter().filter(|(range, _)| range.end <= until);
        let mut redacted: Vec<_> = redacted.collect();
        redacted.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
        for (range, with) in redacted {
            said.replace_range(range.clone(), with);
        }
        match moderation.judge(Direction::Output, &self.said, std::slice::from_ref(&said)) {
            Verdict::Allow => {}
            Verdict::Block(reason) => changes.stop(self.message.replace("{reason}", &reason)),
            Verdict::Replace(texts) => {
                let mut with = texts.into_iter().next().unwrap_or_default();
                let mut back = Vec::new();
                self.vault.find(&with, true, |range, value| back.push((range, value.to_owned())));
                for (range, value) in back.into_iter().rev() {
                    with.replace_range(range, &value);
                }
                found.edits.retain(|(range, _)| range.start >= until);
                found.edits.push((0..until, with));
            }
        }
        self.said.push_str(&said);
        keep_end(&mut self.said, window / 4);
        true
    }
}

/// The most that is kept of a stream about which moderation is asked at the end, in bytes.
const MOST_SAID: usize = 64 << 10;

/// Cuts what is too long at its front.
fn keep_end(text: &mut String, most: usize) {
    let mut from = text.len().saturating_sub(most);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text.drain(..from);
}

fn redacted(detector: &str) -> String {
    format!("[{}]", label(detector))
}

/// What is said to people of what was found; never what it was.
pub(crate) fn reason(detector: &str) -> String {
    let article = if detector.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
    format!("it has {article} {}", detector.replace('-', " "))
}
