//! The predicates of a route besides its paths.
//!
//! Owns hosts, methods, headers and query parameters.

use http::{HeaderName, Method};

use super::host;
use super::path::Paths;
use crate::config::diagnostic::Diagnostic;
use crate::config::fault::Fault;
use crate::config::reader::{Reading, Table, Text};
use crate::config::{HostPattern, RouteMatcher, ValuePattern};

/// Methods that everyone knows, for those who write them in lower case.
const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// Reads everything that a route asks of a request.
pub(super) fn read(table: &Table<'_, '_>, paths: &Paths) -> RouteMatcher {
    RouteMatcher {
        hosts: hosts(table),
        paths: paths.patterns.iter().map(|(pattern, _)| pattern.clone()).collect(),
        methods: methods(table),
        headers: headers(table),
        query: query(table),
    }
}

fn hosts(table: &Table<'_, '_>) -> Vec<HostPattern> {
    list(table, "hosts", "a host", host::parse)
}

pub(in crate::config) fn methods(table: &Table<'_, '_>) -> Vec<Method> {
    list(table, "methods", "a method", |text| {
        let fault = || Fault::new(0..text.len(), format!("`{text}` is not a method"));
        let upper = text.to_ascii_uppercase();
        if upper != text && METHODS.contains(&&*upper) {
            return Err(fault().help(format!("methods are case-sensitive: write `{upper}`")));
        }
        if text == "*" {
            return Err(fault().help("leave `methods` out to match any method"));
        }
        Method::from_bytes(text.as_bytes()).map_err(|_| fault())
    })
}

/// The elements of a list that parse; one that is twice is kept once, with a warning.
fn list<T: PartialEq>(
    table: &Table<'_, '_>,
    key: &str,
    what: &str,
    parse: impl Fn(&str) -> Result<T, Fault>,
) -> Vec<T> {
    let mut found: Vec<(T, Text)> = Vec::new();
    for item in table.filled_list(key).unwrap_or_default() {
        let Some(text) = table.reading.text(item, what) else {
            continue;
        };
        let Some(value) = table.reading.parsed(&text, what, &parse) else {
            continue;
        };
        match found.iter().find(|(earlier, _)| *earlier == value) {
            Some((_, earlier)) => table.reading.report(
                Diagnostic::warning(text.span, format!("this is listed twice in `{key}`"))
                    .related(earlier.span.clone(), "first here"),
            ),
            None => found.push((value, text)),
        }
    }
    found.into_iter().map(|(value, _)| value).collect()
}

fn headers(table: &Table<'_, '_>) -> Vec<(HeaderName, ValuePattern)> {
    let mut found: Vec<(HeaderName, ValuePattern)> = Vec::new();
    for (name, value) in table.text_map("headers") {
        let Some(parsed) = header_name(table.reading, &name) else {
            continue;
        };
        if parsed == http::header::HOST {
            let error = Diagnostic::error(name.span, "`headers` does not match the host");
            table.reading.report(error.help("write it into `hosts`"));
            continue;
        }
        if found.iter().any(|(earlier, _)| *earlier == parsed) {
            let error = format!("the header `{parsed}` is listed twice");
            table
                .reading
                .report(Diagnostic::error(name.span, error).note("names of headers have no case"));
            continue;
        }
        let valid = http::HeaderValue::from_str(&value.value);
        if valid.is_err() || value.value.trim() != value.value {
            let error = format!("no header can have the value `{}`", value.shown.escape_debug());
            table.reading.report(Diagnostic::error(value.span, error));
            continue;
        }
        found.push((parsed, pattern(value)));
    }
    found
}

/// A header's name, in lower case.
pub(in crate::config) fn header_name(reading: &Reading<'_>, name: &Text) -> Option<HeaderName> {
    let parsed = HeaderName::from_bytes(name.value.as_bytes());
    if parsed.is_err() {
        let error = format!("`{}` is not a name of a header", name.shown.escape_debug());
        let error = Diagnostic::error(name.span.clone(), error);
        let help = match name.value.strip_suffix(':') {
            Some(bare) if !name.is_secret() => format!("write it without the colon: `{bare}`"),
            _ => "a name is made of letters, digits and `-`, such as `x-user`".to_owned(),
        };
        reading.report(error.help(help));
    }
    parsed.ok()
}

fn query(table: &Table<'_, '_>) -> Vec<(String, ValuePattern)> {
    let entries = table.text_map("query").into_iter();
    entries.map(|(name, value)| (name.value, pattern(value))).collect()
}

fn pattern(value: Text) -> ValuePattern {
    if value.value == "*" { ValuePattern::Present } else { ValuePattern::Exact(value.value) }
}
