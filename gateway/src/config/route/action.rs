//! What a route does: forward, have a component answer, respond or redirect, and how a forwarded request is rewritten.
//!
//! Owns the choice of exactly one of them and the checks of each.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use toml::de::DeValue;

use super::matcher::header_name;
use super::path::{self, Paths};
use super::{Scope, template};
use crate::config::diagnostic::Diagnostic;
use crate::config::fault::Fault;
use crate::config::keys::{ACTIONS, COMPONENT, REDIRECTS};
use crate::config::reader::{Table, Text};
use crate::config::upstream::target;
use crate::config::{
    Action, ComponentId, FixedResponse, HttpComponent, Redirect, Rewrite, Template, TemplatePart,
    UpstreamId, component, split, suggest,
};

/// Header fields that the gateway sets itself (RFC 9110 section 7.6.1 and framing).
pub(in crate::config) const OWN_FIELDS: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Reads the one action of a route.
pub(super) fn read(
    table: &Table<'_, '_>,
    scope: &Scope<'_>,
    paths: &Paths,
    name: Option<&Text>,
) -> Option<Action> {
    refuse_all_but_one(table);
    let upstream = table.word("upstream").and_then(|name| {
        scope.upstreams.find(table.reading, &name, "a `[upstreams.NAME]` table with `targets`")
    });
    let has_plugins = table.list("plugins").is_some_and(|plugins| !plugins.is_empty());
    let split = table
        .given_table("split")
        .and_then(|given| split::read(&given, scope.upstreams, name, (paths, has_plugins)));
    let component = component(table, scope, name);
    let respond = table.given_table("respond").map(|respond| fixed_response(&respond));
    let redirect = table.given_table("redirect").and_then(|table| redirect(&table, paths));
    upstream
        .map(|index| Action::Forward(UpstreamId(index)))
        .or(split.map(Box::new).map(Action::Split))
        .or(component.map(Action::Component))
        .or(respond.map(Action::Respond))
        .or(redirect.map(Action::Redirect))
}

/// The component that is named, or the one of the file or the table that replaces a
/// name. Routes that name the same file share its component.
fn component(
    table: &Table<'_, '_>,
    scope: &Scope<'_>,
    route: Option<&Text>,
) -> Option<ComponentId> {
    let value = table.value("component")?;
    let mut all = scope.all_components.borrow_mut();
    match value.get_ref() {
        DeValue::Table(_) => {
            let route = route.map_or("?", |name| &name.value);
            let inline = Table::open(table.reading, value, &COMPONENT)?;
            all.push(component::read(&format!("{route}.component"), &inline, scope.upstreams));
        }
        DeValue::String(_) => {
            let word = table.word("component")?;
            if !component::is_file(&word) {
                let declared = "a `[components.NAME]` table with `file`, or write `./NAME.wasm`";
                return scope.components.find(table.reading, &word, declared).map(ComponentId);
            }
            let same = |known: &Option<HttpComponent>| {
                known.as_ref().is_some_and(|known| known.name == word.shown)
            };
            if let Some(known) = all.iter().position(same) {
                return Some(ComponentId(known));
            }
            all.push(component::of_file(table.reading, &word));
        }
        _ => {
            let error = table.reading.wrong_type(value, "`component`", "a name or a table");
            table.reading.report(error);
            return None;
        }
    }
    Some(ComponentId(all.len() - 1))
}

fn refuse_all_but_one(table: &Table<'_, '_>) {
    let found: Vec<_> =
        ACTIONS.iter().filter_map(|key| Some((*key, table.key_span(key)?))).collect();
    match found.as_slice() {
        // What was meant has its error already.
        [] if ACTIONS.iter().any(|key| table.misspells(key)) => {}
        [] => {
            let error = "`[[routes]]` has none of `upstream`, `split`, `component`, `respond` and `redirect`";
            let error = Diagnostic::error(table.span.clone(), error);
            table.reading.report_absence(
                error.label("one of them is required").help("add `upstream = \"NAME\"`"),
            );
        }
        [_] => {}
        several => {
            let names: Vec<_> = several.iter().map(|(name, _)| format!("`{name}`")).collect();
            let error = format!("`[[routes]]` has {}", names.join(" and "));
            let error = Diagnostic::error(table.span.clone(), error).label("only one is possible");
            let with_places = several.iter().fold(error, |error, (name, span)| {
                error.related(span.clone(), format!("`{name}` is here"))
            });
            table.reading.report(with_places);
        }
    }
}

fn fixed_response(table: &Table<'_, '_>) -> FixedResponse {
    let status = table.integer("status").and_then(|status| u16::try_from(status).ok());
    let status = status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or_default();
    let mut headers = HeaderMap::new();
    for (name, value) in table.text_map("headers") {
        let Some(field) = header_name(table.reading, &name) else {
            continue;
        };
        if OWN_FIELDS.contains(&field.as_str()) {
            let error = format!("the gateway sets `{field}` itself");
            table.reading.report(Diagnostic::error(name.span, error));
            continue;
        }
        let Ok(mut parsed) = HeaderValue::from_str(&value.value) else {
            let error = format!("no header can have the value `{}`", value.shown.escape_debug());
            table.reading.report(Diagnostic::error(value.span, error));
            continue;
        };
        parsed.set_sensitive(value.is_secret());
        headers.append(field, parsed);
    }
    let body = table.text("body");
    let empty = [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::NOT_MODIFIED];
    if let Some(text) = body.as_ref().filter(|text| !text.value.is_empty()) {
        if empty.contains(&status) {
            let error = format!("an answer with status {} has no body", status.as_u16());
            table.reading.report(Diagnostic::error(text.span.clone(), error));
        }
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.entry(header::CONTENT_TYPE).or_insert(plain);
    }
    let body = Bytes::from(body.map(|text| text.value).unwrap_or_default());
    FixedResponse { status, headers, body }
}

fn redirect(table: &Table<'_, '_>, paths: &Paths) -> Option<Redirect> {
    let status = table.integer("status").unwrap_or_default();
    if !REDIRECTS.contains(&status) {
        let span = table.value("status").map_or(table.span.clone(), |value| value.span());
        let error = format!("{status} is not the status of a redirect");
        let error = Diagnostic::error(span, error);
        table.reading.report(error.note("they are 301, 302, 303, 307 and 308"));
    }
    let to = table.word("to")?;
    let scheme = to.value.starts_with("https://") || to.value.starts_with("http://");
    let local = to.value.starts_with('/') || to.value.starts_with("{path}");
    if !scheme && !local {
        let fault = Fault::new(0..to.value.len(), "a redirect goes to a URL or a path");
        let fault = fault.help("begin it with `https://` or `/`");
        table.reading.report_fault(&to, "a URL or a path", fault);
    }
    let location = checked_template(table, &to, paths, &["host", "authority", "path", "query"])?;
    let status = StatusCode::from_u16(u16::try_from(status).ok()?).ok()?;
    Some(Redirect { status, location })
}

/// A template whose placeholders all have a value in every pattern of the route.
fn checked_template(
    table: &Table<'_, '_>,
    text: &Text,
    paths: &Paths,
    given: &[&str],
) -> Option<Template> {
    let parts = table.reading.parsed(text, "a template", template::parse)?;
    let captures = paths.captures();
    let mut complete = true;
    for (part, place) in &parts {
        let TemplatePart::Value(name) = part else {
            continue;
        };
        let known = given.contains(&&**name) || captures.contains(&&**name);
        if known || !paths.complete {
            continue;
        }
        complete = false;
        if text.is_secret() {
            let fault = Fault::new(place.clone(), "");
            table.reading.report_fault(text, "a template of known values", fault);
            continue;
        }
        let error = format!("`{{{name}}}` has no value");
        let error = Diagnostic::error(text.part(place.clone()), error);
        let error = match paths.without(name) {
            Some((pattern, span)) => {
                error.related(span.clone(), format!("`{}` does not capture it", pattern.text))
            }
            None => error,
        };
        let names: Vec<_> = captures.iter().chain(given).copied().collect();
        let is_captured = captures.contains(&&**name) || paths.may_capture(name);
        let error = match suggest::closest(name, names.iter().copied()) {
            Some(meant) if meant != name.as_str() => error.did_you_mean(Some(meant)),
            _ if is_captured || names.is_empty() => {
                error.help(format!("let each of `paths` have `{{{name}}}`, or leave it out here"))
            }
            _ => {
                let names: Vec<_> = names.iter().map(|name| format!("`{{{name}}}`")).collect();
                error.help(format!("there are {}", names.join(", ")))
            }
        };
        table.reading.report(error);
    }
    complete.then(|| template::assemble(parts))
}

/// Reads `rewrite`, or its absence.
pub(in crate::config) fn rewrite(table: &Table<'_, '_>, paths: &Paths) -> Rewrite {
    let Some(given) = table.given_table("rewrite") else {
        return Rewrite::default();
    };
    if ["upstream", "split", "component"].iter().all(|key| table.key_span(key).is_none()) {
        let place = table.key_span("rewrite").unwrap_or_else(|| given.span.clone());
        let error = "`rewrite` goes only with `upstream`, `split` or `component`";
        let error = Diagnostic::error(place, error);
        table.reading.report_absence(error);
    }
    let prefix = |key| {
        let text = given.text(key)?;
        let prefix = given.reading.parsed(&text, "a path prefix", path::prefix)?;
        Some((prefix, text))
    };
    let strip_prefix = prefix("strip_prefix");
    if let Some((prefix, text)) = &strip_prefix {
        warn_of_idle_prefix(table, prefix, text, paths);
    }
    let add_prefix = prefix("add_prefix");
    let path = path_template(&given, paths);
    let host = given.word("host").and_then(|text| {
        given.reading.parsed(&text, "a host", |host| match host.split_once("://") {
            Some((_, rest)) => {
                let fault = Fault::new(0..host.len(), "this is a URL, and a host is meant");
                let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
                Err(fault.help(format!("write `{}`", &rest[..end])))
            }
            None => target::host_and_port(host).map(|_| host.to_owned()),
        })
    });
    Rewrite {
        strip_prefix: strip_prefix.map(|(prefix, _)| prefix),
        add_prefix: add_prefix.map(|(prefix, _)| prefix),
        path,
        host,
    }
}

fn path_template(given: &Table<'_, '_>, paths: &Paths) -> Option<Template> {
    let text = given.word("path")?;
    if let Some(span) = given.key_span("strip_prefix").or_else(|| given.key_span("add_prefix")) {
        let place = given.key_span("path").unwrap_or_else(|| text.span.clone());
        let error = "`path` goes neither with `strip_prefix` nor with `add_prefix`";
        let error = Diagnostic::error(place, error).label("a whole new path");
        given.reading.report(error.related(span, "a change of the old one"));
    }
    if !text.value.starts_with('/') {
        let fault = Fault::new(0..text.value.len(), "a path begins with `/`");
        let fault = fault.help(format!("write `/{}`", text.value));
        given.reading.report_fault(&text, "a path", fault);
    }
    if let Some(at) = text.value.find(['?', '#']) {
        let fault = Fault::new(at..text.value.len(), "a path has no query or fragment");
        let fault = fault.help("the request keeps its query");
        given.reading.report_fault(&text, "a path", fault);
    }
    checked_template(given, &text, paths, &[])
}

/// Warns of a prefix that no path of the route begins with.
fn warn_of_idle_prefix(table: &Table<'_, '_>, prefix: &str, text: &Text, paths: &Paths) {
    let idle = |(pattern, _): &&(_, _)| !path::can_begin_with(pattern, prefix);
    if let Some((pattern, span)) = paths.patterns.iter().find(idle) {
        let warning = format!("`{}` is never in front of `{}`", text.shown, pattern.text);
        let warning = Diagnostic::warning(text.span.clone(), warning);
        table.reading.report(warning.related(span.clone(), "so it is not stripped here"));
    }
}
