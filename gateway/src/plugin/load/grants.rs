//! What a plugin is granted of what its component imports.
//!
//! Owns the refusal of imports that nobody offers or granted, with what to write to grant them.

use wasmtime::Engine;
use wasmtime::component::Component;

use super::imports::{Import, asks_alone, import};
use super::refusal::refused;
use super::{LoadError, version};
use crate::config::{self, Grant};
use crate::plugin::host::INTERFACES;

/// Refuses imports that are not known, not of this version, or not granted.
pub(super) fn check_imports(
    engine: &Engine,
    config: &config::Plugin,
    component: &Component,
) -> Result<(), Vec<LoadError>> {
    let mut errors = Vec::new();
    let mut missing = Vec::new();
    for (name, wanted) in component.component_type().imports(engine) {
        match import(name) {
            Import::Wasi => {}
            Import::Host(index) => {
                let grant = INTERFACES[index].grant;
                if let Some(grant) = grant
                    && !is_granted(config, grant)
                    && !(grant == Grant::Attempts && asks_alone(&wanted.ty, engine))
                {
                    missing.push(grant);
                }
            }
            Import::OtherVersion(version) => errors.push(refused(
                format!(
                    "it imports `{name}`, and this gateway serves gateway:plugin {}, not \
                     {version}",
                    version::served()
                ),
                Some(
                    "build it against this gateway's `wit/`: `gateway plugin wit` writes it".into(),
                ),
            )),
            Import::Unknown => {
                errors.push(refused(
                    format!("it imports `{name}`, which this gateway does not offer"),
                    None,
                ));
            }
        }
    }
    if !missing.is_empty() {
        errors.push(ungranted(config, &missing));
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// A first-party component comes with the binary: it is granted what it imports, unless the
/// configuration lists its grants.
fn is_granted(config: &config::Plugin, grant: Grant) -> bool {
    let is_listed = match grant {
        Grant::Documents => config.documents.as_ref().map(|_| true),
        Grant::Events => config.events.as_ref().map(|_| true),
        Grant::Keys => config.keys.as_ref().map(|_| true),
        Grant::Secrets => config.secrets.as_ref().map(|_| true),
        Grant::HttpClient => config.upstreams.as_ref().map(|_| true),
        _ => config.grants.as_ref().map(|grants| grants.contains(&grant)),
    };
    is_listed.unwrap_or(matches!(config.component, config::Component::BuiltIn(_)))
}

/// The key that grants an interface by naming what may be reached through it.
pub(in crate::plugin) fn key_of(grant: Grant) -> Option<&'static str> {
    match grant {
        Grant::Documents => Some("documents"),
        Grant::Events => Some("events"),
        Grant::Keys => Some("keys"),
        Grant::Secrets => Some("secrets"),
        Grant::HttpClient => Some("upstreams"),
        Grant::Attempts
        | Grant::Cache
        | Grant::KeyValue
        | Grant::Limiter
        | Grant::Metrics
        | Grant::Password
        | Grant::Signature
        | Grant::Slots
        | Grant::Usage => None,
    }
}

fn ungranted(config: &config::Plugin, missing: &[Grant]) -> LoadError {
    let names = |grants: &[Grant]| {
        let quoted: Vec<_> =
            grants.iter().map(|grant| format!("\"{}\"", grant_name(*grant))).collect();
        quoted.join(", ")
    };
    let by_name = missing.iter().copied().filter(|grant| key_of(*grant).is_none());
    let mut all = config.grants.clone().unwrap_or_default();
    let before = all.len();
    all.extend(by_name);
    let mut lines = Vec::new();
    if all.len() > before {
        lines.push(format!("`grants = [{}]`", names(&all)));
    }
    let keys = missing.iter().filter_map(|grant| key_of(*grant));
    lines.extend(keys.map(|key| format!("`{key} = [\"NAME\"]`, with the {key} that it may use,")));
    let lines = lines.join(" and ");
    refused(
        format!("it imports what it was not granted: {}", names(missing)),
        Some(format!("to grant it, write {lines} beside `component`")),
    )
}

pub(super) fn grant_name(grant: Grant) -> &'static str {
    let known = INTERFACES.iter().find(|interface| interface.grant == Some(grant));
    known.map_or("", |interface| interface.name)
}
