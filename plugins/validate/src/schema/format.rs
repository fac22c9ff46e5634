//! Formats: what a text, or a number, has to be besides its type.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::json::{Json, Number};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    DateTime,
    Date,
    Time,
    Email,
    Hostname,
    Ipv4,
    Ipv6,
    Uri,
    Uuid,
    Int32,
    Int64,
}

const FORMATS: [(&str, Format); 11] = [
    ("date-time", Format::DateTime),
    ("date", Format::Date),
    ("time", Format::Time),
    ("email", Format::Email),
    ("hostname", Format::Hostname),
    ("ipv4", Format::Ipv4),
    ("ipv6", Format::Ipv6),
    ("uri", Format::Uri),
    ("uuid", Format::Uuid),
    ("int32", Format::Int32),
    ("int64", Format::Int64),
];

impl Format {
    /// The format of this name; one that is not known is no condition, as the language says.
    pub(crate) fn named(name: &str) -> Option<Self> {
        FORMATS.iter().find(|(known, _)| *known == name).map(|(_, format)| *format)
    }

    pub(crate) fn name(self) -> &'static str {
        FORMATS.iter().find(|(_, format)| *format == self).map_or("", |(name, _)| name)
    }

    /// Whether a value has the format; one of another type has every format.
    pub(crate) fn holds(self, value: &Json) -> bool {
        let text = match (self, value) {
            (Self::Int32 | Self::Int64, Json::Number(number)) => return self.fits(number),
            (Self::Int32 | Self::Int64, _) => return true,
            (_, Json::Text(text)) => text,
            _ => return true,
        };
        match self {
            Self::DateTime => match text.split_once(['T', 't']) {
                Some((date, time)) => is_date(date) && is_time(time),
                None => false,
            },
            Self::Date => is_date(text),
            Self::Time => is_time(text),
            Self::Email => is_email(text),
            Self::Hostname => is_hostname(text),
            Self::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Self::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Self::Uri => is_uri(text),
            Self::Uuid => is_uuid(text),
            Self::Int32 | Self::Int64 => true,
        }
    }

    fn fits(self, number: &Number) -> bool {
        let (least, most) = match self {
            Self::Int32 => ("-2147483648", "2147483647"),
            _ => ("-9223372036854775808", "9223372036854775807"),
        };
        let bound = |text: &str| Number::parse(text);
        number.is_whole()
            && bound(least).is_some_and(|it| it <= *number)
            && bound(most).is_some_and(|it| *number <= it)
    }
}

/// So many digits as a number.
fn digits(text: &str, count: usize) -> Option<u32> {
    let are_digits = text.len() == count && text.bytes().all(|it| it.is_ascii_digit());
    if are_digits { text.parse().ok() } else { None }
}

fn is_date(text: &str) -> bool {
    let mut parts = text.split('-');
    let (year, month, day, more) = (parts.next(), parts.next(), parts.next(), parts.next());
    let (Some(year), Some(month), Some(day), None) = (year, month, day, more) else { return false };
    let (Some(year), Some(month), Some(day)) = (digits(year, 4), digits(month, 2), digits(day, 2))
    else {
        return false;
    };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

/// RFC 3339 section 5.6, with the second that is put in at the end of some days in UTC.
fn is_time(text: &str) -> bool {
    let Some(end) = text.find(['Z', 'z', '+', '-']) else { return false };
    let (clock, zone) = text.split_at(end);
    let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(a, b)| (a, Some(b)));
    if fraction.is_some_and(|it| it.is_empty() || !it.bytes().all(|it| it.is_ascii_digit())) {
        return false;
    }
    let mut parts = clock.split(':');
    let mut part = || parts.next().and_then(|it| digits(it, 2));
    let (Some(hour), Some(minute), Some(second)) = (part(), part(), part()) else { return false };
    let offset = match zone {
        "Z" | "z" => Some(0),
        _ => zone[1..].split_once(':').and_then(|(hours, minutes)| {
            let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
            (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
        }),
    };
    let (Some(offset), None) = (offset, parts.next()) else { return false };
    let day = 24 * 60;
    let ahead = if zone.starts_with('+') { day - offset } else { offset };
    let in_utc = (hour * 60 + minute + ahead) % day;
    hour < 24 && minute < 60 && (second < 60 || second == 60 && in_utc == day - 1)
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let is_atom = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
    let is_plain =
        !local.is_empty() && local.split('.').all(|it| !it.is_empty() && it.bytes().all(is_atom));
    let quoted = local.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    let is_quoted = quoted
        .is_some_and(|it| !it.contains('"') && it.bytes().all(|it| (b' '..=b'~').contains(&it)));
    let address = domain.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let is_address = address.is_some_and(|it| match it.strip_prefix("IPv6:") {
        Some(it) => it.parse::<Ipv6Addr>().is_ok(),
        None => it.parse::<Ipv4Addr>().is_ok(),
    });
    local.len() <= 64 && (is_plain || is_quoted) && (is_hostname(domain) || is_address)
}

/// RFC 1123 section 2.1.
fn is_hostname(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(is_letter)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

/// RFC 3986: a scheme, and only characters that a URI has.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let is_scheme = scheme.starts_with(|it: char| it.is_ascii_alphabetic())
        && scheme.bytes().all(|it| it.is_ascii_alphanumeric() || b"+-.".contains(&it));
    let mut bytes = rest.bytes();
    let mut is_fine = true;
    while let Some(byte) = bytes.next() {
        is_fine &= match byte {
            b'%' => {
                let mut digit = || bytes.next().is_some_and(|it| it.is_ascii_hexdigit());
                digit() && digit()
            }
            _ => byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(&byte),
        };
    }
    is_scheme && is_fine
}

fn is_uuid(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() == lengths.len()
        && parts.iter().zip(lengths).all(|(part, length)| {
            part.len() == length && part.bytes().all(|it| it.is_ascii_hexdigit())
        })
}
