//! What each field says of an exchange.
//!
//! Owns the step from a field to its value, without what is not shown. How a value is in a line is
//! not known here.

use std::io::Write as _;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Version};

use super::{Kept, Record, RequestLine, Way, milliseconds, process, redact, time};
use crate::config::LogField;
use crate::error::Failure;
use crate::usage::CONSUMER;

/// Bytes of a value that are shown.
const MAX_VALUE: usize = 8 << 10;

/// A field, and what is known of it when the configuration is loaded.
#[derive(Debug)]
pub(super) struct Source {
    field: LogField,
    /// The place of a field of a head in what is kept.
    place: u16,
    is_secret: bool,
    is_url: bool,
}

/// What became of a value.
pub(super) enum Value {
    Absent,
    /// A number or a boolean.
    Bare,
    /// Text of the gateway's own.
    Own,
    /// Anybody's text.
    Text,
}

/// An exchange that has ended.
pub(super) struct Entry<'a> {
    pub(super) record: &'a Record<'a>,
    pub(super) way: &'a Way<'a>,
    pub(super) failure: Option<&'a Failure>,
    pub(super) kept: &'a Kept,
    pub(super) now: Duration,
    /// What the log redacts beside what all do.
    pub(super) redact: &'a [String],
}

impl Source {
    /// The field; one of a head gets its place among those that are kept.
    pub(super) fn new(
        field: &LogField,
        more: &[String],
        request: &mut Vec<HeaderName>,
        response: &mut Vec<HeaderName>,
    ) -> Self {
        let mut source = Self { field: field.clone(), place: 0, is_secret: false, is_url: false };
        match field {
            LogField::Host => source.place = place(&http::header::HOST, request),
            LogField::RequestHeader(name) => source.place = place(name, request),
            LogField::ResponseHeader(name) => source.place = place(name, response),
            LogField::Attribute(name) => source.is_secret = redact::is_secret_attribute(name, more),
            _ => {}
        }
        if let LogField::RequestHeader(name) | LogField::ResponseHeader(name) = field {
            source.is_secret = redact::is_secret_field(name.as_str(), more);
            source.is_url = redact::is_url(name.as_str());
        }
        source
    }

    /// Puts the value of a field in place of what `out` holds.
    pub(super) fn value(&self, entry: &Entry<'_>, out: &mut Vec<u8>) -> Value {
        out.clear();
        let kind = self.put(entry, out).unwrap_or(Value::Absent);
        out.truncate(MAX_VALUE);
        kind
    }

    fn put(&self, entry: &Entry<'_>, out: &mut Vec<u8>) -> Option<Value> {
        let Entry { record, way, failure, kept, now, redact } = entry;
        let request = record.request.as_ref();
        match &self.field {
            LogField::Time => {
                time::rfc3339(*now, out);
                return Some(Value::Own);
            }
            LogField::TimeCommon => {
                time::common(*now, out);
                return Some(Value::Own);
            }
            LogField::TimeUnix => {
                time::unix(*now, out);
                return Some(Value::Bare);
            }
            LogField::RequestId => out.extend_from_slice(record.id.as_bytes()),
            LogField::TraceId => return display(out, record.trace?, Value::Own),
            LogField::Client => return display(out, record.client, Value::Own),
            LogField::Listener => out.extend_from_slice(record.listener.as_bytes()),
            LogField::Route => out.extend_from_slice(record.route?.as_bytes()),
            LogField::Consumer => return look(record, CONSUMER, out),
            LogField::Method => out.extend_from_slice(request?.method.as_str().as_bytes()),
            LogField::Scheme => {
                out.extend_from_slice(if request?.is_https { b"https" } else { b"http" });
            }
            LogField::Host => match request?.uri.authority() {
                Some(authority) => {
                    let text = authority.as_str();
                    // Without a user and a password in front of it.
                    let host = text.rsplit_once('@').map_or(text, |(_, host)| host);
                    out.extend_from_slice(host.as_bytes());
                }
                None => return self.header(&kept.request, redact, out),
            },
            LogField::Path => out.extend_from_slice(request?.uri.path().as_bytes()),
            LogField::Query => redact::query(request?.uri.query()?.as_bytes(), redact, out),
            LogField::Uri => uri(request?, redact, out),
            LogField::Protocol => out.extend_from_slice(protocol(request?.version)),
            LogField::Request => {
                let request = request?;
                out.extend_from_slice(request.method.as_str().as_bytes());
                out.push(b' ');
                uri(request, redact, out);
                // What is cut off is the end of the target, and not the version.
                out.truncate(MAX_VALUE - 16);
                out.push(b' ');
                out.extend_from_slice(protocol(request.version));
            }
            LogField::Status => return display(out, record.status?.as_u16(), Value::Bare),
            LogField::Uploaded => return display(out, record.uploaded, Value::Bare),
            LogField::Downloaded => return display(out, record.downloaded, Value::Bare),
            LogField::FirstByteMs => {
                return display(out, milliseconds(record.first_byte?), Value::Bare);
            }
            LogField::DurationMs => {
                return display(out, milliseconds(record.duration), Value::Bare);
            }
            LogField::Duration => {
                let (seconds, millis) =
                    (record.duration.as_secs(), record.duration.subsec_millis());
                return display(out, format_args!("{seconds}.{millis:03}"), Value::Bare);
            }
            LogField::Upstream => out.extend_from_slice(way.target?.as_bytes()),
            LogField::Variant => out.extend_from_slice(record.variant?.as_bytes()),
            LogField::UpstreamName => out.extend_from_slice(record.upstream_name?.as_bytes()),
            LogField::Attempts => return display(out, way.attempts?, Value::Text),
            LogField::Left => return display(out, record.left, Value::Bare),
            LogField::Fault => {
                out.extend_from_slice((*failure)?.error_source().as_str().as_bytes())
            }
            LogField::Cause => {
                out.extend_from_slice(process::cause(way, (*failure)?).as_bytes());
            }
            LogField::RequestHeader(_) => return self.header(&kept.request, redact, out),
            LogField::ResponseHeader(_) => return self.header(&kept.response, redact, out),
            LogField::Attribute(name) => {
                let found = look(record, name, out)?;
                if self.is_secret {
                    out.clear();
                    out.extend_from_slice(redact::REDACTED);
                }
                return Some(found);
            }
        }
        Some(Value::Text)
    }

    /// All values of a field of a head, as a list.
    fn header(
        &self,
        kept: &[(u16, HeaderValue)],
        more: &[String],
        out: &mut Vec<u8>,
    ) -> Option<Value> {
        let mut is_there = false;
        for (_, value) in kept.iter().filter(|(place, _)| *place == self.place) {
            if is_there {
                out.extend_from_slice(b", ");
            }
            is_there = true;
            if self.is_secret {
                out.extend_from_slice(redact::REDACTED);
            } else if self.is_url {
                redact::url(value.as_bytes(), more, out);
            } else {
                out.extend_from_slice(value.as_bytes());
            }
        }
        is_there.then_some(Value::Text)
    }
}

fn uri(request: &RequestLine<'_>, more: &[String], out: &mut Vec<u8>) {
    out.extend_from_slice(request.uri.path().as_bytes());
    if let Some(query) = request.uri.query() {
        out.push(b'?');
        redact::query(query.as_bytes(), more, out);
    }
}

fn place(name: &HeaderName, names: &mut Vec<HeaderName>) -> u16 {
    let place = names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.clone());
        names.len() - 1
    });
    u16::try_from(place).unwrap_or(u16::MAX)
}

fn look(record: &Record<'_>, name: &str, out: &mut Vec<u8>) -> Option<Value> {
    let mut is_there = false;
    record.attributes?.look(name, &mut |value| {
        is_there = true;
        out.extend_from_slice(value.as_bytes());
    });
    is_there.then_some(Value::Text)
}

fn display(out: &mut Vec<u8>, value: impl std::fmt::Display, kind: Value) -> Option<Value> {
    // Writing to a vector does not fail.
    let _written = write!(out, "{value}");
    Some(kind)
}

fn protocol(version: Version) -> &'static [u8] {
    match version {
        Version::HTTP_10 => b"HTTP/1.0",
        Version::HTTP_11 => b"HTTP/1.1",
        Version::HTTP_2 => b"HTTP/2.0",
        _ => b"HTTP",
    }
}
