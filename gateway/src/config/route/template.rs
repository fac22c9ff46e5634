//! Text with `{placeholders}`.
//!
//! Owns the notation. Which placeholders there are depends on where a template is.

use std::ops::Range;

use crate::config::fault::Fault;
use crate::config::{Template, TemplatePart};

/// Parses a template; each part comes with its place.
pub(super) fn parse(text: &str) -> Result<Vec<(TemplatePart, Range<usize>)>, Fault> {
    let mut parts = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let brace = text[at..].find(['{', '}']).map_or(text.len(), |found| at + found);
        if brace > at {
            check_characters(&text[at..brace], at)?;
            parts.push((TemplatePart::Text(text[at..brace].to_owned()), at..brace));
        }
        if brace == text.len() {
            break;
        }
        let end = text[brace..].find('}').map(|found| brace + found);
        let inner = end.and_then(|end| text.get(brace + 1..end));
        let Some((end, name)) = end.zip(inner).filter(|(_, name)| !name.contains('{')) else {
            let fault = Fault::new(brace..brace + 1, "this brace has no other half");
            return Err(fault.help("a placeholder is written `{name}`"));
        };
        let name = name.strip_prefix('*').unwrap_or(name);
        parts.push((TemplatePart::Value(name.to_owned()), brace..end + 1));
        at = end + 1;
    }
    Ok(parts)
}

fn check_characters(text: &str, start: usize) -> Result<(), Fault> {
    let wrong = |c: &char| !c.is_ascii_graphic() || "\"<>\\^`|".contains(*c);
    match text.char_indices().find(|(_, c)| wrong(c)) {
        None => Ok(()),
        Some((at, c)) => {
            let escaped: String =
                c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("%{byte:02X}")).collect();
            let place = start + at..start + at + c.len_utf8();
            let fault = format!("`{}` is not allowed in a URL", c.escape_debug());
            Err(Fault::new(place, fault).help(format!("write `{escaped}`")))
        }
    }
}

/// The template of parsed parts.
pub(super) fn assemble(parts: Vec<(TemplatePart, Range<usize>)>) -> Template {
    Template { parts: parts.into_iter().map(|(part, _)| part).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_text_and_placeholders_apart() {
        let parts = assemble(parse("https://{host}/new/{*rest}").unwrap()).parts;
        let text = |text: &str| TemplatePart::Text(text.to_owned());
        let value = |name: &str| TemplatePart::Value(name.to_owned());
        assert_eq!(parts, [text("https://"), value("host"), text("/new/"), value("rest")]);
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn says_where_a_template_goes_wrong() {
        let place = |text: &str| text[parse(text).expect_err(text).place].to_owned();
        assert_eq!(place("/{a"), "{");
        assert_eq!(place("/a}"), "}");
        assert_eq!(place("/{a{b}}"), "{");
        assert_eq!(place("/a b"), " ");
        assert_eq!(place("/ü"), "ü");
    }
}
