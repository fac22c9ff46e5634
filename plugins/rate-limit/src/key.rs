//! What requests are told apart by.
//!
//! Owns the parts of a key: how they are written in the configuration, where their values stand in
//! a request, and how values become a bucket's key that no client can make collide with another's.

use gateway_plugin_sdk::digest;
use gateway_plugin_sdk::prelude::{HeaderName, Interest, Request};

use crate::address;
use crate::body::{Content, Pointer};

/// Values longer than this stand in the key as their digest, so that no value makes it too long.
const LONGEST_VALUE: usize = 64;

/// A part of a key.
#[derive(Debug)]
pub(crate) enum Part {
    /// The attribute `client.address`, IPv6 addresses grouped by network.
    Client,
    /// A request field.
    Header(HeaderName),
    /// A cookie.
    Cookie(String),
    /// A value in a JSON body.
    Json(Pointer),
    /// Any other attribute.
    Attribute(String),
}

/// Where the values of a request stand.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) request: &'a Request,
    pub(crate) content: &'a Content,
    pub(crate) ipv6_prefix: u8,
}

impl Part {
    /// Reads a part as the configuration writes it. The error says what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "client.address" {
            return Ok(Self::Client);
        }
        if let Some(name) = text.strip_prefix("header:") {
            return HeaderName::parse(name)
                .map(Self::Header)
                .map_err(|_| format!("`{name}` is not a field name"));
        }
        if let Some(name) = text.strip_prefix("cookie:") {
            return match is_token(name) {
                true => Ok(Self::Cookie(name.to_owned())),
                false => Err(format!("`{name}` is not the name of a cookie")),
            };
        }
        if let Some(pointer) = text.strip_prefix("json:") {
            return Pointer::parse(pointer).map(Self::Json);
        }
        if let Some(claim) = text.strip_prefix("claim:").filter(|claim| !claim.is_empty()) {
            return attribute(format!("consumer.claim.{claim}"));
        }
        if let Some((kind, _)) = text.split_once(':') {
            return Err(format!(
                "`{kind}:` is no kind of key part; there are `header:NAME`, `cookie:NAME`, \
                 `json:/POINTER`, `claim:NAME` and attributes such as `consumer.id`"
            ));
        }
        attribute(text.to_owned())
    }

    /// Asks for the part's value to arrive with the request.
    pub(crate) fn declare(&self, interest: Interest) -> Interest {
        match self {
            Self::Client => interest.attribute("client.address"),
            Self::Header(name) => interest.header(name),
            Self::Cookie(_) => interest.header("cookie"),
            Self::Json(_) => Content::declare(interest),
            Self::Attribute(name) => interest.attribute(name),
        }
    }

    /// Where the part's value stands in the body, if it does.
    pub(crate) fn pointer(&self) -> Option<&Pointer> {
        match self {
            Self::Json(pointer) => Some(pointer),
            Self::Client | Self::Header(_) | Self::Cookie(_) | Self::Attribute(_) => None,
        }
    }

    /// Appends the request's value, or says that there is none. An empty value is none.
    pub(crate) fn push(&self, out: &mut String, facts: Facts<'_>) -> bool {
        let request = facts.request;
        match self {
            Self::Client => {
                push_client(out, request.attribute("client.address"), facts.ipv6_prefix)
            }
            Self::Header(name) => push_value(out, request.header_bytes(name)),
            Self::Cookie(name) => push_value(out, cookie(request, name)),
            Self::Json(pointer) => push_value(out, facts.content.value(pointer)),
            Self::Attribute(name) => push_value(out, request.attribute(name).map(str::as_bytes)),
        }
    }

    /// The request's value, as text, of a part that no client writes.
    pub(crate) fn text<'a>(&self, request: &'a Request) -> Option<&'a str> {
        match self {
            Self::Client => request.attribute("client.address"),
            Self::Attribute(name) => request.attribute(name),
            Self::Header(_) | Self::Cookie(_) | Self::Json(_) => None,
        }
    }

    /// Whether clients write the value as they like.
    pub(crate) fn is_of_the_client(&self) -> bool {
        matches!(self, Self::Header(_) | Self::Cookie(_) | Self::Json(_))
    }

    /// What the part is called towards people.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Client => "client.address",
            Self::Header(name) => name.as_str(),
            Self::Json(pointer) => pointer.as_str(),
            Self::Cookie(name) | Self::Attribute(name) => name,
        }
    }
}

/// The first cookie of this name (RFC 6265 section 4.2), over all lines (RFC 9113 section 8.2.3).
fn cookie<'a>(request: &'a Request, name: &str) -> Option<&'a [u8]> {
    let lines = request.header_lines("cookie").into_iter();
    let mut cookies = lines.flat_map(|line| line.split(|byte| *byte == b';'));
    cookies.find_map(|cookie| {
        let at = cookie.iter().position(|byte| *byte == b'=')?;
        let (key, value) = (cookie[..at].trim_ascii(), cookie[at + 1..].trim_ascii());
        (key == name.as_bytes()).then_some(value)
    })
}

/// Whether a text is a token (RFC 9110 section 5.6.2), as names of cookies are.
fn is_token(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    matches!(name.len(), 1..=128) && name.bytes().all(fits)
}

/// Appends the mark of a missing value, which no value looks like.
pub(crate) fn push_missing(out: &mut String) {
    out.push('-');
}

/// Appends a text of any length in at most 68 bytes. What follows cannot be mistaken for a part of
/// it: it begins with its length, or is a digest.
pub(crate) fn push_text(out: &mut String, value: &[u8]) {
    match str::from_utf8(value) {
        Ok(text) if text.len() <= LONGEST_VALUE => {
            out.push_str(itoa::Buffer::new().format(text.len()));
            out.push(':');
            out.push_str(text);
        }
        _ => push_digest(out, value),
    }
}

fn push_value(out: &mut String, value: Option<&[u8]>) -> bool {
    match value {
        Some(value) if !value.is_empty() => {
            push_text(out, value);
            true
        }
        _ => false,
    }
}

fn push_client(out: &mut String, address: Option<&str>, ipv6_prefix: u8) -> bool {
    match address {
        Some(address) if address.contains(':') => {
            let mut client = String::with_capacity(40);
            address::push_client(&mut client, address, ipv6_prefix);
            push_value(out, Some(client.as_bytes()))
        }
        _ => push_value(out, address.map(str::as_bytes)),
    }
}

fn push_digest(out: &mut String, value: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push('#');
    for byte in digest::sha256(value) {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 0xf)]));
    }
}

/// Where the gateway's own attributes are: no plugin can set others there.
const RESERVED: [&str; 5] = ["client.", "listener.", "request.", "route.", "upstream."];

/// The gateway's own, and those of who is known.
const KNOWN: [&str; 21] = [
    "client.address",
    "client.port",
    "request.id",
    "request.scheme",
    "request.host",
    "request.authority",
    "request.waited-ms",
    "request.cache",
    "request.has-body",
    "request.has-upgrade",
    "listener.name",
    "route.name",
    "route.pattern",
    "route.splits",
    "route.variant",
    "upstream.name",
    "consumer.id",
    "consumer.method",
    "consumer.key-id",
    "consumer.scopes",
    "consumer.group",
];

/// Says what was meant by an attribute that there is not, as far as that can be known.
fn misspelled(name: &str) -> Option<String> {
    let letters = |name: &str| name.to_ascii_lowercase().replace(['-', '_', '.'], "");
    if KNOWN.contains(&name) || name.starts_with("client.certificate.") {
        return None;
    }
    let same = KNOWN.into_iter().find(|known| letters(known) == letters(name));
    let is_reserved = RESERVED.iter().any(|prefix| name.starts_with(prefix));
    let close = || KNOWN.into_iter().map(|known| (distance(known, name), known)).min();
    let meant = same.or_else(|| close().filter(|(far, _)| is_reserved && *far <= 3).map(|it| it.1));
    meant.map(|meant| format!("there is no attribute `{name}`; did you mean `{meant}`?"))
}

/// Letters that have to be changed, added or left out to make one text of another.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.bytes().enumerate() {
        let mut before = std::mem::replace(&mut row[0], index + 1);
        for (at, found) in other.bytes().enumerate() {
            let changed = before + usize::from(letter != found);
            before = row[at + 1];
            row[at + 1] = changed.min(before + 1).min(row[at] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

fn attribute(name: String) -> Result<Part, String> {
    if let Some(wrong) = misspelled(&name) {
        return Err(wrong);
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
    match name.len() {
        1..=128 if name.chars().all(fits) => Ok(Part::Attribute(name)),
        _ => Err(format!(
            "`{name}` is not the name of an attribute: 1 to 128 letters, digits, `.`, `-`, `_`, `/`"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(values: &[&[u8]]) -> String {
        let mut out = String::new();
        for value in values {
            push_text(&mut out, value);
        }
        out
    }

    #[test]
    fn keeps_values_apart_however_they_are_cut() {
        assert_ne!(joined(&[b"ab", b"c"]), joined(&[b"a", b"bc"]));
        assert_ne!(joined(&[b"1:a", b"b"]), joined(&[b"1", b"a1:b"]));
        let (nines, fives) = ("b".repeat(9), "c".repeat(52));
        assert_ne!(
            joined(&[b"1", format!("{nines}52{fives}").as_bytes()]),
            joined(&[format!("63{nines}").as_bytes(), fives.as_bytes()]),
            "a length is no part of a value"
        );
        assert_ne!(joined(&[b"-"]), {
            let mut out = String::new();
            push_missing(&mut out);
            out
        });
    }

    #[test]
    fn keeps_long_and_binary_values_short_and_apart() {
        let long = |last: u8| [[b'a'; 5_000].as_slice(), &[last]].concat();
        assert_eq!(joined(&[&long(1)]).len(), 65);
        assert_ne!(joined(&[&long(1)]), joined(&[&long(2)]));
        assert_eq!(joined(&[&[0xff, 0xfe]]).len(), 65);
        assert_ne!(joined(&[&[0xff]]), joined(&[&[0xfe]]));
    }

    #[test]
    fn does_not_take_a_value_that_looks_like_a_digest_for_one() {
        let digest = joined(&[&[0xff]]);
        assert_ne!(joined(&[digest.as_bytes()]), digest);
    }

    #[test]
    fn reads_each_kind_of_part() {
        assert_eq!(Part::parse("client.address").expect("a part").name(), "client.address");
        assert_eq!(Part::parse("header:X-Tenant").expect("a part").name(), "x-tenant");
        assert_eq!(Part::parse("claim:plan").expect("a part").name(), "consumer.claim.plan");
        assert_eq!(Part::parse("route.name").expect("a part").name(), "route.name");
        assert_eq!(Part::parse("cookie:sid").expect("a part").name(), "sid");
        assert_eq!(Part::parse("json:/a/0").expect("a part").name(), "/a/0");
    }

    #[test]
    fn refuses_what_is_no_part() {
        for text in [
            "",
            "header:",
            "header:a b",
            "cookie:",
            "cookie:a b",
            "json:",
            "json:a",
            "json:/~2",
            "a b",
            "claim:",
        ] {
            assert!(Part::parse(text).is_err(), "{text}");
        }
        assert!(Part::parse(&"a".repeat(129)).is_err());
    }
}
