//! The normal form in which a request path is matched and forwarded.
//!
//! Owns RFC 3986 section 6.2.2 normalisation and the refusal of paths that two servers could read
//! differently. A path goes through here once, before routing; nothing behind it decodes,
//! resolves or re-encodes a path again. It must not know of routes.

#[cfg(test)]
mod fuzz;
pub mod raw;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use thiserror::Error;

/// What becomes of parts of a path that servers read in different ways, and some need.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PathRules {
    /// `path_parameters`
    pub parameters: PathParameters,
    /// `encoded_slashes = "keep"`: `%2F` is a character of its segment. Default: refused.
    pub keep_encoded_slashes: bool,
}

/// `path_parameters` of a listener: what follows a `;` in a segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PathParameters {
    /// `"refuse"` (default), also `%3B`.
    #[default]
    Refuse,
    /// `"keep"`: they are a part of the segment, for routes and for the upstream.
    Keep,
    /// `"strip"`: they are gone before a route is checked.
    Strip,
}

/// Why a path is refused. The client caused it: 400 is the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PathError {
    /// The path does not begin with `/`.
    #[error("the path does not begin with '/'")]
    NotAbsolute,
    /// `%` without two hexadecimal digits after it (RFC 3986 section 2.1).
    #[error("the path holds '%' without two hexadecimal digits after it")]
    Escape,
    /// `%2F`, unless the listener keeps it: some servers see a separator there, others a character.
    #[error("the path holds an encoded slash")]
    EncodedSlash,
    /// `%5C`, which some servers take for a slash.
    #[error("the path holds an encoded backslash")]
    EncodedBackslash,
    /// `%00` to `%1F`, or `%7F`.
    #[error("the path holds an encoded control character")]
    EncodedControl,
    /// Escapes that spell a character in more UTF-8 bytes than it has (RFC 3629 section 3), such
    /// as `%C0%AF` for a slash.
    #[error("the path holds an overlong UTF-8 sequence")]
    Overlong,
    /// A raw backslash, which some servers take for a slash.
    #[error("the path holds a backslash")]
    Backslash,
    /// A raw control character or space.
    #[error("the path holds a control character or a space")]
    Control,
    /// `#`, or a `?` that does not end the path.
    #[error("the path holds '#' or '?'")]
    Delimiter,
    /// A `..` segment that climbs above the root.
    #[error("the path climbs above the root")]
    AboveRoot,
    /// `;` or `%3B`, unless the listener keeps them: `/admin;x` is `/admin` to some servers, and a
    /// name of its own to others (RFC 3986 section 3.3).
    #[error("the path holds a path parameter (';' or '%3B')")]
    Parameter,
    /// A dot segment beside a kept `%2F`, which climbs where the escape is taken for a separator.
    #[error("the path holds a dot segment beside an encoded slash")]
    DotSlash,
    /// `.` or `..` with path parameters, such as `..;x`: a dot segment to some servers, a name to
    /// others.
    #[error("the path holds a dot segment with parameters")]
    DotParameter,
}

/// Brings the path of a request (without its query) into normal form.
///
/// A path that is in normal form already is borrowed. The result begins with `/`; holds no empty
/// segment but perhaps the last; no `.` or `..` segment; escapes in upper case, and only of
/// characters that must be escaped. Normalising it again changes nothing. What servers disagree on
/// but some need is for the rules to say.
///
/// # Errors
/// [`PathError`], for everything that could mean one path here and another one behind the gateway.
pub fn normalise(raw: &str, rules: PathRules) -> Result<Cow<'_, str>, PathError> {
    if is_normal(raw.as_bytes(), rules) {
        return Ok(Cow::Borrowed(raw));
    }
    let escaped = normalise_characters(raw.as_bytes(), rules)?;
    resolve_segments(&escaped, rules).map(Cow::Owned)
}

/// Whether [`normalise`] would leave the path as it is. One pass, no lookahead on plain bytes.
fn is_normal(path: &[u8], rules: PathRules) -> bool {
    if path.first() != Some(&b'/') {
        return false;
    }
    let mut at = 0;
    while at < path.len() {
        match CLASS[usize::from(path[at])] {
            Class::Plain => at += 1,
            Class::Semicolon if rules.parameters == PathParameters::Keep => at += 1,
            Class::Slash => {
                at += 1;
                if path.get(at) == Some(&b'/') || starts_with_dot_segment(&path[at..]) {
                    return false;
                }
            }
            Class::Percent => {
                match unescape(&path[at..], rules) {
                    Ok(b'/') if starts_with_dot_segment(&path[at + 3..]) => return false,
                    Ok(byte) if !is_unreserved(byte) => {}
                    _ => return false,
                }
                if path[at + 1..at + 3].iter().any(u8::is_ascii_lowercase) {
                    return false;
                }
                at += 3;
            }
            Class::Encode | Class::Semicolon | Class::Refuse => return false,
        }
    }
    true
}

/// Whether a segment begins here that is, or that somebody might take for, `.` or `..`.
fn starts_with_dot_segment(path: &[u8]) -> bool {
    let Some(rest) = path.strip_prefix(b".") else {
        return false;
    };
    let rest = rest.strip_prefix(b".").unwrap_or(rest);
    match rest {
        [] | [b'/' | b';', ..] => true,
        [b'%', b'3', digit, ..] => digit.eq_ignore_ascii_case(&b'b'),
        [b'%', b'2', digit, ..] => digit.eq_ignore_ascii_case(&b'f'),
        _ => false,
    }
}

/// Checks each character, decodes what needs no escape and escapes what does.
fn normalise_characters(raw: &[u8], rules: PathRules) -> Result<String, PathError> {
    if raw.first() != Some(&b'/') {
        return Err(PathError::NotAbsolute);
    }
    let mut out = String::with_capacity(raw.len() + 8);
    let mut at = 0;
    while at < raw.len() {
        let byte = raw[at];
        match CLASS[usize::from(byte)] {
            Class::Plain | Class::Slash => out.push(char::from(byte)),
            Class::Semicolon if rules.parameters == PathParameters::Refuse => {
                return Err(PathError::Parameter);
            }
            Class::Semicolon => out.push(';'),
            Class::Encode => push_escape(&mut out, byte),
            Class::Refuse => return Err(refusal(byte)),
            Class::Percent => {
                let decoded = unescape(&raw[at..], rules)?;
                if is_unreserved(decoded) {
                    out.push(char::from(decoded));
                } else {
                    push_escape(&mut out, decoded);
                }
                at += 2;
            }
        }
        at += 1;
    }
    Ok(out)
}

/// Merges slashes and resolves dot segments (RFC 3986 section 5.2.4, but with empty segments gone
/// before a `..` could remove one). Strips path parameters if the rules say so.
fn resolve_segments(path: &str, rules: PathRules) -> Result<String, PathError> {
    let mut out = String::with_capacity(path.len());
    let mut ends_in_slash = false;
    for segment in path[1..].split('/') {
        if hides_dot_segment(segment) {
            return Err(PathError::DotSlash);
        }
        let segment = without_parameters(segment, rules)?;
        ends_in_slash = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => {
                let parent = out.rfind('/').ok_or(PathError::AboveRoot)?;
                out.truncate(parent);
            }
            _ => {
                out.push('/');
                out.push_str(segment);
            }
        }
    }
    if ends_in_slash {
        out.push('/');
    }
    Ok(out)
}

/// Whether a kept `%2F` has a dot segment on one of its sides.
fn hides_dot_segment(segment: &str) -> bool {
    segment.contains("%2F")
        && segment.split("%2F").any(|part| starts_with_dot_segment(part.as_bytes()))
}

/// The segment as the rules want it. A dot segment with parameters is refused no matter what they say.
fn without_parameters(segment: &str, rules: PathRules) -> Result<&str, PathError> {
    if !matches!(segment, "." | "..") && starts_with_dot_segment(segment.as_bytes()) {
        return Err(PathError::DotParameter);
    }
    Ok(match (rules.parameters, segment.split_once(';')) {
        (PathParameters::Strip, Some((name, _))) => name,
        _ => segment,
    })
}

/// The byte that the escape at the front of `path` means.
fn unescape(path: &[u8], rules: PathRules) -> Result<u8, PathError> {
    let byte = decode_escape(path).ok_or(PathError::Escape)?;
    match byte {
        b'/' if rules.keep_encoded_slashes => Ok(byte),
        b';' if rules.parameters != PathParameters::Keep => Err(PathError::Parameter),
        b'/' => Err(PathError::EncodedSlash),
        b'\\' => Err(PathError::EncodedBackslash),
        0..=0x1F | 0x7F => Err(PathError::EncodedControl),
        0xC0 | 0xC1 | 0xE0 | 0xF0 if is_overlong(byte, &path[3..]) => Err(PathError::Overlong),
        _ => Ok(byte),
    }
}

fn decode_escape(path: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = path else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

/// Whether `lead` and the escape behind it begin an overlong sequence. Elsewhere these bytes may
/// be letters of an older encoding, which the gateway leaves alone.
fn is_overlong(lead: u8, rest: &[u8]) -> bool {
    let overlong = match lead {
        0xE0 => 0x80..=0x9F,
        0xF0 => 0x80..=0x8F,
        _ => 0x80..=0xBF,
    };
    decode_escape(rest).is_some_and(|next| overlong.contains(&next))
}

fn push_escape(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

fn refusal(byte: u8) -> PathError {
    match byte {
        b'\\' => PathError::Backslash,
        b'#' | b'?' => PathError::Delimiter,
        _ => PathError::Control,
    }
}

/// RFC 3986 section 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// What a raw byte of a path is.
#[derive(Clone, Copy)]
enum Class {
    /// `unreserved`, `sub-delims`, `:` or `@` (RFC 3986 section 3.3): stays.
    Plain,
    Slash,
    /// `;`, which begins path parameters to some servers.
    Semicolon,
    Percent,
    /// Printable, yet no part of a path by RFC 3986, though browsers send some: escaped.
    Encode,
    Refuse,
}

static CLASS: [Class; 256] = classes();

const fn classes() -> [Class; 256] {
    // Bytes outside ASCII have one meaning, escaped or not.
    let mut table = [Class::Encode; 256];
    let mut byte = 0u8;
    while byte < 0x80 {
        table[byte as usize] = match byte {
            b'/' => Class::Slash,
            b'%' => Class::Percent,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' => Class::Plain,
            b':' | b'@' => Class::Plain,
            b';' => Class::Semicolon,
            b'"' | b'<' | b'>' | b'[' | b']' | b'^' | b'`' | b'{' | b'|' | b'}' => Class::Encode,
            _ if is_unreserved(byte) => Class::Plain,
            _ => Class::Refuse,
        };
        byte += 1;
    }
    table
}
