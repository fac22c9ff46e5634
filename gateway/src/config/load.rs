//! From a file to a checked [`Config`].
//!
//! Owns the order of reading and the checks between tables.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cache::Caches;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::document::{self, Documents};
use super::events::EventSinks;
use super::key_set::KeySets;
use super::keys::ROOT;
use super::names::Names;
use super::owners::{Kind, Owned};
use super::reader::{Reading, Table};
use super::route::Scope;
use super::secrets::Secrets;
use super::store::Stores;
use super::syntax::Doubtful;
use super::{
    Admin, Cache, Config, Document, Doubts, EventSink, HttpComponent, KeySet, Listener,
    LogDestination, NamedAccessLog, Plugin, Process, Recorder, Route, Source, Span, Store, Traces,
    Upstream, Usage, UsageStore, access_log, admin, cache_use, certificate_use, component, foreign,
    listener, only_if, owners, plugin, process, recorder, route, state_use, syntax, traces,
    upstream, usage,
};

/// What the caller knows and the file refers to.
#[derive(Debug, Clone, Copy)]
pub struct Known<'k> {
    /// Names of the first-party components.
    pub built_in: &'k [&'k str],
}

/// A configuration that may run.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Findings that do not keep it from running. Later stages add theirs.
    pub warnings: Diagnostics,
    /// The text that its spans point into.
    pub source: Arc<Source>,
    /// The files that it is made of: itself, components, certificates, keys, and those of `${file:}`.
    pub files: Vec<PathBuf>,
}

/// What is left of a file that is refused: enough to find out what else is wrong with it, and never to
/// run.
#[derive(Debug)]
pub struct Remains {
    /// All that is wrong with the text.
    pub findings: Diagnostics,
    /// The text.
    pub source: Arc<Source>,
    /// As [`Loaded::files`], as far as they are known.
    pub files: Vec<PathBuf>,
    /// The listeners, components and plugins that could be read; no upstreams and no routes.
    pub parts: Option<Config>,
    /// One for each of its plugins.
    pub doubts: Vec<Doubts>,
}

/// Reads and checks a configuration file.
///
/// `environment` is asked for the variables of `${env:NAME}`. Relative paths in the file are
/// resolved against its folder.
///
/// # Errors
/// Everything that is wrong with the file, together with its warnings.
pub fn load(
    path: &Path,
    environment: &dyn Fn(&str) -> Option<OsString>,
    known: &Known<'_>,
) -> Result<Loaded, Diagnostics> {
    load_with(path, BTreeMap::new(), environment, known).map_err(|remains| remains.findings)
}

/// As [`load`], with other component files instead of some that the file names; see
/// [`Source::with_stand_ins`].
///
/// # Errors
/// What is left of the file: [`Remains`].
pub fn load_with(
    path: &Path,
    stand_ins: BTreeMap<PathBuf, PathBuf>,
    environment: &dyn Fn(&str) -> Option<OsString>,
    known: &Known<'_>,
) -> Result<Loaded, Box<Remains>> {
    match Source::read(path) {
        Ok(source) => read_all(source.with_stand_ins(stand_ins), environment, known),
        Err((message, help)) => {
            let error = Diagnostic::file_error(message);
            Err(nothing(Source::new(path, ""), help.into_iter().fold(error, Diagnostic::help)))
        }
    }
}

/// Checks a configuration whose text is already in memory; otherwise as [`load`].
///
/// # Errors
/// Everything that is wrong with the text, together with its warnings.
pub fn read(
    source: Source,
    environment: &dyn Fn(&str) -> Option<OsString>,
    known: &Known<'_>,
) -> Result<Loaded, Diagnostics> {
    read_all(source, environment, known).map_err(|remains| remains.findings)
}

/// As [`read`]; a text that is refused is kept as far as it goes.
///
/// # Errors
/// What is left of it: [`Remains`].
pub fn read_all(
    mut source: Source,
    environment: &dyn Fn(&str) -> Option<OsString>,
    known: &Known<'_>,
) -> Result<Loaded, Box<Remains>> {
    if source.text().trim().is_empty() {
        let error = Diagnostic::file_error("the configuration is empty")
            .help("it needs at least a `[[listeners]]` and a `[[routes]]` table");
        return Err(nothing(source, error));
    }
    if let Some(error) = foreign::format(&source) {
        return Err(nothing(source, error));
    }
    let (text, dead_ends) = syntax::without_dead_ends(&source);
    let (tree, broken) = syntax::parse(&source, &text, dead_ends);
    let reading = Reading::new(&source, environment);
    reading.reads(source.path());
    let parts = parts(&Table::of(&reading, tree.get_ref(), 0..0, &ROOT), known);
    let failed = reading.failed() || !broken.errors.is_empty();
    let files = reading.files();
    let doubtful = Doubtful::of(&text, &broken);
    let (findings, secrets) = reading.finish(broken, &doubtful);
    drop(tree);
    source.remember_filled(secrets);
    let source = Arc::new(source);
    let mut diagnostics = Diagnostics::new(Arc::clone(&source));
    diagnostics.extend(findings);
    if failed || !parts.is_whole() {
        let (parts, doubts) = parts.remains(Arc::clone(&source), &doubtful);
        let parts = Some(parts);
        return Err(Box::new(Remains { findings: diagnostics, source, files, parts, doubts }));
    }
    let config = parts.config(Arc::clone(&source));
    Ok(Loaded { config, warnings: diagnostics, source, files })
}

fn nothing(source: Source, error: Diagnostic) -> Box<Remains> {
    let files = vec![source.path().to_owned()];
    let source = Arc::new(source);
    let mut findings = Diagnostics::new(Arc::clone(&source));
    findings.push(error);
    Box::new(Remains { findings, source, files, parts: None, doubts: Vec::new() })
}
/// Every table, with `None` for one that could not be read to its end.
struct Parts {
    process: Process,
    admin: Option<Admin>,
    usage: Option<Usage>,
    traces: Option<Traces>,
    recorder: Option<Recorder>,
    access_logs: Vec<Option<NamedAccessLog>>,
    listeners: Vec<Option<Listener>>,
    upstreams: Vec<Option<Upstream>>,
    documents: Vec<Option<Arc<Document>>>,
    events: Vec<Option<Arc<EventSink>>>,
    keys: Vec<Option<Arc<KeySet>>>,
    stores: Vec<Arc<Store>>,
    has_all_stores: bool,
    caches: Vec<Arc<Cache>>,
    has_all_caches: bool,
    components: Vec<Option<HttpComponent>>,
    plugins: Vec<plugin::Read>,
    routes: Vec<Option<Route>>,
}

impl Parts {
    fn is_whole(&self) -> bool {
        self.access_logs.iter().all(Option::is_some)
            && self.listeners.iter().all(Option::is_some)
            && self.upstreams.iter().all(Option::is_some)
            && self.documents.iter().all(Option::is_some)
            && self.events.iter().all(Option::is_some)
            && self.keys.iter().all(Option::is_some)
            && self.has_all_stores
            && self.has_all_caches
            && self.components.iter().all(Option::is_some)
            && self.plugins.iter().all(Option::is_some)
            && self.routes.iter().all(Option::is_some)
    }

    /// The configuration of a whole file.
    fn config(self, source: Arc<Source>) -> Config {
        Config {
            source,
            process: self.process,
            admin: self.admin,
            usage: self.usage,
            traces: self.traces,
            recorder: self.recorder,
            access_logs: self.access_logs.into_iter().flatten().collect(),
            listeners: self.listeners.into_iter().flatten().collect(),
            upstreams: self.upstreams.into_iter().flatten().collect(),
            documents: self.documents.into_iter().flatten().collect(),
            events: self.events.into_iter().flatten().collect(),
            keys: self.keys.into_iter().flatten().collect(),
            stores: self.stores,
            caches: self.caches,
            components: self.components.into_iter().flatten().collect(),
            plugins: self.plugins.into_iter().flatten().map(|(plugin, _)| plugin).collect(),
            routes: self.routes.into_iter().flatten().collect(),
        }
    }

    /// What [`Remains`] has of a file that is not: without what refers to others, and without the
    /// plugins and components of which nobody knows where they end.
    fn remains(mut self, source: Arc<Source>, doubtful: &Doubtful) -> (Config, Vec<Doubts>) {
        self.plugins.retain(|read| {
            read.as_ref().is_some_and(|(plugin, _)| !doubtful.touches(&places(plugin)))
        });
        self.components.retain(|read| {
            read.as_ref().is_some_and(|it| !doubtful.touches(std::slice::from_ref(&it.file_span)))
        });
        (self.upstreams, self.routes) = (Vec::new(), Vec::new());
        let doubts = self.plugins.iter().flatten().map(|(_, doubts)| doubts.clone()).collect();
        (self.config(source), doubts)
    }
}

/// Where the parts of a plugin stand.
fn places(plugin: &Plugin) -> Vec<Span> {
    let settings = plugin.config_spans.values().chain(plugin.config_keys.values());
    let own = [&plugin.span, &plugin.component_span].into_iter().chain(&plugin.grants_span);
    own.chain(settings).cloned().collect()
}

/// Reads every table.
fn parts(root: &Table<'_, '_>, known: &Known<'_>) -> Parts {
    let reading = root.reading;
    let access_logs = root.named_tables("access_logs");
    let names = access_logs.iter().map(|(name, _)| Some(name.clone())).collect();
    let log_names = Names::new(reading, "access log", names);
    let log_spans: Vec<Span> = access_logs.iter().map(|(name, _)| name.span.clone()).collect();
    let access_logs: Vec<_> =
        access_logs.iter().map(|(name, table)| access_log::read(name, table)).collect();
    access_log::refuse_shared_files(reading, &access_logs);
    let process_table = root.table("gateway");
    let process = process::read(&process_table, &log_names);
    let (names, listeners): (Vec<_>, Vec<_>) =
        root.tables("listeners").iter().map(|table| listener::read(table, &log_names)).unzip();
    let listener_names = Names::new(reading, "listener", names);
    listener::refuse_shared_addresses(reading, &listeners);
    let admin_table = root.given_table("admin");
    let admin = admin_table.as_ref().and_then(|table| {
        let admin = admin::read(table);
        admin::refuse_shared_address(table, admin.as_ref(), &listeners);
        admin
    });

    let recorder = recorder::read(root, admin_table.as_ref());

    let usage_table = root.given_table("usage");
    let usage = usage_table.as_ref().and_then(usage::read);

    let traces = root.given_table("traces").as_ref().and_then(traces::read);

    let upstreams = root.named_tables("upstreams");
    let names = upstreams.iter().map(|(name, _)| Some(name.clone())).collect();
    let upstream_names = Names::new(reading, "upstream", names);
    let upstream_spans: Vec<Span> = upstreams.iter().map(|(name, _)| name.span.clone()).collect();
    let read = |(name, table): &(_, Table<'_, '_>)| {
        let read = upstream::read(name, table);
        if let Some(read) = &read {
            let room = process.buffered_bodies;
            upstream::refuse_bodies_without_room(table, read, &process_table, room);
        }
        read
    };
    let upstreams: Vec<_> = upstreams.iter().map(read).collect();

    let secrets = Secrets::read(root);
    let documents =
        Documents::read(root, document::Known { names: &upstream_names, upstreams: &upstreams });
    let events =
        EventSinks::read(root, document::Known { names: &upstream_names, upstreams: &upstreams });
    let stores = Stores::read(root);
    let caches = Caches::read(root, &stores);
    let keys = KeySets::read(root, &stores);
    let mut owned =
        [stores.files.clone(), caches.folders.clone(), documents.files.clone()].concat();
    owned.extend(access_logs.iter().flatten().filter_map(|log| {
        let LogDestination::File(file) = &log.destination else { return None };
        let (owner, path) = (format!("the access log `{}`", log.name), file.path.clone());
        Some(Owned { kind: Kind::AccessLog, owner, path, span: log.destination_span.clone() })
    }));
    owned.extend(usage.iter().filter_map(|usage| {
        let UsageStore::Sqlite { path, .. } = &usage.store else { return None };
        let (owner, path) = ("`[usage]`".to_owned(), path.clone());
        Some(Owned { kind: Kind::Usage, owner, path, span: usage.store_span.clone() })
    }));
    owned.extend(admin.iter().zip(&admin_table).filter_map(|(admin, table)| {
        let (path, span) = (admin.audit.clone()?, table.value("audit")?.span());
        Some(Owned { kind: Kind::Audit, owner: "`audit` of `[admin]`".to_owned(), path, span })
    }));
    owned.extend(process.cache_dir.clone().zip(process_table.value("cache_dir")).map(
        |(path, value)| {
            let (owner, span) = ("`cache_dir` of `[gateway]`".to_owned(), value.span());
            Owned { kind: Kind::Compiled, owner, path, span }
        },
    ));
    owners::refuse_shared(reading, owned);
    let plugin_scope = plugin::Scope {
        known,
        upstreams: &upstream_names,
        secrets: &secrets,
        documents: &documents,
        events: &events,
        keys: &keys,
        stores: &stores,
        caches: &caches,
    };
    let components = root.named_tables("components");
    let names = components.iter().map(|(name, _)| Some(name.clone())).collect();
    let component_names = Names::new(reading, "component", names);
    let component_spans: Vec<Span> = components.iter().map(|(name, _)| name.span.clone()).collect();
    let components: Vec<_> = components
        .iter()
        .map(|(name, table)| component::read(&name.value, table, &upstream_names))
        .collect();

    let plugins = root.named_tables("plugins");
    let names = plugins.iter().map(|(name, _)| Some(name.clone())).collect();
    let plugin_names = Names::new(reading, "plugin", names);
    let plugin_spans: Vec<Span> = plugins.iter().map(|(name, _)| name.span.clone()).collect();
    let mut plugins: Vec<plugin::Read> = plugins
        .iter()
        .map(|(name, table)| plugin::read(&name.value, table, &plugin_scope))
        .collect();

    let scope = Scope {
        plugin: plugin_scope,
        access_logs: &log_names,
        listeners: &listener_names,
        listener_count: listeners.len(),
        upstreams: &upstream_names,
        components: &component_names,
        all_components: RefCell::new(components),
        plugins: &plugin_names,
    };
    let read = |table: &_| route::read(table, &scope, &mut plugins);
    let (names, routes): (Vec<_>, Vec<_>) = root.tables("routes").iter().map(read).unzip();
    Names::new(reading, "route", names);
    route::refuse_duplicates(reading, &routes);
    route::refuse_impossible_paths(reading, &routes, &listeners);
    upstream_names.warn_of_unused(reading, "route", |index| upstream_spans[index].clone());
    component_names.warn_of_unused(reading, "route", |index| component_spans[index].clone());
    plugin_names.warn_of_unused(reading, "route", |index| plugin_spans[index].clone());
    let log_place = |index: usize| log_spans[index].clone();
    log_names.warn_of_unused(reading, "listener, route or `[gateway]`", log_place);
    secrets.warn_of_unused(reading);
    documents.warn_of_unused(root);
    events.warn_of_unused(root);
    keys.warn_of_unused(root);
    stores.warn_of_unused(root);
    caches.warn_of_unused(root);
    if usage_table.is_none() {
        usage::warn_of_plugins_without(root, &plugins);
    }
    only_if::warn(reading, &plugins, &routes, &listeners);
    cache_use::warn(reading, &plugins, &routes);
    state_use::warn(reading, &plugins, &routes);
    certificate_use::warn_of_nobody_asked(reading, &listeners, &plugins, &routes);

    let components = scope.all_components.into_inner();
    Parts {
        process,
        admin,
        usage,
        traces,
        recorder,
        access_logs,
        listeners,
        upstreams,
        documents: documents.read,
        events: events.read,
        keys: keys.read,
        stores: stores.all(),
        has_all_stores: stores.is_whole(),
        caches: caches.all(),
        has_all_caches: caches.is_whole(),
        components,
        plugins,
        routes,
    }
}
