//! What a plugin was granted and does not import.
//!
//! Owns the warning: a grant too many is a right that nobody meant to give, or a component that is not the one that
//! was meant.

use std::collections::HashSet;

use wasmtime::component::Component;

use super::grants::grant_name;
use super::imports::{Import, import};
use super::key_of;
use super::refusal::{LoadError, refused};
use crate::config::{self, Grant};
use crate::plugin::host::INTERFACES;
use crate::plugin::instance::Instance;

const WORDS_OF_DOCUMENTS: &str = "nothing in its `config` is about";
const WORDS: &str = "it is granted what it does not import";

/// Whether it is such a warning.
pub(super) fn is_about_grants(warning: &LoadError) -> bool {
    warning.message.starts_with(WORDS)
}

/// Warns of grants that the component has no use for.
pub(super) fn unused_grants(config: &config::Plugin, component: &Component) -> Option<LoadError> {
    let ty = component.component_type();
    let imported: HashSet<_> = ty
        .imports(component.engine())
        .filter_map(|(name, _)| match import(name) {
            Import::Host(index) => INTERFACES[index].grant.map(grant_name),
            Import::Wasi | Import::OtherVersion(_) | Import::Unknown => None,
        })
        .collect();
    let by_key = |grant: Grant, is_there: bool| is_there.then_some(grant);
    let by_key = [
        by_key(Grant::Secrets, config.secrets.as_ref().is_some_and(|it| !it.is_empty())),
        by_key(Grant::Documents, config.documents.as_ref().is_some_and(|it| !it.is_empty())),
        by_key(Grant::Events, config.events.as_ref().is_some_and(|it| !it.is_empty())),
        by_key(Grant::Keys, config.keys.as_ref().is_some_and(|it| !it.is_empty())),
        by_key(Grant::HttpClient, config.upstreams.as_ref().is_some_and(|it| !it.is_empty())),
    ];
    let by_name = config.grants.iter().flatten().copied();
    let granted = by_name.chain(by_key.into_iter().flatten());
    let unused: Vec<_> = granted.filter(|grant| !imported.contains(grant_name(*grant))).collect();
    if unused.is_empty() {
        return None;
    }
    let names: Vec<_> = unused.iter().map(|grant| format!("`{}`", grant_name(*grant))).collect();
    let mut keys: Vec<_> =
        unused.iter().map(|grant| format!("`{}`", key_of(*grant).unwrap_or("grants"))).collect();
    keys.dedup();
    let message = format!("{WORDS}: {}", names.join(", "));
    let note = format!("take it out of {}", keys.join(" and "));
    Some(LoadError { note: Some(note.into()), ..refused(message, None) })
}

/// Warns of documents that a configured plugin did not ask for.
pub(super) fn unused_documents(instance: &Instance) -> Option<LoadError> {
    let unused = instance.unasked_documents();
    if unused.is_empty() {
        return None;
    }
    let names: Vec<_> = unused.iter().map(|name| format!("`{name}`")).collect();
    let (documents, names) =
        (if unused.len() == 1 { "document" } else { "documents" }, names.join(", "));
    let message = format!("{WORDS_OF_DOCUMENTS} the {documents} {names}");
    let note = "name it in `config`, or take it out of `documents`";
    Some(LoadError { note: Some(note.into()), ..refused(message, None) })
}
