//! Redaction of log lines.
//!
//! Owns which names mean secrets, and how a query is shown without theirs.

use percent_encoding::percent_decode;

/// What is shown instead.
pub(super) const REDACTED: &[u8] = b"[redacted]";

/// Fields of heads that hold credentials.
const FIELDS: [&str; 7] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "authentication-info",
    "x-amz-security-token",
];

/// Names with one of these in them mean secrets.
const PARTS: [&str; 7] =
    ["key", "token", "secret", "password", "passwd", "signature", "credential"];

/// And these do, as a whole.
const WHOLE: [&str; 6] = ["sig", "pwd", "pass", "auth", "authorization", "jwt"];

/// Fields with one of the parts in their names that are no secrets.
const OPEN: [&str; 5] = [
    "idempotency-key",
    "sec-websocket-key",
    "surrogate-key",
    "x-idempotency-key",
    "access-control-allow-credentials",
];

/// Fields whose values are URLs, with queries.
const URLS: [&str; 4] = ["referer", "location", "content-location", "link"];

/// Whether a field of a head holds a secret; `more` are in lower case.
pub(super) fn is_secret_field(name: &str, more: &[String]) -> bool {
    FIELDS.contains(&name)
        || more.iter().any(|more| more == name)
        || (PARTS.iter().any(|part| name.contains(part)) && !OPEN.contains(&name))
}

/// Whether the value of a field is a URL.
pub(super) fn is_url(name: &str) -> bool {
    URLS.contains(&name)
}

/// Whether an attribute was named as a secret.
pub(super) fn is_secret_attribute(name: &str, more: &[String]) -> bool {
    more.iter().any(|more| more.eq_ignore_ascii_case(name))
}

/// Writes a query, or anything with parameters in it, without the values of secrets. Names count as a
/// server reads them, percent-decoded.
pub(super) fn query(query: &[u8], more: &[String], out: &mut Vec<u8>) {
    let is_border = |byte: &u8| matches!(byte, b'&' | b';' | b'?' | b'#');
    let mut rest = query;
    loop {
        let end = rest.iter().position(is_border).unwrap_or(rest.len());
        let parameter = &rest[..end];
        match parameter.iter().position(|byte| *byte == b'=') {
            Some(equals) if is_secret_parameter(&parameter[..equals], more) => {
                out.extend_from_slice(&parameter[..=equals]);
                if equals + 1 < parameter.len() {
                    out.extend_from_slice(REDACTED);
                }
            }
            _ => out.extend_from_slice(parameter),
        }
        let Some(border) = rest.get(end) else { return };
        out.push(*border);
        rest = &rest[end + 1..];
    }
}

/// Writes a URL; what is before its query is as it is, without a password.
pub(super) fn url(url: &[u8], more: &[String], out: &mut Vec<u8>) {
    let begin = url.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(url.len());
    let (before, rest) = url.split_at(begin);
    let authority = before.windows(3).position(|it| it == b"://").map(|at| at + 3);
    let at_sign = authority.and_then(|from| {
        let end = before[from..]
            .iter()
            .position(|byte| *byte == b'/')
            .map_or(before.len(), |it| from + it);
        before[from..end].iter().rposition(|byte| *byte == b'@').map(|at| (from, from + at))
    });
    match at_sign {
        Some((from, at)) => {
            out.extend_from_slice(&before[..from]);
            out.extend_from_slice(REDACTED);
            out.extend_from_slice(&before[at..]);
        }
        None => out.extend_from_slice(before),
    }
    query(rest, more, out);
}

fn is_secret_parameter(name: &[u8], more: &[String]) -> bool {
    let mut lower = [0_u8; 256];
    let mut length = 0;
    for byte in percent_decode(name) {
        if length == lower.len() {
            // Part of a long name: look at what there is, and go on with its last bytes.
            if has_part(&lower, more) {
                return true;
            }
            let tail = lower.len() - 32;
            lower.copy_within(tail.., 0);
            length = 32;
        }
        lower[length] = byte.to_ascii_lowercase();
        length += 1;
    }
    let lower = &lower[..length];
    has_part(lower, more) || WHOLE.iter().any(|whole| whole.as_bytes() == lower)
}

fn has_part(lower: &[u8], more: &[String]) -> bool {
    let contains = |part: &str| lower.windows(part.len()).any(|window| window == part.as_bytes());
    PARTS.iter().any(|part| contains(part)) || more.iter().any(|more| more.as_bytes() == lower)
}
