//! `[[routes]]`.
//!
//! Owns what a route matches, lists and does, and the refusal of two routes that say the same.
//! Which of several matching routes wins is decided where requests are routed.

pub(super) mod action;
mod host;
pub(super) mod matcher;
pub(super) mod path;
mod template;

use std::cell::RefCell;
use std::collections::HashMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Diagnostic;
use super::keys::PLUGIN;
use super::names::Names;
use super::reader::{Reading, Table, Text, Value};
use super::{
    Action, ErrorForm, HostPattern, HttpComponent, Listener, ListenerId, PathPattern, PathRules,
    Plugin, PluginId, Route, Segment, Span, ValuePattern, access_log, mirror, plugin, retries,
};
use crate::path::{PathError, normalise};

/// The first-party plugin that a route's `cache` stands for.
const CACHE: &str = "cache";
/// Keys of plugins that are wanted of it too, and that it has only where it is written as a plugin.
const OF_THE_PLUGIN: [&str; 5] = ["cache", "config", "limits", "on_error", "only_if"];

/// What routes refer to by name.
pub(super) struct Scope<'s> {
    pub(super) plugin: plugin::Scope<'s>,
    pub(super) access_logs: &'s Names,
    pub(super) listeners: &'s Names,
    pub(super) listener_count: usize,
    pub(super) upstreams: &'s Names,
    pub(super) components: &'s Names,
    /// The named ones; those that routes name by their file or write inline are put behind them.
    pub(super) all_components: RefCell<Vec<Option<HttpComponent>>>,
    pub(super) plugins: &'s Names,
}

/// Reads a route. Plugins written inline are put behind those that are there.
pub(super) fn read(
    table: &Table<'_, '_>,
    scope: &Scope<'_>,
    all_plugins: &mut Vec<plugin::Read>,
) -> (Option<Text>, Option<Route>) {
    let name = table.word("name");
    let listeners = listeners(table, scope);
    let paths = path::list(table);
    let matcher = matcher::read(table, &paths);
    let mut plugins = plugins(table, scope, name.as_ref(), all_plugins);
    plugins.extend(cache(table, scope, name.as_ref(), &plugins, all_plugins));
    let (plugins, plugin_spans): (Vec<_>, Vec<_>) = plugins.into_iter().unzip();
    let action = action::read(table, scope, &paths, name.as_ref());
    let rewrite = action::rewrite(table, &paths);
    let body_size = table.table("limits").size("body_size");
    let request_timeout = table.table("timeouts").duration("request");
    let access_log = access_log::named(table, scope.access_logs);
    let forwards = matches!(action, None | Some(Action::Forward(_) | Action::Split(_)));
    let may_forward = forwards || !plugins.is_empty();
    let retries = retries::retries(table, may_forward);
    let own = match &action {
        Some(Action::Forward(id)) => Some(*id),
        _ => None,
    };
    let mirror = mirror::mirror(table, scope.upstreams, (own, may_forward));
    let errors = match table.choice("errors") {
        "problem" => ErrorForm::Problem,
        "openai" => ErrorForm::OpenAi,
        "anthropic" => ErrorForm::Anthropic,
        "google" => ErrorForm::Google,
        "ollama" => ErrorForm::Ollama,
        "cohere" => ErrorForm::Cohere,
        "bedrock" => ErrorForm::Bedrock,
        "json-rpc" => ErrorForm::JsonRpc,
        _ => ErrorForm::Auto,
    };
    let path_spans = paths.spans();
    let source = table.reading.source;
    let line = |span: &Span| format!("{}:{}", source.path().display(), source.line(span.start));
    let path_lines = path_spans.iter().map(line).collect();
    let route = name.clone().zip(action).map(|(name, action)| Route {
        name: name.value,
        listeners,
        matcher,
        path_spans,
        path_lines,
        plugins,
        plugin_spans,
        action,
        rewrite,
        body_size,
        request_timeout,
        access_log,
        errors,
        retries,
        mirror,
        span: table.span.clone(),
    });
    (name, route)
}

fn listeners(table: &Table<'_, '_>, scope: &Scope<'_>) -> Vec<ListenerId> {
    let Some(items) = table.filled_list("listeners") else {
        return (0..scope.listener_count).map(ListenerId).collect();
    };
    let texts = items.iter().filter_map(|item| table.reading.text(item, "a listener's name"));
    let find = |text: Text| {
        let declared = "a `[[listeners]]` table with `name = \"NAME\"`";
        scope.listeners.find(table.reading, &text, declared)
    };
    let mut listeners: Vec<_> = texts.filter_map(find).map(ListenerId).collect();
    listeners.sort_unstable();
    listeners.dedup();
    listeners
}

fn plugins<'a>(
    table: &Table<'_, 'a>,
    scope: &Scope<'_>,
    route: Option<&Text>,
    all: &mut Vec<plugin::Read>,
) -> Vec<(PluginId, Span)> {
    let items = table.list("plugins").unwrap_or_default().iter().enumerate();
    let read = |(index, item): (usize, &Value<'a>)| match item.get_ref() {
        DeValue::Table(_) => {
            let route = route.map_or("?", |name| &name.value);
            let inline = Table::open(table.reading, item, &PLUGIN)?;
            let read = plugin::read(&format!("{route}.plugins[{index}]"), &inline, &scope.plugin);
            all.push(read.map(|(plugin, doubts)| (Plugin { is_inline: true, ..plugin }, doubts)));
            Some((PluginId(all.len() - 1), item.span()))
        }
        DeValue::String(_) => {
            let name = table.reading.text(item, "a plugin's name")?;
            named_plugin(table.reading, scope, &name).map(|id| (PluginId(id), item.span()))
        }
        _ => {
            let error =
                table.reading.wrong_type(item, "an element of `plugins`", "a name or a table");
            table.reading.report(error);
            None
        }
    };
    items.filter_map(read).collect()
}

/// `cache`, as the plugin for which it stands: behind those that decide who may ask.
fn cache<'a>(
    table: &Table<'_, 'a>,
    scope: &Scope<'_>,
    route: Option<&Text>,
    others: &[(PluginId, Span)],
    all: &mut Vec<plugin::Read>,
) -> Option<(PluginId, Span)> {
    let settings = table.value("cache")?;
    let reading = table.reading;
    if !matches!(settings.get_ref(), DeValue::Table(_)) {
        reading.report(reading.wrong_type(settings, "`cache`", "a table"));
        return None;
    }
    if let DeValue::Table(entries) = settings.get_ref()
        && let Some((key, value)) =
            entries.iter().find(|(key, _)| OF_THE_PLUGIN.contains(&&**key.get_ref()))
    {
        let name = key.get_ref();
        let error = format!("`{name}` is a key of the plugin, and these are its settings");
        let written = match value.get_ref() {
            DeValue::String(text) => format!("\"{text}\""),
            _ => "...".to_owned(),
        };
        reading.report(Diagnostic::error(key.span(), error).help(format!(
            "write the plugin in place of this: `plugins = [{{ component = \"cache\", {name} = {written}, config = {{ ... }} }}]`"
        )));
        return None;
    }
    let is_cache = |id: &PluginId| {
        let known = all.get(id.0).and_then(Option::as_ref);
        known.is_some_and(|(plugin, _)| plugin.component_text == CACHE)
    };
    if let Some((_, span)) = others.iter().find(|(id, _)| is_cache(id)) {
        let error = Diagnostic::error(settings.span(), "the route has two caches");
        let error = error.label("this stands for the plugin `cache`");
        reading.report(error.related(span.clone(), "which is here already"));
        return None;
    }
    let place = |value| Spanned::new(settings.span(), value);
    let mut entries = DeTable::new();
    let key = |name: &'static str| Spanned::new(settings.span(), name.into());
    entries.insert(key("component"), place(DeValue::String(CACHE.into())));
    entries.insert(key("config"), settings.clone());
    let written = Table::of(reading, &entries, settings.span(), &PLUGIN);
    let route = route.map_or("?", |name| &name.value);
    let read = plugin::read(&format!("{route}.cache"), &written, &scope.plugin);
    all.push(read.map(|(plugin, doubts)| (Plugin { is_inline: true, ..plugin }, doubts)));
    Some((PluginId(all.len() - 1), settings.span()))
}

fn named_plugin(reading: &Reading<'_>, scope: &Scope<'_>, name: &Text) -> Option<usize> {
    let built_in = scope.plugin.known.built_in.contains(&&*name.value);
    let declaration = if built_in {
        "a `[plugins.NAME]` table with `component = \"NAME\"`"
    } else {
        "a `[plugins.NAME]` table"
    };
    scope.plugins.find(reading, name, declaration)
}

/// Two routes that match the same requests on a listener that both are served on are an error.
pub(super) fn refuse_duplicates(reading: &Reading<'_>, routes: &[Option<Route>]) {
    let mut seen: HashMap<String, Vec<&Route>> = HashMap::new();
    for route in routes.iter().flatten() {
        let earlier = seen.entry(fingerprint(route)).or_default();
        let shares =
            |other: &&&Route| other.listeners.iter().any(|id| route.listeners.contains(id));
        if let Some(other) = earlier.iter().find(shares) {
            let error = format!(
                "the routes `{}` and `{}` match the same requests",
                reading.shown(&other.name),
                reading.shown(&route.name)
            );
            reading.report(
                Diagnostic::error(place(route), error)
                    .label("this route can never be reached")
                    .related(place(other), "the same here")
                    .help("make one of them more specific, or serve it on another listener"),
            );
        }
        earlier.push(route);
    }
}

/// A literal that is not in the form to which every listener of its route brings a path is in
/// no request's path.
pub(super) fn refuse_impossible_paths(
    reading: &Reading<'_>,
    routes: &[Option<Route>],
    listeners: &[Option<Listener>],
) {
    for route in routes.iter().flatten() {
        let rules = route.listeners.iter().filter_map(|id| listeners.get(id.0)?.as_ref());
        let rules: Vec<PathRules> = rules.map(|listener| listener.paths).collect();
        let reports =
            route.matcher.paths.iter().zip(&route.path_spans).filter_map(|(path, span)| {
                let why =
                    path.segments.iter().find_map(|segment| why_impossible(segment, &rules))?;
                let error = format!("no request has the path `{}`: {why}", path.text);
                let error = Diagnostic::error(span.clone(), error);
                Some(match remedy(&why) {
                    Some(setting) => error.help(format!("write `{setting}` in the listener")),
                    None => error,
                })
            });
        reports.for_each(|error| reading.report(error));
    }
}

/// Why no path under any of these rules has such a segment.
fn why_impossible(segment: &Segment, rules: &[PathRules]) -> Option<Impossible> {
    let Segment::Literal(literal) = segment else { return None };
    let path = format!("/{literal}");
    let mut reasons = rules.iter().map(|rules| match normalise(&path, *rules) {
        Ok(normal) if normal == path => None,
        Ok(_) => Some(Impossible::Stripped),
        Err(error) => Some(Impossible::Refused(error)),
    });
    let first = reasons.next()??;
    reasons.all(|reason| reason.is_some()).then_some(first)
}

/// Why a segment is in no path.
#[derive(Debug, thiserror::Error)]
enum Impossible {
    #[error("path parameters are stripped before it is matched")]
    Stripped,
    #[error("{0}")]
    Refused(PathError),
}

/// The setting of the listener that would let it through.
fn remedy(why: &Impossible) -> Option<&'static str> {
    match why {
        Impossible::Stripped | Impossible::Refused(PathError::Parameter) => {
            Some("path_parameters = \"keep\"")
        }
        Impossible::Refused(PathError::EncodedSlash) => Some("encoded_slashes = \"keep\""),
        Impossible::Refused(_) => None,
    }
}

fn place(route: &Route) -> Span {
    route.path_spans.first().unwrap_or(&route.span).clone()
}

/// The same text for matchers that mean the same: order and names of captures do not matter.
fn fingerprint(route: &Route) -> String {
    let matcher = &route.matcher;
    let value = |value: &ValuePattern| match value {
        ValuePattern::Present => None,
        ValuePattern::Exact(value) => Some(value.clone()),
    };
    let sorted = |mut list: Vec<(String, Option<String>)>| {
        list.sort();
        list.dedup();
        list
    };
    let alone = |text: String| (text, None);
    let hosts = matcher.hosts.iter().map(|host| match host {
        HostPattern::Exact(host) => alone(host.clone()),
        HostPattern::Suffix(host) => alone(format!("*.{host}")),
    });
    let paths = matcher.paths.iter().map(|path| alone(shape(path)));
    let methods = matcher.methods.iter().map(|method| alone(method.to_string()));
    let headers = matcher.headers.iter().map(|(name, pattern)| (name.to_string(), value(pattern)));
    let query = matcher.query.iter().map(|(name, pattern)| (name.clone(), value(pattern)));
    let parts = [
        sorted(hosts.collect()),
        sorted(paths.collect()),
        sorted(methods.collect()),
        sorted(headers.collect()),
        sorted(query.collect()),
    ];
    format!("{parts:?}")
}

/// A pattern without the names of its captures. Literals have no braces, so shapes differ where
/// patterns differ.
fn shape(pattern: &PathPattern) -> String {
    let segments = pattern.segments.iter().map(|segment| match segment {
        Segment::Literal(text) => text.clone(),
        Segment::Verb(_, verb) => format!("{{}}:{verb}"),
        Segment::Param(_) => "{}".to_owned(),
        Segment::Rest(_) => "{*}".to_owned(),
    });
    segments.fold(String::new(), |shape, segment| shape + "/" + &segment)
}
