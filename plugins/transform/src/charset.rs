//! Charsets of bodies: text that is not UTF-8 as text, and back.
//!
//! Owns which charset a body has, by its `content-type` and its byte order mark, and what it is in bytes. The
//! names and what they mean are those of the WHATWG Encoding Standard, as browsers have them: `iso-8859-1` is
//! `windows-1252`. Must not know what is changed.

use std::borrow::Cow;

use encoding_rs::{Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, X_USER_DEFINED};

/// A charset.
pub(crate) type Charset = &'static Encoding;

/// What `charset` of a body says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Declared<'a> {
    Nothing,
    Known(Charset),
    /// There is no such charset, or there are two.
    Unknown(&'a str),
}

/// The charset of this name.
pub(crate) fn of_name(name: &str) -> Option<Charset> {
    let known = Encoding::for_label(name.as_bytes())?;
    // Neither says what the bytes mean.
    (known != REPLACEMENT && known != X_USER_DEFINED).then_some(known)
}

/// By the parameter of a `content-type`, whose lines arrive joined.
pub(crate) fn declared(content_type: Option<&str>) -> Declared<'_> {
    let mut found = Declared::Nothing;
    for parameter in content_type.unwrap_or_default().split([';', ',']) {
        let Some((name, value)) = parameter.split_once('=') else { continue };
        if !name.trim().eq_ignore_ascii_case("charset") {
            continue;
        }
        let value = value.trim().trim_matches('"').trim();
        found = match (found, of_name(value)) {
            (Declared::Nothing, Some(known)) => Declared::Known(known),
            (Declared::Known(first), Some(known)) if first == known => found,
            (Declared::Unknown(_), _) => found,
            _ => Declared::Unknown(value),
        };
    }
    found
}

/// The same `content-type` for a body that has become UTF-8.
pub(crate) fn as_utf8(content_type: &str) -> String {
    let first = content_type.split(',').next().unwrap_or_default();
    let mut parameters = first.split(';').map(str::trim).filter(|part| !part.is_empty());
    let mut out = parameters.next().unwrap_or_default().to_owned();
    let is_charset = |part: &str| {
        part.split_once('=').is_some_and(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
    };
    for part in parameters.filter(|part| !is_charset(part)) {
        out.push_str("; ");
        out.push_str(part);
    }
    out.push_str("; charset=utf-8");
    out
}

/// Text, and how it was written.
#[derive(Debug)]
pub(crate) struct Decoded<'a> {
    pub(crate) text: Cow<'a, str>,
    charset: Charset,
    has_mark: bool,
}

/// A text that is said to have a charset. A byte order mark says more. `None` if it is not in it.
pub(crate) fn decode(bytes: &[u8], charset: Charset) -> Option<Decoded<'_>> {
    let (charset, mark) = Encoding::for_bom(bytes).unwrap_or((charset, 0));
    let text = charset.decode_without_bom_handling_and_without_replacement(&bytes[mark..])?;
    Some(Decoded { text, charset, has_mark: mark > 0 })
}

impl Decoded<'_> {
    /// Another text written in the same way. `None` if that cannot be.
    pub(crate) fn encode(&self, text: &str) -> Option<Vec<u8>> {
        if self.charset == UTF_16LE || self.charset == UTF_16BE {
            let to_bytes =
                if self.charset == UTF_16LE { u16::to_le_bytes } else { u16::to_be_bytes };
            let mark = self.has_mark.then_some(0xfeff);
            return Some(mark.into_iter().chain(text.encode_utf16()).flat_map(to_bytes).collect());
        }
        if self.charset == UTF_8 {
            let mark = if self.has_mark { "\u{feff}" } else { "" };
            return Some([mark, text].concat().into_bytes());
        }
        let (bytes, _, is_lossy) = self.charset.encode(text);
        (!is_lossy).then(|| bytes.into_owned())
    }
}

/// The text of an XML document (XML 1.0 appendix F, RFC 7303 section 3): by its byte order mark, by the `charset` of
/// its `content-type`, by how its first characters lie, or by what it says of itself.
pub(crate) fn decode_xml(
    document: &[u8],
    declared: Option<Charset>,
) -> Result<Cow<'_, str>, String> {
    let charset = match declared {
        Some(charset) => charset,
        None if document.starts_with(b"<\0") => UTF_16LE,
        None if document.starts_with(b"\0<") => UTF_16BE,
        None => of_declaration(document)?,
    };
    let charset_of_mark = Encoding::for_bom(document).map_or(charset, |(charset, _)| charset);
    let decoded = decode(document, charset);
    decoded
        .map(|it| it.text)
        .ok_or_else(|| format!("the document is not {}", charset_of_mark.name()))
}

/// What `<?xml version="1.0" encoding="..."?>` says.
fn of_declaration(document: &[u8]) -> Result<Charset, String> {
    /// No declaration is longer.
    const LONGEST: usize = 256;
    let start = &document[..document.len().min(LONGEST)];
    let Some(inside) = start.strip_prefix(b"<?xml") else { return Ok(UTF_8) };
    let end = inside.windows(2).position(|two| two == b"?>").unwrap_or(inside.len());
    let Ok(inside) = str::from_utf8(&inside[..end]) else { return Ok(UTF_8) };
    let Some((_, value)) = inside.split_once("encoding") else { return Ok(UTF_8) };
    let value = value.trim_start().strip_prefix('=').unwrap_or_default().trim_start();
    let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        return Ok(UTF_8);
    };
    let name = value[1..].split(quote).next().unwrap_or_default();
    match of_name(name) {
        // The declaration itself was read as ASCII.
        Some(charset) if charset == UTF_16LE || charset == UTF_16BE => {
            Err(format!("the document is not `{name}`, as it says"))
        }
        Some(charset) => Ok(charset),
        None => Err(format!("the encoding `{name}` is not known")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charset_is_found_by_its_name_and_two_are_none() {
        let known = |name| Declared::Known(of_name(name).unwrap());
        for (content_type, expected) in [
            (None, Declared::Nothing),
            (Some("text/html"), Declared::Nothing),
            (Some("text/html; charset=ISO-8859-1"), known("windows-1252")),
            (Some("text/html;Charset=\"utf-16\" ;x=y"), known("utf-16le")),
            (Some("text/html; charset=us-ascii"), known("windows-1252")),
            (Some("text/html; charset=utf8, text/plain; charset=UTF-8"), known("utf-8")),
            (
                Some("text/html; charset=utf-8, text/html; charset=latin1"),
                Declared::Unknown("latin1"),
            ),
            (Some("text/html; charset=klingon"), Declared::Unknown("klingon")),
            (Some("text/html; charset=hz-gb-2312"), Declared::Unknown("hz-gb-2312")),
            (Some("text/html; charset="), Declared::Unknown("")),
        ] {
            assert_eq!(declared(content_type), expected, "{content_type:?}");
        }
    }

    #[test]
    fn the_type_of_a_body_that_became_utf_8_says_so_once() {
        for (before, after) in [
            ("text/plain;charset=latin1", "text/plain; charset=utf-8"),
            ("text/html; CHARSET=x ; level=1", "text/html; level=1; charset=utf-8"),
        ] {
            assert_eq!(as_utf8(before), after);
        }
    }

    /// As Python's `codecs` has them.
    #[test]
    fn text_goes_forth_and_back() {
        for (name, bytes, text) in [
            ("iso-8859-1", &b"caf\xe9 \x80"[..], "café €"),
            ("iso-8859-15", b"\xa4", "€"),
            ("shift_jis", b"\x83J\x83t\x83F", "カフェ"),
            ("utf-16le", b"a\0\xac\x20", "a€"),
            ("utf-16be", b"\0a\x20\xac", "a€"),
            // The mark says more than the name.
            ("utf-16le", b"\xfe\xff\0a\x20\xac", "a€"),
            ("latin1", b"\xef\xbb\xbfa\xe2\x82\xac", "a€"),
        ] {
            let decoded = decode(bytes, of_name(name).unwrap()).unwrap();
            assert_eq!(decoded.text, text, "{name}");
            assert_eq!(decoded.encode(text).as_deref(), Some(bytes), "{name}");
        }
        assert!(decode(b"caf\xe9", of_name("latin1").unwrap()).unwrap().encode("カ").is_none());
        assert!(decode(b"a\0\0\xd8", UTF_16LE).is_none(), "a lone surrogate");
        assert!(decode(b"\x83", of_name("shift_jis").unwrap()).is_none(), "half a character");
    }

    #[test]
    fn an_xml_document_says_how_it_is_written() {
        let latin1 = of_name("latin1");
        for (document, declared, expected) in [
            (&b"<a>\xc3\xa9</a>"[..], None, Ok("<a>é</a>")),
            (b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe9</a>", None, Ok("é")),
            (b"<?xml version=\"1.0\" encoding = \"utf-8\"?><a>\xc3\xa9</a>", None, Ok("é")),
            // RFC 7303 section 3.2: the field is what counts.
            (b"<?xml version='1.0' encoding='utf-8'?><a>\xe9</a>", latin1, Ok("é")),
            (b"<\0a\0/\0>\0", None, Ok("<a/>")),
            (b"\0<\0a\0/\0>", None, Ok("<a/>")),
            (b"\xff\xfe<\0a\0/\0>\0", latin1, Ok("<a/>")),
            (b"<a>\xe9</a>", None, Err("UTF-8")),
            (b"<?xml version='1.0' encoding='klingon'?><a/>", None, Err("`klingon`")),
            (b"<?xml version='1.0' encoding='utf-16'?><a/>", None, Err("`utf-16`")),
        ] {
            let text = decode_xml(document, declared);
            match expected {
                Ok(part) => assert!(text.as_ref().is_ok_and(|it| it.contains(part)), "{text:?}"),
                Err(part) => assert!(text.as_ref().is_err_and(|it| it.contains(part)), "{text:?}"),
            }
        }
    }
}
