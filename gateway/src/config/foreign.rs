//! Files that are no TOML.
//!
//! Owns their recognition: for a file of another format the error names the format, and not
//! where it differs from TOML. Only what can be no TOML is recognised.

use super::Source;
use super::diagnostic::Diagnostic;
use super::syntax;

/// What the gateway reads instead.
const TOML: &str = "the gateway reads TOML: tables are written `[gateway]` and `[[listeners]]`, and keys \
                    `name = \"public\"`";

/// The error that names the format, if it is another.
pub(super) fn format(source: &Source) -> Option<Diagnostic> {
    let text = source.text();
    let first =
        text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let start = text.find(first)?;
    if first.starts_with("-----BEGIN ") {
        // Without the line: it may be all of a key.
        return Some(
            Diagnostic::file_error("this is PEM, a key or a certificate, and not TOML").help(TOML),
        );
    }
    if let Some(conflict) = conflict(text)
        && syntax::is_broken(source)
    {
        return Some(conflict);
    }
    let what = if first.starts_with('{') || is_json_array(text) {
        "JSON"
    } else if first.starts_with('<') {
        "XML or HTML"
    } else if is_yaml(text, first) && syntax::is_broken(source) {
        "YAML"
    } else if first.ends_with('{') && syntax::is_broken(source) {
        return Some(
            told(start, first, "this is no TOML")
                .note("blocks in braces are written so elsewhere, as by nginx"),
        );
    } else {
        return None;
    };
    Some(told(start, first, &format!("this is {what}, and not TOML")))
}

/// What a merge leaves where two changes meet.
fn conflict(text: &str) -> Option<Diagnostic> {
    const BEGINS: &str = "<<<<<<< ";
    let line = |marker: &str| {
        let begins = text.starts_with(marker).then_some(0);
        begins.or_else(|| text.find(&format!("\n{marker}")).map(|at| at + 1))
    };
    let (start, end) = (line(BEGINS)?, line(">>>>>>> ")?);
    let length = text[start..].lines().next()?.len();
    let error =
        Diagnostic::error(start..start + length, "a conflict of a merge is not resolved here");
    Some(error.related(end..end + ">>>>>>>".len(), "it ends here").help(
        "keep one of the two sides, and remove the lines with `<<<<<<<`, `=======` and `>>>>>>>`",
    ))
}

fn told(start: usize, first: &str, message: &str) -> Diagnostic {
    let docs = "docs/configuration.md begins with the smallest file that runs";
    Diagnostic::error(start..start + first.len(), message).help(TOML).note(docs)
}

/// `[` begins a header of TOML too.
fn is_json_array(text: &str) -> bool {
    text.trim_start().starts_with('[')
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

fn is_yaml(text: &str, first: &str) -> bool {
    let is_key = |line: &str| {
        let line = line.trim_start().trim_start_matches("- ");
        let Some((key, value)) = line.split_once(':') else { return false };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_\"'".contains(c);
        let ends = value.is_empty() || value.starts_with(' ');
        !key.is_empty() && ends && key.chars().all(plain) && !key.contains('=')
    };
    if first == "---" || first.starts_with("%YAML") {
        return true;
    }
    let lines = text.lines().filter(|line| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#')
    });
    let (mut yaml, mut toml) = (0, 0);
    for line in lines {
        let is_toml = line.trim_start().starts_with('[') || line.contains('=');
        if is_key(line) || line.trim_start().starts_with("- ") {
            yaml += 1;
        } else if is_toml {
            toml += 1;
        }
    }
    is_key(first) && yaml > toml
}
