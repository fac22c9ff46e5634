//! Findings as text with the lines of the file, and as JSON.
//!
//! Owns the look of messages, and that no secret that is written in the file is in them: the log has them too. What may
//! be one is told by `mask`. Whether colours are wanted is the caller's to know.

use std::borrow::Cow;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};

use super::{Diagnostic, Diagnostics, Severity, mask};
use crate::config::Source;
use crate::config::secret_names::in_urls;

impl Diagnostics {
    /// Everything as text: message, place, the line with a caret, notes and advice, one after
    /// another with an empty line between them, and a summary at the end.
    pub fn render(&self, colour: bool) -> String {
        if self.is_empty() {
            return String::new();
        }
        let lines = self.without_secrets();
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for diagnostic in self {
            let diagnostic = without_users(diagnostic);
            text.push_str(&renderer.render(&[group(&self.source, &lines, &diagnostic)]));
            text.push_str("\n\n");
        }
        let more = self.untold.iter().sum::<usize>();
        if more > 0 {
            text.push_str(&format!("and {more} more\n\n"));
        }
        text.push_str(&self.summary());
        text
    }

    /// The lines of the file with a `*` for each byte of what may be a secret: all other bytes keep their places.
    fn without_secrets(&self) -> String {
        let mut bytes = self.source.text().as_bytes().to_vec();
        let told = self.iter().filter_map(|finding| finding.hidden.clone());
        for place in mask::hidden(self.source.text()).into_iter().chain(told) {
            let hidden = bytes.get_mut(place).unwrap_or_default();
            hidden.iter_mut().filter(|byte| !byte.is_ascii_whitespace()).for_each(|it| *it = b'*');
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// One line that counts: `gateway.toml: 2 errors, 1 warning`.
    pub fn summary(&self) -> String {
        let count = |severity, one: &str| {
            let told = self.iter().filter(|finding| finding.severity == severity).count();
            match told + self.untold[severity as usize] {
                0 => None,
                1 => Some(format!("1 {one}")),
                number => Some(format!("{number} {one}s")),
            }
        };
        let counts = [count(Severity::Error, "error"), count(Severity::Warning, "warning")];
        let counts = counts.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let counts = if counts.is_empty() { "no findings".to_owned() } else { counts };
        format!("{}: {counts}", self.source.path().display())
    }

    /// Each finding as one JSON object: `severity`, `message`, `file`, `line`, `column` (both from
    /// 1, null for the file as a whole), `label`, `notes`, `help`, `related`.
    pub fn to_json(&self) -> Vec<Value> {
        self.iter().map(|it| object(&self.source, &without_users(it))).collect()
    }
}

/// The same with every text of it masked.
fn without_users(diagnostic: &Diagnostic) -> Diagnostic {
    let mut diagnostic = diagnostic.clone();
    let Diagnostic { message, label, related, notes, help, .. } = &mut diagnostic;
    let texts = [message].into_iter().chain(label).chain(notes).chain(help);
    for text in texts.chain(related.iter_mut().map(|(_, label)| label)) {
        *text = masked(text).into_owned();
    }
    diagnostic
}

/// A text with a `*` for each byte of what stands before an `@` in a URL.
fn masked(text: &str) -> Cow<'_, str> {
    let hidden = in_urls(text);
    if hidden.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut bytes = text.as_bytes().to_vec();
    hidden.into_iter().for_each(|place| bytes[place].fill(b'*'));
    // Whole letters were overwritten, so that nothing is lost here.
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

fn group<'a>(source: &'a Source, lines: &'a str, diagnostic: &'a Diagnostic) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let group = level.primary_title(&*diagnostic.message);
    let group = match &diagnostic.span {
        Some(span) => group.element(
            Snippet::source(lines)
                .path(source.path().display().to_string())
                .annotation(annotation(source, AnnotationKind::Primary, span, &diagnostic.label))
                .annotations(diagnostic.related.iter().map(|(span, label)| {
                    AnnotationKind::Context.span(source.on_first_line(span)).label(&**label)
                })),
        ),
        None => group.element(Origin::path(source.path().display().to_string())),
    };
    group
        .elements(diagnostic.notes.iter().map(|note| Level::NOTE.message(&**note)))
        .elements(diagnostic.help.iter().map(|help| Level::HELP.message(&**help)))
}

fn annotation<'a>(
    source: &Source,
    kind: AnnotationKind,
    span: &super::Span,
    label: &'a Option<String>,
) -> Annotation<'a> {
    kind.span(source.on_first_line(span)).label(label.as_deref())
}

fn object(source: &Source, diagnostic: &Diagnostic) -> Value {
    let position = diagnostic.span.as_ref().map(|span| source.position(span.start));
    let related = diagnostic.related.iter().map(|(span, label)| {
        let position = source.position(span.start);
        json!({ "line": position.line, "column": position.column, "message": label })
    });
    json!({
        "severity": match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        "message": diagnostic.message,
        "file": source.path().display().to_string(),
        "line": position.map(|position| position.line),
        "column": position.map(|position| position.column),
        "label": diagnostic.label,
        "notes": diagnostic.notes,
        "help": diagnostic.help,
        "related": related.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn show(text: &str, what: &str) -> String {
        let source = Arc::new(Source::new("dir/gateway.toml", text));
        let start = source.text().find(what).expect("it is there");
        let mut findings = Diagnostics::new(source);
        findings
            .push(Diagnostic::error(start..start + what.len(), "bad").label("here").help("fix"));
        findings.render(false)
    }

    #[test]
    fn puts_the_caret_under_the_word_behind_tabs_and_wide_letters() {
        assert_eq!(
            show("a = 1\n\t\"ß日\" = bad # ü\n", "bad"),
            "error: bad\n --> dir/gateway.toml:2:9\n  |\n2 |     \"ß日\" = bad # ü\n  |             \
             ^^^ here\n  |\n  = help: fix\n\ndir/gateway.toml: 1 error"
        );
    }

    #[test]
    fn keeps_a_span_of_many_lines_to_its_first() {
        let text = show("[[routes]]\r\nname = 1\r\n", "[[routes]]\r\nname = 1");
        assert!(text.contains("1 | [[routes]]\n  | ^^^^^^^^^^ here\n"), "{text}");
        assert!(!text.contains("name = 1"), "{text}");
    }

    #[test]
    fn masks_what_stands_before_an_at_in_a_url_wherever_it_is_shown() {
        let text = show("a = \"redis://ada:hün/t@er2@h:1/0\" # bad\n", "bad");
        let expected = "1 | a = \"redis://**************@h:1/0\" # bad\n  |                                      ^^^ here";
        assert!(text.contains(expected), "{text}");
        let source = Arc::new(Source::new("a.toml", "a = \"redis://:hunter2@h\"\n"));
        let mut findings = Diagnostics::new(source);
        let words = "`redis://:hunter2@h` and https://u:hunter2@i";
        let finding = Diagnostic::error(5..23, words).label(words).note(words).help(words);
        findings.push(finding.related(0..1, words));
        let all = findings.render(false) + &findings.to_json()[0].to_string();
        assert!(!all.contains("hunter2") && all.contains("redis://********@h"), "{all}");
        assert!(all.contains("https://*********@i"), "{all}");
        assert_eq!(
            masked("see https://example.com/a, or a@b"),
            "see https://example.com/a, or a@b"
        );
    }

    #[test]
    fn colours_only_when_asked() {
        let mut findings = Diagnostics::new(Arc::new(Source::new("a.toml", "x")));
        findings.push(Diagnostic::error(0..1, "bad"));
        assert!(findings.render(true).contains('\u{1b}'));
        assert!(!findings.render(false).contains('\u{1b}'));
    }

    #[test]
    fn shows_a_finding_about_the_whole_file_without_a_line() {
        let mut findings = Diagnostics::new(Arc::new(Source::new("a.toml", "")));
        findings.push(Diagnostic::file_error("it is gone"));
        assert_eq!(findings.render(false), "error: it is gone\n--> a.toml\n\na.toml: 1 error");
        assert_eq!(findings.to_json()[0]["line"], Value::Null);
    }

    #[test]
    fn gives_machines_the_same_place_as_people() {
        let mut findings = Diagnostics::new(Arc::new(Source::new("a.toml", "ä = 1\nb = 2\n")));
        findings.push(Diagnostic::warning(11..12, "odd").help("change it").related(0..2, "this"));
        assert_eq!(
            findings.to_json(),
            [json!({
                "severity": "warning", "message": "odd", "file": "a.toml", "line": 2, "column": 5,
                "label": null, "notes": [], "help": ["change it"],
                "related": [{ "line": 1, "column": 1, "message": "this" }],
            })]
        );
    }
}
