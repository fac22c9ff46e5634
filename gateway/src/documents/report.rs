//! What plugins find wrong in documents.
//!
//! Owns how that is told: with the line of a file and a caret, as the faults of a configuration are, for `gateway check` and for
//! the log. Must not read what a document means: what is wrong with it is the plugin's to know.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::config::{self, Diagnostic, Diagnostics, DocumentSource, Severity, Source};

/// Faults that one record of the log has.
const MAX_LOGGED: usize = 10;

/// Something wrong in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Bytes of the content; `None` for the whole.
    pub(crate) place: Option<Range<usize>>,
    /// What is wrong.
    pub(crate) message: String,
    /// What can be done about it.
    pub(crate) help: Option<String>,
}

/// What a plugin has found wrong in one version.
#[derive(Debug, Clone)]
pub(super) struct Report {
    pub(super) plugin: Box<str>,
    pub(super) version: u64,
    /// Whether the plugin goes on with an earlier version.
    pub(super) is_refused: bool,
    pub(super) faults: Arc<[Fault]>,
    /// What that version says.
    pub(super) bytes: Bytes,
}

impl Report {
    /// Whether it says the same of the same version.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.version, self.is_refused, &self.faults)
            == (other.version, other.is_refused, &other.faults)
    }

    /// Writes it to the log. `before`: a plugin that has said the same. `has_earlier`: whether the plugin has found an earlier
    /// version right.
    pub(super) fn log(
        &self,
        definition: &config::Document,
        before: Option<&str>,
        has_earlier: bool,
    ) {
        let (plugin, version, name) = (&*self.plugin, self.version, &*definition.name);
        let outcome = match (self.is_refused, has_earlier) {
            (true, true) => "cannot be read, and the last one without a fault stays in force",
            (true, false) => "cannot be read, and there is none without a fault yet",
            (false, _) => "is taken, although something in it is wrong",
        };
        if let Some(before) = before {
            let told = "for the reasons that are told of plugin";
            tracing::warn!(plugin, version, "the document {name:?} {outcome}, {told} `{before}`");
            return;
        }
        let told = told(definition, std::slice::from_ref(self), MAX_LOGGED);
        tracing::warn!(plugin, version, "the document {name:?} {outcome}:\n{told}");
    }
}

/// All that plugins say of a document. What several say is told once.
pub(super) fn told(definition: &config::Document, reports: &[Report], most: usize) -> Diagnostics {
    let bytes = reports.first().map(|report| report.bytes.clone()).unwrap_or_default();
    let mut distinct: Vec<(&Fault, bool, Vec<&str>)> = Vec::new();
    for report in reports {
        for fault in &*report.faults {
            let is_same = |(known, is_refused, _): &&mut (&Fault, bool, Vec<&str>)| {
                *known == fault && *is_refused == report.is_refused
            };
            match distinct.iter_mut().find(is_same) {
                Some((_, _, plugins)) => plugins.push(&report.plugin),
                None => distinct.push((fault, report.is_refused, vec![&report.plugin])),
            }
        }
    }
    distinct.sort_by_key(|(fault, ..)| fault.place.as_ref().map(|place| place.start));
    let severity = |is_refused| if is_refused { Severity::Error } else { Severity::Warning };
    let untold = distinct.split_off(most.min(distinct.len()));
    let source = Arc::new(Source::new(place(definition), &String::from_utf8_lossy(&bytes)));
    // The text of a source does not have it.
    let mark = if bytes.starts_with("\u{feff}".as_bytes()) { '\u{feff}'.len_utf8() } else { 0 };
    let shows = matches!(definition.source, DocumentSource::File(_));
    let mut findings = Diagnostics::new(Arc::clone(&source));
    for (fault, is_refused, plugins) in distinct {
        let span = fault
            .place
            .as_ref()
            .map(|place| place.start.saturating_sub(mark)..place.end.saturating_sub(mark));
        let who = match *plugins {
            [plugin] => format!("plugin `{plugin}`"),
            _ => format!("plugins `{}`", plugins.join("`, `")),
        };
        let what = &fault.message;
        let finding = match span {
            Some(span) if shows => Diagnostic::error(span, format!("{who}: {what}")),
            Some(span) => {
                let at = source.position(span.start);
                let place = format!("line {}, column {}", at.line, at.column);
                Diagnostic::file_error(format!("{who}: {place}: {what}"))
            }
            None => Diagnostic::file_error(format!("{who}: {what}")),
        };
        let finding = Diagnostic { severity: severity(is_refused), ..finding };
        findings.push(fault.help.iter().fold(finding, |finding, help| finding.help(help)));
    }
    untold.into_iter().for_each(|(_, is_refused, _)| findings.leave_out(severity(is_refused)));
    findings
}

/// Where it comes from, as people read it.
fn place(definition: &config::Document) -> PathBuf {
    match &definition.source {
        DocumentSource::File(path) => path.clone(),
        DocumentSource::Remote(remote) => {
            format!("{} of the upstream `{}`", remote.path.path(), remote.upstream.name).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(plugin: &str, text: &str, what: &str, is_refused: bool) -> Report {
        let start = text.find(what).expect("it is there");
        let fault = Fault {
            place: Some(start..start + what.len()),
            message: "there is no variant \"onn\"".to_owned(),
            help: Some("did you mean \"on\"?".to_owned()),
        };
        let (faults, bytes) = (vec![fault].into(), Bytes::from(text.to_owned()));
        Report { plugin: plugin.into(), version: 1, is_refused, faults, bytes }
    }

    fn file() -> config::Document {
        let source = DocumentSource::File("flags.json".into());
        config::Document {
            name: "flags".into(),
            source,
            size: 1 << 20,
            span: 0..0,
            shown: "flags.json".into(),
        }
    }

    #[test]
    fn what_several_plugins_find_is_told_once_and_with_the_line_of_the_file() {
        let text = "\u{feff}{\n  \"ü\": \"onn\"\n}";
        let reports = ["flags", "ofrep"].map(|plugin| report(plugin, text, "\"onn\"", true));
        assert_eq!(
            told(&file(), &reports, 9).to_string(),
            "error: plugins `flags`, `ofrep`: there is no variant \"onn\"\n --> flags.json:2:8\n  |\n2 |   \"ü\": \"onn\"\n  |        ^^^^^\n  \
             |\n  = help: did you mean \"on\"?\n\nflags.json: 1 error"
        );
    }

    #[test]
    fn the_first_in_the_document_are_told_and_the_others_counted_behind_them() {
        let text = "\"onn\"\n".repeat(5);
        let mut report = report("flags", &text, "\"onn\"", true);
        let at =
            |line: usize| Fault { place: Some(line * 6..line * 6 + 5), ..report.faults[0].clone() };
        report.faults = [4, 2, 0, 3, 1].map(at).into();
        let told = told(&file(), &[report], 2).to_string();
        let lines: Vec<_> = told.lines().filter(|line| line.contains("flags.json")).collect();
        assert_eq!(lines, [" --> flags.json:1:1", " --> flags.json:2:1", "flags.json: 5 errors"]);
        assert!(told.ends_with("\n\nand 3 more\n\nflags.json: 5 errors"), "{told}");
    }

    #[test]
    fn what_is_taken_is_a_warning_and_one_of_many_lines_is_cut_around_its_place() {
        let text = format!(
            "{{{}\"v\": \"onn\"{}}}",
            "\"a\": 1, ".repeat(10_000),
            ", \"z\": 1".repeat(10_000)
        );
        let told = told(&file(), &[report("flags", &text, "\"onn\"", false)], 9).to_string();
        assert!(told.starts_with("warning: plugin `flags`: there is no variant"), "{told}");
        assert!(told.contains("^^^^^") && told.contains("\"v\": \"onn\""), "{told}");
        assert!(told.len() < 2_000, "{told}");
    }
}
