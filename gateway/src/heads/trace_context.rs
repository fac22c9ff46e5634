//! W3C Trace Context: where in which trace a request is.
//!
//! Owns the fields `traceparent` and `tracestate`, read and written (Trace Context level 1, and of level
//! 2 the random flag and the grammar of keys). Must not decide what is sampled.

use http::header::HeaderMap;
use http::{HeaderName, HeaderValue};
use opentelemetry::{SpanId, TraceId};

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Bytes of a `traceparent` of version 00.
const LENGTH: usize = 55;
/// List members of a `tracestate`, at most (section 3.3.1.1).
const MAX_MEMBERS: usize = 32;
/// Bytes of a key and of a value, at most (sections 3.3.1.3.1 and 3.3.1.3.2).
const MAX_MEMBER: usize = 256;

/// `sampled` (section 3.2.2.5.1).
const SAMPLED: u8 = 1;
/// `random` (level 2, section 3.2.2.5.2).
const RANDOM: u8 = 2;

/// What a caller says of its trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parent {
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
    pub(crate) is_sampled: bool,
    pub(crate) is_random: bool,
    /// One valid field of all that came; `None` without a member.
    pub(crate) state: Option<HeaderValue>,
}

impl Parent {
    /// What the fields say; `None` if there is no `traceparent`, or more than one, or an invalid one.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(TRACEPARENT).iter();
        let (Some(value), None) = (all.next(), all.next()) else { return None };
        let (trace, span, flags) = parse(value.as_bytes().trim_ascii())?;
        let is = |flag| flags & flag != 0;
        let state = state(headers);
        Some(Self { trace, span, is_sampled: is(SAMPLED), is_random: is(RANDOM), state })
    }
}

/// The value of `traceparent` for a span.
pub(crate) fn traceparent(
    trace: TraceId,
    span: SpanId,
    is_sampled: bool,
    is_random: bool,
) -> HeaderValue {
    let mut text = [b'-'; LENGTH];
    let flags = (u8::from(is_sampled) * SAMPLED) | (u8::from(is_random) * RANDOM);
    write(&[0], &mut text[..2]);
    write(&trace.to_bytes(), &mut text[3..35]);
    write(&span.to_bytes(), &mut text[36..52]);
    write(&[flags], &mut text[53..]);
    HeaderValue::from_bytes(&text).expect("hexadecimal digits are visible")
}

fn parse(text: &[u8]) -> Option<(TraceId, SpanId, u8)> {
    let (head, rest) = text.split_at_checked(LENGTH)?;
    let [version] = read(&head[..2])?;
    // A later version may say more, behind a further dash (section 3.2.4).
    let may_follow = version != 0 && rest.first() == Some(&b'-');
    if version == 0xff || !(rest.is_empty() || may_follow) {
        return None;
    }
    let has_dashes = [2, 35, 52].iter().all(|at| head[*at] == b'-');
    let trace = TraceId::from_bytes(read(&head[3..35])?);
    let span = SpanId::from_bytes(read(&head[36..52])?);
    let [flags] = read(&head[53..])?;
    let is_valid = has_dashes && trace != TraceId::INVALID && span != SpanId::INVALID;
    is_valid.then_some((trace, span, flags))
}

/// Bytes from hexadecimal digits in lower case.
fn read<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Some(bytes)
}

fn write(bytes: &[u8], digits: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(digits.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// All fields as one, where each member is valid: an invalid one makes the whole worthless.
fn state(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut fields = headers.get_all(TRACESTATE).iter();
    let first = fields.next()?;
    let mut joined: Vec<u8> = Vec::new();
    let mut count = 0;
    for field in std::iter::once(first).chain(fields) {
        for member in field.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if member.is_empty() {
                continue;
            }
            count += 1;
            if count > MAX_MEMBERS || !is_member(member) {
                return None;
            }
            if !joined.is_empty() {
                joined.push(b',');
            }
            joined.extend_from_slice(member);
        }
    }
    if joined.is_empty() {
        return None;
    }
    HeaderValue::from_maybe_shared(bytes::Bytes::from(joined)).ok()
}

/// Whether it is a key and a value (level 2, section 3.3.1.3).
fn is_member(member: &[u8]) -> bool {
    let Some(equals) = member.iter().position(|byte| *byte == b'=') else { return false };
    let (key, value) = (&member[..equals], &member[equals + 1..]);
    let begins = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_key = key.first().is_some_and(|first| begins(*first))
        && key.len() <= MAX_MEMBER
        && key.iter().all(|byte| begins(*byte) || b"_-*/@".contains(byte));
    let is_value = !value.is_empty()
        && value.len() <= MAX_MEMBER
        && value.iter().all(|byte| matches!(byte, b' '..=b'~') && !b",=".contains(byte));
    is_key && is_value
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn with(fields: &[(HeaderName, &str)]) -> Option<Parent> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value.parse().unwrap());
        }
        Parent::read(&headers)
    }

    fn state_of(values: &[&str]) -> Option<String> {
        let mut fields = vec![(TRACEPARENT, VALID)];
        fields.extend(values.iter().map(|value| (TRACESTATE, *value)));
        let state = with(&fields).unwrap().state?;
        Some(state.to_str().unwrap().to_owned())
    }

    #[test]
    fn reads_what_it_writes() {
        let parent = with(&[(TRACEPARENT, VALID)]).unwrap();
        assert_eq!(parent.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(parent.span.to_string(), "b7ad6b7169203331");
        assert!(parent.is_sampled && !parent.is_random && parent.state.is_none());
        assert_eq!(traceparent(parent.trace, parent.span, true, false), VALID);
        let parent = with(&[(TRACEPARENT, &VALID.replace("-01", "-fe"))]).unwrap();
        assert!(!parent.is_sampled && parent.is_random);
        let written = traceparent(parent.trace, parent.span, false, true);
        assert_eq!(written, VALID.replace("-01", "-02"));
    }

    #[test]
    fn refuses_what_is_no_traceparent() {
        let later = VALID.replacen("00", "cc", 1);
        for valid in [VALID, &format!(" {VALID}\t"), &later, &format!("{later}-more")] {
            assert!(with(&[(TRACEPARENT, valid)]).is_some(), "{valid}");
        }
        let invalid = [
            "",
            "00",
            &VALID[..54],
            &VALID.to_uppercase(),
            &format!("{VALID}."),
            &format!("{VALID}-more"),
            &format!("{later}.more"),
            &VALID.replacen("00", "ff", 1),
            &VALID.replacen("00", ".0", 1),
            &VALID.replacen("00", "0", 1),
            &VALID.replacen("00", "000", 1),
            &VALID.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &VALID.replace("b7ad6b7169203331", &"0".repeat(16)),
            &VALID.replace("b7ad", "b7a."),
            &VALID.replace("0af7", "0af"),
            &VALID.replace("-b7ad", "-ab7ad"),
            &VALID.replace("-01", "-1"),
            &VALID.replace("-01", "-0."),
            &VALID.replace("-b7ad", "_b7ad"),
        ];
        for invalid in invalid {
            assert!(with(&[(TRACEPARENT, invalid)]).is_none(), "{invalid}");
        }
        assert!(with(&[(TRACEPARENT, VALID), (TRACEPARENT, VALID)]).is_none());
        assert!(with(&[(TRACESTATE, "a=1")]).is_none());
    }

    #[test]
    fn joins_a_valid_state_and_drops_an_invalid_one() {
        let kept = |values: &[&str], joined: &str| {
            assert_eq!(state_of(values).as_deref(), Some(joined), "{values:?}");
        };
        kept(&["a=1,b=2", "c=3"], "a=1,b=2,c=3");
        kept(&["", "a=1 \t, \t,b=2", " "], "a=1,b=2");
        kept(&["a=1,a=2"], "a=1,a=2");
        kept(&["0a_-*/@b@=x y"], "0a_-*/@b@=x y");
        let (key, value) = ("k".repeat(256), "v".repeat(256));
        kept(&[&format!("{key}={value}")], &format!("{key}={value}"));
        let members = |count| vec!["a=1"; count].join(",");
        kept(&[&members(32)], &members(32));
        let dropped = [
            "",
            "a",
            "=1",
            "a=",
            "A=1",
            "a b=1",
            "a.b=1",
            "@a=1",
            "a=b=c",
            "a=1,b",
            &format!("{key}k=1"),
            &format!("a={value}v"),
            &members(33),
        ];
        for value in dropped {
            assert_eq!(state_of(&[value]), None, "{value}");
        }
    }
}
