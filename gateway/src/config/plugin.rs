//! `[plugins.NAME]` and the plugins written inline in routes.
//!
//! Owns everything about a plugin that can be known without loading it. Which components are
//! first-party is decided by the caller.

mod settings;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cache::Caches;
use super::diagnostic::Diagnostic;
use super::document::Documents;
use super::events::EventSinks;
use super::key_set::KeySets;
use super::names::Names;
use super::reader::{Reading, Table, Text};
use super::secrets::Secrets;
use super::store::Stores;
use super::{
    Component, Document, Doubts, Grant, Isolation, Known, OnError, Plugin, PluginBounds, Secret,
    only_if, suggest, units, upstream,
};

/// What plugins refer to by name.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s> {
    pub(super) known: &'s Known<'s>,
    pub(super) upstreams: &'s Names,
    pub(super) secrets: &'s Secrets,
    pub(super) documents: &'s Documents,
    pub(super) events: &'s EventSinks,
    pub(super) keys: &'s KeySets,
    pub(super) stores: &'s Stores,
    pub(super) caches: &'s Caches,
}

/// A plugin as far as it could be read, and what is not certain of it.
pub(super) type Read = Option<(Plugin, Doubts)>;

/// Reads a plugin under its own name or the name of its place.
pub(super) fn read(name: &str, table: &Table<'_, '_>, scope: &Scope<'_>) -> Read {
    let before = table.reading.errors();
    let component = table.word("component");
    let component_span = component.as_ref().map(|text| text.span.clone());
    let component_text = component.as_ref().map(|text| text.shown.clone());
    let component = component.and_then(|text| component_of(table.reading, &text, scope.known));
    // Only its type matters here: `gateway dev` reads it, before there is a component to load.
    let _source = table.text("source");
    let outside = table.reading.errors();
    let mut settings = settings::read(table);
    let in_settings = table.reading.errors() - outside;
    if table.has_unknown_keys() && table.value("config").is_none() {
        // One of them may have been meant to be `config`.
        settings.doubtful.insert(String::new());
    }
    let on_error = match table.choice("on_error") {
        "open" => OnError::Open,
        _ => OnError::Closed,
    };
    let isolation = match table.choice("isolation") {
        "fresh" => Isolation::Fresh,
        _ => Isolation::Pooled,
    };
    let limits = table.table("limits");
    let size = |key| limits.size(key).unwrap_or_default() as usize;
    let (memory, limiter, key_value) = (size("memory"), size("limiter"), size("key_value"));
    let deadline = limits.duration("deadline").unwrap_or_default();
    let configure = limits.duration("configure").unwrap_or_default();
    let instances = limits.integer("instances").unwrap_or_default() as usize;
    let bounds = PluginBounds {
        exchange: size("exchange"),
        exchanges: size("exchanges"),
        buffered: size("buffered"),
        buffer_time: limits.duration("buffer_time").unwrap_or_default(),
        reuse: size("reuse"),
        metrics: size("metrics"),
        log_lines: limits.integer("log_lines").unwrap_or_default(),
        log_bytes: size("log_bytes"),
    };
    let queue = limits.integer("queue").unwrap_or_default() as usize;
    let limiter_use = scope.stores.limiter(table);
    let (key_value_store, on_key_value_error) = scope.stores.key_value(table);
    let cache = scope.caches.of(table);
    let grants = grants(table);
    let secrets = secrets(table, scope);
    let documents = scope.documents.granted(table);
    warn_of_long_documents(table, documents.as_deref().unwrap_or_default(), memory);
    let events = scope.events.granted(table);
    let keys = scope.keys.granted(table);
    let upstreams = upstream::granted(table, "upstreams", scope.upstreams);
    let forward_to = upstream::granted(table, "forward_to", scope.upstreams).unwrap_or_default();
    let only_if = only_if::read(table);
    let listed = |key| table.list(key).unwrap_or_default().len();
    let lacks_secret = secrets.as_ref().is_some_and(|found| found.len() != listed("secrets"));
    let lacks_document = documents.as_ref().is_some_and(|found| found.len() != listed("documents"));
    let lacks_sink = events.as_ref().is_some_and(|found| found.len() != listed("events"));
    let lacks_upstream = upstreams.as_ref().is_some_and(|it| it.len() != listed("upstreams"));
    let lacks_keys = keys.as_ref().is_some_and(|found| found.len() != listed("keys"));
    let doubts = Doubts {
        table: table.has_unknown_keys() || table.reading.errors() - before > in_settings,
        surroundings: lacks_secret || lacks_document || lacks_sink || lacks_keys || lacks_upstream,
        values: settings.doubtful,
    };
    let plugin = Plugin {
        name: name.to_owned(),
        is_inline: false,
        component: component?,
        component_text: component_text?,
        component_span: component_span?,
        config: settings.json,
        config_spans: settings.values,
        config_keys: settings.keys,
        config_filled: settings.filled,
        span: table.span.clone(),
        on_error,
        isolation,
        deadline,
        configure,
        memory,
        instances,
        queue,
        limiter,
        key_value,
        limiter_use,
        cache,
        key_value_store,
        on_key_value_error,
        bounds,
        grants,
        only_if,
        grants_span: table.value("grants").map(|value| value.span()),
        secrets,
        documents,
        events,
        keys,
        upstreams,
        forward_to,
    };
    Some((plugin, doubts))
}

/// Warns of documents that an instance hardly has room for: it holds the text, and what it makes of it.
fn warn_of_long_documents(table: &Table<'_, '_>, documents: &[Arc<Document>], memory: usize) {
    for document in documents.iter().filter(|it| it.size.saturating_mul(2) > memory) {
        let (name, size) = (&document.name, document.size as u64);
        let warning =
            format!("the document `{name}` may be too long for an instance of the plugin");
        let span = table.value("documents").map(|value| value.span()).unwrap_or_default();
        let label = format!(
            "it may have {}, and `limits.memory` is {}",
            units::show_size(size),
            units::show_size(memory as u64)
        );
        let help = format!(
            "write `limits.memory = \"{}MiB\"`, or lower its `size`",
            (size * 3).div_ceil(1 << 20)
        );
        table.reading.report(Diagnostic::warning(span, warning).label(label).help(help));
    }
}

fn component_of(reading: &Reading<'_>, text: &Text, known: &Known<'_>) -> Option<Component> {
    let is_file = text.value.contains('/') || text.value.ends_with(".wasm");
    if is_file {
        return component_file(reading, text).map(Component::File);
    }
    if known.built_in.contains(&&*text.value) {
        return Some(Component::BuiltIn(text.value.clone()));
    }
    let error = format!("there is no first-party component `{}`", text.shown);
    let error = Diagnostic::error(text.span.clone(), error);
    let suggestion = suggest::closest(&text.shown, known.built_in.iter().copied());
    let names: Vec<_> = known.built_in.iter().map(|name| format!("`{name}`")).collect();
    let error = match (suggestion, names.is_empty()) {
        (None, false) => error.note(format!("they are {}", names.join(", "))),
        _ => error.did_you_mean(suggestion),
    };
    let folder = reading.source.folder();
    let beside = [text.value.clone(), format!("{}.wasm", text.value)];
    let beside = beside.iter().find(|name| !text.is_secret() && folder.join(name).is_file());
    reading.report(match (beside, suggestion) {
        (Some(name), _) => error.help(format!("for the file beside this one write `./{name}`")),
        (None, None) => error.help("a file is written with a slash: `./plugins/mine.wasm`"),
        (None, Some(_)) => error,
    });
    None
}

/// The path of a component that is there.
pub(super) fn component_file(reading: &Reading<'_>, text: &Text) -> Option<PathBuf> {
    let path = reading.source.instead_of(reading.source.folder().join(&text.value));
    reading.reads(&path);
    let why = match std::fs::metadata(&path) {
        Ok(found) if found.is_file() => return Some(path),
        Ok(_) => "is not a file".to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "does not exist".to_owned(),
        Err(error) => format!("cannot be read: {error}"),
    };
    let error = format!("the component `{}` {why}", text.shown);
    let error = Diagnostic::error(text.span.clone(), error);
    let error = match text.shown.strip_prefix("~/") {
        Some(_) => error.help("`~` means nothing here: write the whole path"),
        None => error.note("paths are relative to the configuration file"),
    };
    let similar = (!text.is_secret()).then(|| similar_file(&path)).flatten();
    reading.report(error.did_you_mean(similar.as_deref()));
    None
}

/// A component in the same folder with a similar name.
fn similar_file(path: &Path) -> Option<String> {
    let wanted = path.file_name()?.to_str()?;
    let entries = std::fs::read_dir(path.parent()?).ok()?.filter_map(Result::ok);
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let names: Vec<_> = names.filter(|name| name.ends_with(".wasm")).collect();
    suggest::closest(wanted, names.iter().map(String::as_str)).map(str::to_owned)
}

fn grants(table: &Table<'_, '_>) -> Option<Vec<Grant>> {
    let mut grants: Vec<_> = table
        .choices("grants")?
        .into_iter()
        .map(|name| match name {
            "attempts" => Grant::Attempts,
            "cache" => Grant::Cache,
            "key-value" => Grant::KeyValue,
            "limiter" => Grant::Limiter,
            "metrics" => Grant::Metrics,
            "password" => Grant::Password,
            "slots" => Grant::Slots,
            "usage" => Grant::Usage,
            _ => Grant::Signature,
        })
        .collect();
    grants.sort_unstable();
    grants.dedup();
    Some(grants)
}

fn secrets(table: &Table<'_, '_>, scope: &Scope<'_>) -> Option<Vec<Secret>> {
    let items = table.list("secrets")?.iter();
    let names = items.filter_map(|item| table.reading.text(item, "the name of a secret"));
    Some(names.filter_map(|name| scope.secrets.find(table.reading, &name)).collect())
}
