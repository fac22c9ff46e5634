//! The names of what a line can say.
//!
//! Owns these names, for templates and for `fields`.

use http::HeaderName;

use super::LogField;
use crate::config::fault::Fault;
use crate::config::suggest;

/// Names that are whole.
const NAMES: [(&str, LogField); 30] = [
    ("time", LogField::Time),
    ("time_common", LogField::TimeCommon),
    ("time_unix", LogField::TimeUnix),
    ("request_id", LogField::RequestId),
    ("trace_id", LogField::TraceId),
    ("client", LogField::Client),
    ("listener", LogField::Listener),
    ("route", LogField::Route),
    ("consumer", LogField::Consumer),
    ("method", LogField::Method),
    ("scheme", LogField::Scheme),
    ("host", LogField::Host),
    ("path", LogField::Path),
    ("query", LogField::Query),
    ("uri", LogField::Uri),
    ("protocol", LogField::Protocol),
    ("request", LogField::Request),
    ("status", LogField::Status),
    ("uploaded", LogField::Uploaded),
    ("downloaded", LogField::Downloaded),
    ("first_byte_ms", LogField::FirstByteMs),
    ("duration_ms", LogField::DurationMs),
    ("duration", LogField::Duration),
    ("upstream", LogField::Upstream),
    ("upstream_name", LogField::UpstreamName),
    ("variant", LogField::Variant),
    ("attempts", LogField::Attempts),
    ("left", LogField::Left),
    ("fault", LogField::Fault),
    ("cause", LogField::Cause),
];

/// Names that end in one of the user's.
const PREFIXES: [&str; 3] = ["request.header.", "response.header.", "attribute."];

/// Attributes that the gateway sets, and which field has the same.
const OWN: [(&str, &str); 8] = [
    ("client.address", "client"),
    ("request.id", "request_id"),
    ("request.scheme", "scheme"),
    ("request.host", "host"),
    ("listener.name", "listener"),
    ("route.name", "route"),
    ("route.variant", "variant"),
    ("upstream.name", "upstream_name"),
];

/// Beginnings of attributes that plugins cannot set.
const RESERVED: [&str; 6] = ["client.", "request.", "listener.", "route.", "upstream.", "capture."];

/// The fields of a JSON line where the configuration names none.
pub(super) const DEFAULTS: [&str; 25] = [
    "time",
    "listener",
    "route",
    "request_id",
    "trace_id",
    "client",
    "consumer",
    "method",
    "scheme",
    "host",
    "path",
    "query",
    "protocol",
    "status",
    "uploaded",
    "downloaded",
    "first_byte_ms",
    "duration_ms",
    "upstream",
    "attempts",
    "left",
    "fault",
    "cause",
    "request.header.user-agent",
    "request.header.referer",
];

/// The field of a name; the places of a fault are in the name.
pub(super) fn parse(name: &str) -> Result<LogField, Fault> {
    if let Some((_, field)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Ok(field.clone());
    }
    if let Some(header) = name.strip_prefix(PREFIXES[0]) {
        return header_name(name, header).map(LogField::RequestHeader);
    }
    if let Some(header) = name.strip_prefix(PREFIXES[1]) {
        return header_name(name, header).map(LogField::ResponseHeader);
    }
    if let Some(attribute) = name.strip_prefix(PREFIXES[2]) {
        return attribute_name(name, attribute);
    }
    let fault = Fault::new(0..name.len(), format!("there is no field `{}`", name.escape_debug()));
    let names = NAMES.iter().map(|(known, _)| *known);
    if let Some(meant) = suggest::closest(name, names) {
        return Err(fault.help(format!("did you mean `{meant}`?")));
    }
    // `header.x`, `requests.header.x`
    if let Some((_, header)) = name.rsplit_once("header.").or_else(|| name.rsplit_once("headers."))
    {
        return Err(fault.help(format!("did you mean `request.header.{header}`?")));
    }
    let all: Vec<_> = NAMES.iter().map(|(known, _)| format!("`{known}`")).collect();
    Err(fault.help(format!(
        "its fields are {}, `request.header.NAME`, `response.header.NAME` and `attribute.NAME`",
        all.join(", ")
    )))
}

fn header_name(whole: &str, header: &str) -> Result<HeaderName, Fault> {
    HeaderName::from_bytes(header.as_bytes()).map_err(|_| {
        let place = whole.len() - header.len()..whole.len();
        let fault = format!("`{}` is no name of a header field", header.escape_debug());
        Fault::new(place, fault).help("write it like `request.header.user-agent`")
    })
}

fn attribute_name(whole: &str, attribute: &str) -> Result<LogField, Fault> {
    let place = whole.len() - attribute.len()..whole.len();
    if attribute.is_empty() {
        let fault = Fault::new(0..whole.len(), "the attribute has no name");
        return Err(fault.help("write it like `attribute.consumer.id`"));
    }
    if RESERVED.iter().any(|prefix| attribute.starts_with(prefix)) {
        let fault = format!("`{}` is not set by plugins", attribute.escape_debug());
        let fault = Fault::new(place, fault);
        return Err(match OWN.iter().find(|(known, _)| *known == attribute) {
            Some((_, field)) => fault.help(format!("write `{field}`, the field that has the same")),
            None => fault.help("`attribute.NAME` is for those that plugins set"),
        });
    }
    Ok(LogField::Attribute(attribute.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_field() {
        DEFAULTS.iter().for_each(|name| drop(parse(name).unwrap()));
    }

    #[test]
    fn says_what_was_meant() {
        let help = |name: &str| parse(name).unwrap_err().help.unwrap();
        assert_eq!(help("statsu"), "did you mean `status`?");
        assert_eq!(help("header.x-a"), "did you mean `request.header.x-a`?");
        assert_eq!(help("attribute.route.name"), "write `route`, the field that has the same");
        assert!(help("zzz").contains("`time_common`"), "{}", help("zzz"));
        assert_eq!(parse("request.header.ä").unwrap_err().place, 15..17);
        assert_eq!(
            parse("request.header.X-A"),
            Ok(LogField::RequestHeader(HeaderName::from_static("x-a")))
        );
    }
}
