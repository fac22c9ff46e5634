//! Files that are no configuration, or nearly one.
//!
//! Owns what holds of everything that is read: it is refused with a reason at a place that exists, or it
//! runs; never both, and never neither.

use gateway_fuzz::Target;

use super::{Severity, check};

const TOKENS: &[&str] = &[
    "\n",
    "\r\n",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "\"",
    "'",
    "\"\"\"",
    "#",
    "\\",
    "\\u00e9",
    "é",
    "\u{feff}",
    "“",
    "true",
    "0x",
    "1979-05-27",
    "1e400",
    "-1",
    "99999999999999999999",
    "\"5s\"",
    "\"1MiB\"",
    "${env:",
    "${file:/nowhere}",
    "${env:SECRET}",
    "}",
    "{id}",
    "{*rest}",
    "[[routes]]\n",
    "[[listeners]]\n",
    "[plugins.p]\n",
    "[upstreams.u]\n",
    "name = \"r\"\n",
    "upstream = \"u\"\n",
    "plugins = [\"p\"]\n",
];

#[test]
fn a_file_is_refused_at_a_place_that_exists_or_runs() {
    let (mut refused, mut ran) = (0, 0);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/config");
    Target::new(folder, TOKENS).check(|input| {
        let Ok(text) = std::str::from_utf8(input) else { return };
        let diagnostics = match check(text) {
            Ok(loaded) => {
                ran += 1;
                assert!(!loaded.warnings.has_errors());
                loaded.warnings
            }
            Err(diagnostics) => {
                refused += 1;
                assert!(diagnostics.has_errors(), "refused without a reason");
                diagnostics
            }
        };
        let text = diagnostics.source().text();
        for finding in diagnostics.iter() {
            let places = finding.related.iter().map(|(span, _)| span).chain(&finding.span);
            for span in places {
                assert!(text.get(span.clone()).is_some(), "{span:?}: {}", finding.message);
            }
            assert!(!finding.message.is_empty());
        }
        let errors = diagnostics.iter().filter(|it| it.severity == Severity::Error).count();
        assert_eq!(errors > 0, diagnostics.has_errors());
        assert_eq!(diagnostics.to_json().len(), diagnostics.iter().count());
        let rendered = diagnostics.render(false);
        assert_eq!(rendered.is_empty(), diagnostics.is_empty());
        assert!(!rendered.contains("hunter2"), "a secret is shown");
    });
    assert!(refused > 3 && ran > 0, "{refused} refused, {ran} ran");
}
