//! `balance`, `hash_by`, `slow_start` and priorities of an upstream.
//!
//! Owns what of them contradicts the rest. Must not choose a target.

use std::time::Duration;

use crate::config::diagnostic::Diagnostic;
use crate::config::reader::Table;
use crate::config::{Balance, StickyKey, Target, split};

pub(super) fn balance(table: &Table<'_, '_>) -> Balance {
    match table.choice("balance") {
        "least_requests" => Balance::LeastRequests,
        "peak_ewma" => Balance::PeakEwma,
        "consistent_hash" => Balance::ConsistentHash,
        _ => Balance::RoundRobin,
    }
}

pub(super) fn hash_by(table: &Table<'_, '_>, balance: Balance) -> StickyKey {
    let Some(text) = table.word("hash_by") else { return StickyKey::default() };
    if balance != Balance::ConsistentHash {
        let warning = "`hash_by` has no effect: `balance` is not `consistent_hash`";
        table.reading.report(Diagnostic::warning(text.span.clone(), warning));
    }
    table
        .reading
        .parsed(&text, "what a request is hashed by", split::sticky_key)
        .unwrap_or_default()
}

pub(super) fn slow_start(table: &Table<'_, '_>, balance: Balance) -> Duration {
    let time = table.duration("slow_start").unwrap_or_default();
    if !time.is_zero()
        && balance == Balance::ConsistentHash
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
