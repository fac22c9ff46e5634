//! `[traces]`.
//!
//! Owns where spans go and which. Must not reach the collector: one that is away is no fault of the
//! configuration.

use http::header::HOST;
use http::{HeaderName, HeaderValue, Uri};

use super::certificates;
use super::diagnostic::Diagnostic;
use super::fault::Fault;
use super::reader::{Table, Text};
use super::route::action::OWN_FIELDS;
use super::route::matcher::header_name;
use super::upstream::target;
use super::{Collector, CollectorProtocol, Incoming, Traces};

/// The path of spans in OTLP over HTTP.
const PATH: &str = "/v1/traces";

/// Reads `[traces]`.
pub(super) fn read(table: &Table<'_, '_>) -> Option<Traces> {
    let protocol = match table.choice("protocol") {
        "grpc" => CollectorProtocol::Grpc,
        _ => CollectorProtocol::Http,
    };
    let endpoint = table.word("endpoint");
    let is_given = endpoint.is_some();
    let endpoint = endpoint
        .and_then(|text| table.reading.parsed(&text, "a URL", |text| endpoint_of(text, protocol)));
    let headers = headers(table);
    let ca = table.word("ca").and_then(|file| certificates::authorities(table.reading, &file));
    if let (Some(endpoint), Some(value)) = (&endpoint, table.value("ca"))
        && endpoint.starts_with("http://")
    {
        let error = Diagnostic::error(value.span(), "`ca` is for a collector over TLS alone");
        table.reading.report(error.label("`endpoint` is `http://`").help("leave it out"));
    }
    if !is_given {
        refuse_without_endpoint(table);
    }
    let is_compressed = table.choice("compression") == "gzip";
    let timeout = table.duration("timeout").unwrap_or_default();
    let collector = endpoint.map(|endpoint| Collector {
        endpoint,
        protocol,
        is_compressed,
        headers,
        ca,
        timeout,
    });
    if is_given && collector.is_none() {
        return None;
    }
    let service = table.word("service_name").map(|text| text.value);
    let attributes = table.text_map("attributes").into_iter();
    Some(Traces {
        collector,
        service: service.unwrap_or_else(|| table.default("service_name").to_owned()),
        attributes: attributes.map(|(name, value)| (name.value, value.value)).collect(),
        sample: table.ratio("sample").unwrap_or(1.0),
        errors: table.choice("errors") == "always",
        slow: table.duration("slow"),
        incoming: match table.choice("incoming") {
            "restart" => Incoming::Restart,
            _ => Incoming::Continue,
        },
    })
}

/// The URL that spans are sent to.
fn endpoint_of(text: &str, protocol: CollectorProtocol) -> Result<String, Fault> {
    let example = match protocol {
        CollectorProtocol::Grpc => "http://127.0.0.1:4317",
        CollectorProtocol::Http => "http://127.0.0.1:4318",
    };
    let fault = |what: &str| {
        Fault::new(0..text.len(), what.to_owned()).help(format!("write it like `{example}`"))
    };
    let uri: Uri = text.parse().map_err(|_| fault("this is not a URL"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(fault("the URL begins with neither `http://` nor `https://`"));
    }
    let authority = uri.authority().filter(|authority| !authority.host().is_empty());
    let authority = authority.ok_or_else(|| fault("the URL names no host"))?;
    if authority.as_str().contains('@') {
        let fault = fault("a URL is no place for a password");
        return Err(fault.help("write `headers = { authorization = \"Basic ...\" }`"));
    }
    let has_path = uri.path_and_query().is_some_and(|path| path.as_str() != "/");
    match protocol {
        CollectorProtocol::Grpc if has_path => Err(fault("gRPC takes a URL without a path")),
        CollectorProtocol::Http if !has_path => Ok(format!("{}{PATH}", text.trim_end_matches('/'))),
        CollectorProtocol::Grpc | CollectorProtocol::Http => Ok(text.to_owned()),
    }
}

/// `headers`, whose values may be secrets.
pub(super) fn headers(table: &Table<'_, '_>) -> Vec<(HeaderName, HeaderValue)> {
    let read = |(name, value): (Text, Text)| {
        let place = name.span.clone();
        let name = header_name(table.reading, &name)?;
        if OWN_FIELDS.contains(&name.as_str()) {
            let error = Diagnostic::error(place, format!("the gateway sets `{name}` itself"));
            table.reading.report(error.help("leave it out"));
            return None;
        }
        let Ok(mut parsed) = HeaderValue::from_str(&value.value) else {
            let error = format!("the value of `{name}` has a character that no header may have");
            table.reading.report(Diagnostic::error(value.span, error));
            return None;
        };
        if name == HOST && target::host_and_port(&value.value).is_err() {
            let error = Diagnostic::error(value.span, "this is no host, with a port or without");
            table.reading.report(error.help("write it like `host = \"events.example.com\"`"));
            return None;
        }
        parsed.set_sensitive(true);
        Some((name, parsed))
    };
    table.text_map("headers").into_iter().filter_map(read).collect()
}

/// What has no meaning where nothing is exported.
fn refuse_without_endpoint(table: &Table<'_, '_>) {
    for name in ["headers", "ca", "timeout", "compression", "protocol", "slow"] {
        let Some(value) = table.value(name) else { continue };
        let error = Diagnostic::error(value.span(), format!("`{name}` is for a collector"));
        let error = error.label("there is no `endpoint`");
        table.reading.report(error.help("add `endpoint = \"http://127.0.0.1:4318\"`"));
    }
}
