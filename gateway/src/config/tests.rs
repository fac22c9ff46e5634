//! Whole files through [`read`](super::read) and [`load`](super::load).
//!
//! Owns a small valid file to put faults into, and the look at what is found.

mod access_logs;
mod advice;
mod cache_use;
mod caches;
mod dns;
mod events;
mod examples;
mod files;
mod fuzz;
mod health;
mod loading;
mod mutual_tls;
mod only_if;
mod recorder;
mod refusals;
mod rendering;
mod retries;
mod routes;
mod secrets;
mod split;
mod state_use;
mod stores;
mod traces;
mod usage;

use std::ffi::OsString;

use super::{Diagnostics, Known, Loaded, Severity, Source, read};

/// The first-party components of these tests.
const KNOWN: Known<'_> = Known { built_in: &["lock", "meter"] };

fn environment(name: &str) -> Option<OsString> {
    let value = match name {
        "SECRET" => "hunter2",
        "GREET_TOKEN" | "HELLO_TOKEN" | "OTLP_TOKEN" | "REDIS_PASSWORD" => "token",
        "STRIPE_KEY" => "sk",
        "GATEWAY_DEBUG" => "0123456789abcdef",
        "SPACED" => "0123456789 abcdef",
        "PORT" => "8088",
        _ => return None,
    };
    Some(value.into())
}

fn check(text: &str) -> Result<Loaded, Diagnostics> {
    read(Source::new("gateway.toml", text), &environment, &KNOWN)
}

/// A valid file with more keys in its listener, its upstream and its route, and more tables.
fn file(listener: &str, upstream: &str, tables: &str, route: &str) -> String {
    format!(
        "[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\n{listener}\n\
         [upstreams.u]\n{upstream}\n{tables}\n\
         [[routes]]\nname = \"r\"\n{route}\n"
    )
}

fn in_listener(keys: &str) -> String {
    file(keys, TARGETS, "", FORWARD)
}

fn in_upstream(keys: &str) -> String {
    file("", keys, "", FORWARD)
}

fn in_route(keys: &str) -> String {
    file(
        "",
        TARGETS,
        "[plugins.p]\ncomponent = \"lock\"\n[[routes]]\nname = \"user\"\n\
         paths = [\"/user\"]\nplugins = [\"p\"]\nupstream = \"u\"",
        keys,
    )
}

fn in_plugin(keys: &str) -> String {
    file("", TARGETS, &format!("[plugins.p]\n{keys}"), &format!("{FORWARD}\nplugins = [\"p\"]"))
}

const TARGETS: &str = "targets = [\"http://127.0.0.1:9\"]";
const FORWARD: &str = "paths = [\"/{*rest}\"]\nupstream = \"u\"";

/// Everything found in a text: severity, message, the text under the caret, and the advice.
fn findings(text: &str) -> Vec<(Severity, String, String, String)> {
    let diagnostics = match check(text) {
        Ok(loaded) => loaded.warnings,
        Err(diagnostics) => diagnostics,
    };
    let source = diagnostics.source();
    let under = |span: &super::Span| source.text()[source.on_first_line(span)].to_owned();
    let found = diagnostics.iter().map(|found| {
        let under = found.span.as_ref().map(under).unwrap_or_default();
        (found.severity, found.message.clone(), under, found.help.join("; "))
    });
    found.collect()
}

/// The text has this one error and no other finding.
#[track_caller]
fn refuses(text: &str, message: &str, under: &str, help: &str) {
    let expected = (Severity::Error, message.to_owned(), under.to_owned(), help.to_owned());
    assert_eq!(findings(text), [expected], "{text}");
}

/// The text runs, with this one warning.
#[track_caller]
fn warns(text: &str, message: &str, under: &str) {
    assert!(check(text).is_ok(), "{text}");
    let found = findings(text);
    let found: Vec<_> = found.iter().map(|(_, message, under, _)| (&**message, &**under)).collect();
    assert_eq!(found, [(message, under)], "{text}");
}
