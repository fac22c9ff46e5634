//! Percent-encoding and the character rules of header fields.
//!
//! Owns which characters may be where (RFC 3986, RFC 9110). It must not know of templates or
//! edits.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

/// All but `unreserved` (RFC 3986 section 2.3).
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// All but `pchar` (RFC 3986 section 3.3), and `;`: what is behind it is a parameter of the
/// segment to many servers, and a value must not become one.
const SEGMENT: &AsciiSet = &COMPONENT
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

const SEGMENTS: &AsciiSet = &SEGMENT.remove(b'/');

/// The escape of U+FFFD, which is in an attribute for bytes that are no UTF-8: which ones is
/// not known any more, so the path would be that of something else.
const REPLACEMENT: &str = "%EF%BF%BD";

/// A name or a value of a query parameter.
pub(crate) fn query_component(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, COMPONENT)
}

/// One segment of a path.
pub(crate) fn path_segment(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, SEGMENT)
}

/// Several segments of a path, with the slashes between them.
pub(crate) fn path_segments(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, SEGMENTS)
}

/// A name or a value of a query parameter in plain text: escapes and `+` decoded.
pub(crate) fn decode_query_component(text: &str) -> Cow<'_, str> {
    if !text.contains('+') {
        return percent_encoding::percent_decode_str(text).decode_utf8_lossy();
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

/// Whether a byte may be in a token, such as a method or a field name (RFC 9110 section
/// 5.6.2).
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a text may be the value of a header field (RFC 9110 section 5.5): no control
/// characters but the tab.
pub(crate) fn is_field_value(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'\t' || (byte >= 0x20 && byte != 0x7F))
}

/// Whether a text may be the value of `Host` (RFC 3986 section 3.2): a name or an address, with or
/// without a port.
pub(crate) fn is_authority(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(&byte))
}

/// Whether a path could mean one thing here and another behind the gateway, or is none: the
/// gateway refuses such paths from clients, and a template must not make one from their values.
pub(crate) fn is_unsafe_path(path: &str) -> bool {
    let Some(segments) = path.strip_prefix('/') else {
        return true;
    };
    let mut segments = segments.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        if (segment.is_empty() && !is_last) || is_dot_segment(segment) {
            return true;
        }
    }
    !path.bytes().all(|byte| byte.is_ascii_graphic() && !br"?#\".contains(&byte))
        || !escapes_are_safe(path.as_bytes())
        || path.contains(REPLACEMENT)
}

/// `.` and `..`, escaped or with parameters too.
fn is_dot_segment(segment: &str) -> bool {
    let decoded = percent_encoding::percent_decode_str(segment).decode_utf8_lossy();
    let name = decoded.split(';').next().unwrap_or_default();
    name == "." || name == ".."
}

/// Whether each `%` begins an escape, and of neither a separator nor a control character.
fn escapes_are_safe(path: &[u8]) -> bool {
    path.iter().enumerate().filter(|(_, byte)| **byte == b'%').all(|(at, _)| {
        let digit = |offset: usize| path.get(at + offset).and_then(|d| char::from(*d).to_digit(16));
        match (digit(1), digit(2)) {
            (Some(high), Some(low)) => {
                let byte = high * 16 + low;
                byte >= 0x20 && byte != 0x7F && byte != u32::from(b'/') && byte != u32::from(b'\\')
            }
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_components_and_segments() {
        assert_eq!(query_component("a b&c=d+é").to_string(), "a%20b%26c%3Dd%2B%C3%A9");
        assert_eq!(path_segment("a/b:c@d;e").to_string(), "a%2Fb:c@d%3Be");
        assert_eq!(path_segments("a/b c%").to_string(), "a/b%20c%25");
    }

    #[test]
    fn decodes_escapes_and_plus_signs() {
        assert_eq!(decode_query_component("a+b%2Bc"), "a b+c");
        assert_eq!(decode_query_component("plain"), "plain");
        assert_eq!(decode_query_component("%FF%"), "\u{FFFD}%");
    }

    #[test]
    fn tells_safe_paths_from_unsafe_ones() {
        for path in
            ["/", "/a", "/a/", "/a%20b", "/a;v=1", "/...", "/..a", "/.well-known", "/%C3%A9"]
        {
            assert!(!is_unsafe_path(path), "{path}");
        }
        for path in [
            "",
            "a",
            "//",
            "/a//b",
            "/.",
            "/a/../b",
            "/%2e%2E/b",
            "/..;x",
            "/..%3Bx",
            "/a%2Fb",
            "/a%5cb",
            "/a%00",
            "/a%7f",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%EF%BF%BD",
            "/a b",
            "/a?b",
            "/a#b",
            "/a\\b",
            "/é",
        ] {
            assert!(is_unsafe_path(path), "{path}");
        }
    }

    #[test]
    fn a_field_value_has_no_control_characters() {
        assert!(is_field_value("a\tb é"));
        for text in ["a\r\nb", "a\nb", "a\0b", "a\x7Fb"] {
            assert!(!is_field_value(text), "{text:?}");
        }
    }
}
