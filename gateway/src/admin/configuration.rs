//! `GET /config` and `GET /config/diff`.
//!
//! Owns what is said of the configuration in force and of the file that it was read from. What may be a
//! secret is masked where the file is read as it is written.

use http::StatusCode;
use serde_json::{Value, json};

use super::Admin;
use super::call::{Answer, Call, Refusal, Reply};
use super::in_force::sha256;
use crate::config::{Change, Known, Source, Written, load};
use crate::first_party;

/// Changes that are shown, at most.
const CHANGES: usize = 1_000;

pub(super) fn in_force(admin: &Admin, call: &Call) -> Answer {
    call.known([])?;
    let in_force = admin.in_force();
    let (reloads, refused) = admin.0.metrics.reload_counts();
    Ok(Reply::json(json!({
        "source": in_force.config.source.path().display().to_string(),
        "sha256": in_force.sha256,
        "generation": in_force.generation,
        "loaded_at": in_force.since,
        "reloads": { "in_force": reloads, "refused": refused },
        "configuration": written(&in_force.config.source)?.masked(),
    })))
}

fn written(source: &Source) -> Result<Written, Refusal> {
    let is_no_toml = || {
        let why = "the configuration was not read from TOML";
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, why)
    };
    Written::of(source).ok_or_else(is_no_toml)
}

/// The text is read and checked; plugins are not loaded, which a dry run of a reload does.
pub(super) fn diff(admin: &Admin, call: &Call) -> Answer {
    call.known([])?;
    let in_force = admin.in_force();
    let source = &in_force.config.source;
    let names = first_party::names();
    let environment = |name: &str| std::env::var_os(name);
    let loaded = load(source.path(), &environment, &Known { built_in: &names });
    let (is_valid, findings) = match loaded {
        Ok(loaded) => (true, loaded.warnings),
        Err(findings) => (false, findings),
    };
    let on_disk = findings.source();
    // A file that cannot be read, or is no TOML, has findings that say so.
    let changes = match Written::of(on_disk) {
        Some(after) if !on_disk.text().is_empty() => Some(written(source)?.changes(&after)),
        _ => None,
    };
    let shown: Option<Vec<Value>> =
        changes.as_ref().map(|changes| changes.iter().take(CHANGES).map(Change::to_json).collect());
    Ok(Reply::json(json!({
        "source": source.path().display().to_string(),
        "in_force": { "sha256": in_force.sha256, "generation": in_force.generation },
        "on_disk": {
            "sha256": sha256(on_disk.text()),
            "valid": is_valid,
            "findings": findings.to_json(),
        },
        "same_text": source.text() == on_disk.text(),
        "total": changes.map(|changes| changes.len()),
        "changes": shown,
    })))
}
