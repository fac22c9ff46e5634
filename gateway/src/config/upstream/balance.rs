//! `balance`, `hash_by`, `slow_start` and priorities of an upstream.
//!
//! Owns what of them contradicts the rest. Must not choose a target.

use std::time::Duration;

use http::HeaderName;

use crate::config::diagnostic::Diagnostic;
use crate::config::fault::Fault;
use crate::config::reader::Table;
use crate::config::{Balance, HashBy, Target};

pub(super) fn balance(table: &Table<'_, '_>) -> Balance {
    match table.choice("balance") {
        "least_requests" => Balance::LeastRequests,
        "peak_ewma" => Balance::PeakEwma,
        "consistent_hash" => Balance::ConsistentHash,
        _ => Balance::RoundRobin,
    }
}

pub(super) fn hash_by(table: &Table<'_, '_>) -> HashBy {
    let Some(text) = table.word("hash_by") else { return HashBy::default() };
    if balance(table) != Balance::ConsistentHash {
        let warning = "`hash_by` has no effect: `balance` is not `consistent_hash`";
        table.reading.report(Diagnostic::warning(text.span.clone(), warning));
    }
    table.reading.parsed(&text, "what a request is hashed by", parse).unwrap_or_default()
}

fn parse(text: &str) -> Result<HashBy, Fault> {
    let fault = |start: usize, what: String| Fault::new(start..text.len(), what);
    if text == "client.address" {
        return Ok(HashBy::ClientAddress);
    }
    if let Some(name) = text.strip_prefix("header:") {
        let header = name.parse::<HeaderName>().map(HashBy::Header);
        return header.map_err(|_| fault(7, format!("`{name}` is not a field name")));
    }
    if let Some(name) = text.strip_prefix("cookie:") {
        // A token, as names of cookies are, and names of fields too.
        return match name.parse::<HeaderName>() {
            Ok(_) => Ok(HashBy::Cookie(name.to_owned())),
            Err(_) => Err(fault(7, format!("`{name}` is not the name of a cookie"))),
        };
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
    if !text.is_empty() && text.len() <= 128 && text.chars().all(fits) {
        return Ok(HashBy::Attribute(text.to_owned()));
    }
    let fault = fault(0, format!("`{text}` is no attribute"));
    Err(fault.help("there are `header:NAME`, `cookie:NAME` and attributes such as `consumer.id`"))
}

pub(super) fn slow_start(table: &Table<'_, '_>) -> Duration {
    let time = table.duration("slow_start").unwrap_or_default();
    if !time.is_zero()
        && balance(table) == Balance::ConsistentHash
        && let Some(place) = table.key_span("slow_start")
    {
        let warning = "`slow_start` has no effect with `consistent_hash`: keys would move twice";
        table.reading.report(Diagnostic::warning(place, warning));
    }
    time
}

pub(super) fn warn_of_one_priority(table: &Table<'_, '_>, targets: &[Target]) {
    let Some(first) = targets.first() else { return };
    if targets.iter().all(|target| target.priority == first.priority)
        && let Some(place) = table.key_span("overprovisioning")
    {
        let warning = "`overprovisioning` has no effect: all targets have one priority";
        table.reading.report(Diagnostic::warning(place, warning));
    }
}
