//! What a request target may hold raw.
//!
//! Owns which bytes the parser of targets does not take, though browsers, curl and other gateways
//! send them on: they are escaped before it sees them, so that the rules of paths and queries decide.
//! No URI may hold them (RFC 3986 section 2), and an escape means the same to every server.

/// What a byte is to the search for one that must be escaped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Escape,
    /// Escaped in a path alone: queries are left as they are where they can be.
    EscapeInPath,
    Query,
    /// Ends the target.
    End,
}

static KIND: [Kind; 256] = {
    let mut table = [Kind::Plain; 256];
    let mut byte = 0x80;
    while byte < 256 {
        table[byte] = Kind::Escape;
        byte += 1;
    }
    table[b'"' as usize] = Kind::Escape;
    table[b'<' as usize] = Kind::Escape;
    table[b'>' as usize] = Kind::Escape;
    table[b'`' as usize] = Kind::EscapeInPath;
    table[b'?' as usize] = Kind::Query;
    table[b' ' as usize] = Kind::End;
    table[b'\r' as usize] = Kind::End;
    table[b'\n' as usize] = Kind::End;
    table
};

/// Where the target, which begins here and ends at white space, holds something that must be escaped.
pub(crate) fn find_unfit(target: &[u8], mut in_query: bool) -> Option<usize> {
    for (at, byte) in target.iter().enumerate() {
        match KIND[usize::from(*byte)] {
            Kind::Plain => {}
            Kind::EscapeInPath if in_query => {}
            Kind::Query => in_query = true,
            Kind::Escape | Kind::EscapeInPath => return Some(at),
            Kind::End => return None,
        }
    }
    None
}

/// The bytes with the target in them, which begins at `start`, escaped.
#[must_use]
pub fn escape(bytes: &[u8], start: usize, in_query: bool) -> Vec<u8> {
    let (before, mut rest) = bytes.split_at(start);
    let mut out = Vec::with_capacity(bytes.len() + 64);
    out.extend_from_slice(before);
    let mut in_query = in_query;
    while let Some(at) = find_unfit(rest, in_query) {
        in_query |= rest[..at].contains(&b'?');
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(percent_encoding::percent_encode_byte(rest[at]).as_bytes());
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_the_parser_does_not_take_and_nothing_else() {
        for (raw, escaped) in [
            ("/a?b=c", "/a?b=c"),
            ("/a|b{c}^[d]\\'~%zz;=?|{}^`\\", "/a|b{c}^[d]\\'~%zz;=?|{}^`\\"),
            ("/<a>\"`?<b>\"`?<", "/%3Ca%3E%22%60?%3Cb%3E%22`?%3C"),
            ("/caf\u{e9}?\u{e9}", "/caf%C3%A9?%C3%A9"),
            ("/< HTTP/1.1\r\nx: <\"", "/%3C HTTP/1.1\r\nx: <\""),
            ("/<\r\n<", "/%3C\r\n<"),
        ] {
            let out = escape(raw.as_bytes(), 0, false);
            assert_eq!(String::from_utf8(out).unwrap(), escaped);
            assert_eq!(find_unfit(escaped.as_bytes(), false), None);
        }
        assert_eq!(escape(b"\"`\xff", 0, true), b"%22`%FF");
    }
}
