//! Members of list fields, and the parameters of a forwarded-element (RFC 7239 section 4).
//!
//! Owns quoting: a comma or semicolon within quotes separates nothing.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};

/// The members of a list field without quotes over all its lines, first to last. A line that is no
/// text is one empty member.
pub(super) fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    let lines = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
    lines.flat_map(|line| line.split(',')).map(str::trim).collect()
}

/// The member that belongs to the client: the one at its place, where the list has one for each
/// hop; otherwise the last, which is the nearest proxy's.
pub(super) fn member_of(members: Vec<&str>, hops: usize, client: Option<usize>) -> Option<&str> {
    match client {
        Some(client) if members.len() == hops => members.get(client).copied(),
        _ => members.last().copied(),
    }
}

/// Splits where the separator is outside quotes.
pub(super) fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut is_quoted, mut is_escaped) = (false, false);
        let end = text.bytes().position(|byte| {
            if is_escaped {
                is_escaped = false;
                return false;
            }
            match byte {
                b'\\' if is_quoted => is_escaped = true,
                b'"' => is_quoted = !is_quoted,
                _ => return byte == separator && !is_quoted,
            }
            false
        });
        rest = end.map(|end| &text[end + 1..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

/// The value of a parameter, without its quotes. A parameter that is twice has none.
pub(super) fn parameter<'a>(element: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let mut values = split(element, b';').filter_map(|pair| {
        let (known, value) = pair.trim().split_once('=')?;
        known.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    });
    let value = values.next().filter(|_| values.next().is_none())?;
    let Some(quoted) = value.strip_prefix('"') else { return Some(Cow::Borrowed(value)) };
    let quoted = quoted.strip_suffix('"')?;
    if !quoted.contains('\\') {
        return Some(Cow::Borrowed(quoted));
    }
    let mut plain = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        plain.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    Some(Cow::Owned(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separates_nothing_within_quotes() {
        let elements: Vec<_> = split(r#"for=a;host="x,y", for="b\",c""#, b',').collect();
        assert_eq!(elements, [r#"for=a;host="x,y""#, r#" for="b\",c""#]);
        assert_eq!(split("", b',').collect::<Vec<_>>(), [""]);
        assert_eq!(split("a,", b',').collect::<Vec<_>>(), ["a", ""]);
    }

    #[test]
    fn reads_the_parameters_of_rfc_7239() {
        let value = |element, name| parameter(element, name).map(Cow::into_owned);
        assert_eq!(value("for=1.2.3.4;proto=http", "for").as_deref(), Some("1.2.3.4"));
        assert_eq!(
            value("proto=http; For=\"[2001:db8::1]:80\"", "for").as_deref(),
            Some("[2001:db8::1]:80")
        );
        assert_eq!(value(r#"host="a\"b""#, "host").as_deref(), Some("a\"b"));
        assert_eq!(value("for=a;for=b", "for"), None);
        assert_eq!(value("for=\"a", "for"), None);
        assert_eq!(value("by=a", "for"), None);
    }

    #[test]
    fn takes_the_member_of_the_client_or_the_nearest_word() {
        assert_eq!(member_of(vec!["https", "http"], 2, Some(0)), Some("https"));
        assert_eq!(member_of(vec!["http", "https"], 1, Some(0)), Some("https"));
        assert_eq!(member_of(vec!["https"], 3, Some(1)), Some("https"));
        assert_eq!(member_of(vec![], 3, Some(1)), None);
    }
}
