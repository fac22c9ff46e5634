//! Query strings: reading and changing parameters, percent-encoding.
//!
//! Parameters that are not changed keep the very bytes that the client sent.

use std::borrow::Cow;

/// The parameters of a query, decoded, in order. `+` is a space, as in forms.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

/// The query with one parameter of this name, where the first one was, or else at the end.
pub(crate) fn set(query: &str, name: &str, value: &str) -> String {
    let mut written = false;
    let mut result = String::with_capacity(query.len() + name.len() + value.len() + 2);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        if !is_named(pair, name) {
            push(&mut result, pair);
        } else if !written {
            push_encoded(&mut result, name, value);
            written = true;
        }
    }
    if !written {
        push_encoded(&mut result, name, value);
    }
    result
}

/// The query with one more parameter.
pub(crate) fn add(query: &str, name: &str, value: &str) -> String {
    let mut result = String::with_capacity(query.len() + name.len() + value.len() + 2);
    result.push_str(query);
    push_encoded(&mut result, name, value);
    result
}

/// The query without the parameters of this name; `None` if there are none.
pub(crate) fn remove(query: &str, name: &str) -> Option<String> {
    if !query.split('&').any(|pair| !pair.is_empty() && is_named(pair, name)) {
        return None;
    }
    let mut result = String::with_capacity(query.len());
    for pair in query.split('&').filter(|pair| !pair.is_empty() && !is_named(pair, name)) {
        push(&mut result, pair);
    }
    Some(result)
}

fn is_named(pair: &str, name: &str) -> bool {
    decode(pair.split_once('=').map_or(pair, |(name, _)| name)) == name
}

fn push(query: &mut String, pair: &str) {
    if !query.is_empty() {
        query.push('&');
    }
    query.push_str(pair);
}

fn push_encoded(query: &mut String, name: &str, value: &str) {
    push(query, "");
    encode(query, name);
    query.push('=');
    encode(query, value);
}

/// Percent-encodes all but the unreserved characters of RFC 3986 section 2.3.
fn encode(text: &mut String, plain: &str) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in plain.as_bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

/// Decodes what a form encodes; bytes that are not UTF-8 become U+FFFD.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let (byte, width) = match bytes[index] {
            b'+' => (b' ', 1),
            b'%' => match (digit(bytes, index + 1), digit(bytes, index + 2)) {
                (Some(high), Some(low)) => (high << 4 | low, 3),
                _ => (b'%', 1),
            },
            byte => (byte, 1),
        };
        plain.push(byte);
        index += width;
    }
    Cow::Owned(match String::from_utf8(plain) {
        Ok(plain) => plain,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

fn digit(bytes: &[u8], index: usize) -> Option<u8> {
    match bytes.get(index)? {
        byte @ b'0'..=b'9' => Some(byte - b'0'),
        byte @ b'a'..=b'f' => Some(byte - b'a' + 10),
        byte @ b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_plus_and_percent_and_leaves_broken_escapes_alone() {
        let read: Vec<_> = pairs("a=1+2&b=%C3%A9&&c&d=%zz%4").collect();
        let expected = [("a", "1 2"), ("b", "é"), ("c", ""), ("d", "%zz%4")];
        assert_eq!(read, expected.map(|(name, value)| (name.into(), value.into())));
    }

    #[test]
    fn sets_a_parameter_in_place_and_keeps_the_others_as_they_were_sent() {
        assert_eq!(set("x=%7e&a=1&y&a=2", "a", "b c"), "x=%7e&a=b%20c&y");
        assert_eq!(set("", "a", "&"), "a=%26");
    }

    #[test]
    fn adds_and_removes_parameters() {
        assert_eq!(add("a=1", "a", "2"), "a=1&a=2");
        assert_eq!(remove("a=1&b=2&%61=3", "a").as_deref(), Some("b=2"));
        assert_eq!(remove("b=2", "a"), None);
    }
}
