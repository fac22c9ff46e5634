//! URIs of resources as servers may read them.
//!
//! Owns what a URI may mean besides what it says. Must not decide who may have it.

/// How often a URI is decoded: servers behind servers may each do so once.
const MOST_DECODED: usize = 5;

/// Whether a server could take it for the URI of something that does not begin as it does.
pub(crate) fn may_lead_elsewhere(uri: &str) -> bool {
    spellings(uri).is_none_or(|all| all.iter().any(|text| leads_elsewhere(text)))
}

/// A URI as it is, and as it is when it is decoded once and more. None if it cannot be known what it is in the end.
pub(crate) fn spellings(uri: &str) -> Option<Vec<String>> {
    let mut all = vec![uri.to_owned()];
    for _ in 0..MOST_DECODED {
        let decoded = decode(all.last()?)?;
        if all.last() == Some(&decoded) {
            return Some(all);
        }
        all.push(decoded);
    }
    None
}

/// The text with each `%` and two hexadecimal digits as what they stand for. None if one stands for a byte that only the
/// long forms of ASCII begin with, which careless decoders take for ASCII.
fn decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let encoded = (*byte == b'%').then(|| digit(at + 1).zip(digit(at + 2))).flatten();
        match encoded.and_then(|(high, low)| u8::try_from(high * 16 + low).ok()) {
            Some(0xc0 | 0xc1) => return None,
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

/// Whether a segment of it could be read as `.` or `..`. Readers of URLs leave out tabs and line ends, and for some a
/// path ends where it goes on for others.
fn leads_elsewhere(text: &str) -> bool {
    let mut segments = text.split(['/', '\\', '?', '#', ';']);
    text.chars().any(char::is_control) || segments.any(|part| matches!(part.trim(), "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_segments_that_lead_elsewhere_however_they_are_written() {
        for path in [
            "../x",
            "%2E%2e/x",
            "..%2fx",
            r"..\x",
            "%2e%2E%5cx",
            ".\t./x",
            ".\n./x",
            "%09",
            "..?x",
            "..#x",
            "..;x",
            ".. ",
            "..%23",
            "..%3fx",
            "..%00",
            "a%00.txt",
            "%252e%252e/x",
            "%25252e%25252e/x",
            "%2525252525252e%2525252525252e/x",
            "%c0%ae%c0%ae/x",
        ] {
            assert!(may_lead_elsewhere(&format!("docs://a/{path}")), "{path}");
        }
        for path in ["a?x=..y#z", "100%25", "%", "%zz", "%é", "a%20b;v=1", "...", "a..b", "%E4"] {
            assert!(!may_lead_elsewhere(&format!("docs://a/{path}")), "{path}");
        }
    }
}
