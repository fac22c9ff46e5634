//! `format` and `fields` of an access log.
//!
//! Owns the notation of templates. What a name means is in `field`.

use super::field::{self, DEFAULTS};
use super::{AccessLogFormat, LogField, LogPart};
use crate::config::diagnostic::Diagnostic;
use crate::config::fault::Fault;
use crate::config::reader::Table;
use crate::config::suggest;

/// The format of Apache and nginx of this name.
const COMBINED: &str = "{client} - {consumer} [{time_common}] \"{request}\" {status} {downloaded} \
                        \"{request.header.referer}\" \"{request.header.user-agent}\"";

/// Reads both.
pub(super) fn read(table: &Table<'_, '_>) -> Option<AccessLogFormat> {
    let text = match table.value("format") {
        Some(_) => Some(table.word("format")?),
        None => None,
    };
    let format = text.as_ref().map_or(table.default("format"), |text| &text.value);
    let fields = table.key_span("fields");
    if format == "json" {
        return Some(AccessLogFormat::Json(match fields {
            Some(_) => chosen(table)?,
            None => defaults(),
        }));
    }
    if let Some(place) = fields {
        let error = Diagnostic::error(place, "`fields` is for `format = \"json\"` alone");
        table.reading.report(error.help("a template names its fields as `{placeholders}`"));
    }
    if format == "combined" {
        return template(COMBINED).ok().map(AccessLogFormat::Template);
    }
    let parts = table.reading.parsed(&text?, "a format of an access log", |text| {
        if text.contains('{') {
            return template(text);
        }
        let fault =
            Fault::new(0..text.len(), format!("there is no format `{}`", text.escape_debug()));
        Err(match suggest::closest(text, ["json", "combined"]) {
            Some(meant) => fault.help(format!("did you mean `{meant}`?")),
            None => fault.help(
                "write `json`, `combined`, or a template such as `{client} {status} \"{request}\"`",
            ),
        })
    });
    parts.map(AccessLogFormat::Template)
}

fn defaults() -> Vec<(String, LogField)> {
    let named = |name: &&str| {
        let key = name.rsplit('.').next().unwrap_or(name).replace('-', "_");
        Some((key, field::parse(name).ok()?))
    };
    DEFAULTS.iter().filter_map(named).collect()
}

fn chosen(table: &Table<'_, '_>) -> Option<Vec<(String, LogField)>> {
    let entries = table.texts("fields");
    let count = entries.len();
    if count == 0 {
        if let Some(value) = table.value("fields") {
            let error = Diagnostic::error(value.span(), "`fields` is empty");
            table.reading.report(error.help("leave `fields` out for those of the documentation"));
        }
        return None;
    }
    let read =
        |(key, value): (crate::config::reader::Text, Option<crate::config::reader::Text>)| {
            let field = table.reading.parsed(&value?, "a field of access logs", field::parse)?;
            Some((key.value, field))
        };
    let read: Vec<_> = entries.into_iter().filter_map(read).collect();
    (read.len() == count).then_some(read)
}

/// The parts of a template. A brace of the text is written twice.
fn template(text: &str) -> Result<Vec<LogPart>, Fault> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut is_quoted = false;
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        match c {
            '{' | '}' if rest[1..].starts_with(c) => {
                plain.push(c);
                at += 2;
            }
            '{' => {
                let name = rest[1..].split_once('}').map(|(name, _)| name);
                let Some(name) = name.filter(|name| !name.contains('{')) else {
                    return Err(no_other_half(at));
                };
                let place = at + 1;
                let field = field::parse(name).map_err(|fault| Fault {
                    place: place + fault.place.start..place + fault.place.end,
                    ..fault
                })?;
                if !plain.is_empty() {
                    parts.push(LogPart::Text(std::mem::take(&mut plain)));
                }
                parts.push(LogPart::Field { field, is_quoted });
                at = place + name.len() + 1;
            }
            '}' => return Err(no_other_half(at)),
            // A tab separates fields in some formats; any other would begin another line.
            c if (c.is_control() && c != '\t') || matches!(c, '\u{2028}' | '\u{2029}') => {
                let fault = format!("`{}` is not allowed in a line", c.escape_default());
                let fault = Fault::new(at..at + c.len_utf8(), fault);
                return Err(fault.help("a line is ended by the gateway"));
            }
            c => {
                is_quoted ^= c == '"';
                plain.push(c);
                at += c.len_utf8();
            }
        }
    }
    if !plain.is_empty() {
        parts.push(LogPart::Text(plain));
    }
    Ok(parts)
}

fn no_other_half(at: usize) -> Fault {
    let fault = Fault::new(at..at + 1, "this brace has no other half");
    fault.help("a placeholder is written `{name}`, and a brace of the text `{{` or `}}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_template_apart() {
        let field = |field, is_quoted| LogPart::Field { field, is_quoted };
        let text = |text: &str| LogPart::Text(text.to_owned());
        assert_eq!(
            template("{{{status}}} \"{path}\" {method}").unwrap(),
            [
                text("{"),
                field(LogField::Status, false),
                text("} \""),
                field(LogField::Path, true),
                text("\" "),
                field(LogField::Method, false),
            ]
        );
        assert_eq!(template(COMBINED).unwrap().len(), 16);
    }

    #[test]
    fn says_where_a_template_goes_wrong() {
        let place = |text: &str| text[template(text).expect_err(text).place].to_owned();
        assert_eq!(place("a {statsu}"), "statsu");
        assert_eq!(place("a {status"), "{");
        assert_eq!(place("a} {status}"), "}");
        assert_eq!(place("{a{b}}"), "{");
        assert_eq!(place("{status}\n"), "\n");
        assert_eq!(place("ü {attribute.route.name}"), "route.name");
    }
}
