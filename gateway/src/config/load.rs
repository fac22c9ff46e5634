//! From a file to a checked [`Config`].
//!
//! Owns the order of reading and the checks between tables.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::diagnostic::{Diagnostic, Diagnostics};
use super::keys::ROOT;
use super::names::Names;
use super::reader::{Reading, Table};
use super::route::Scope;
use super::secrets::Secrets;
use super::{
    Config, Plugin, Source, Span, admin, component, listener, plugin, process, route, syntax,
    upstream,
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
    environment: &dyn Fn(&str) -> Option<String>,
    known: &Known<'_>,
) -> Result<Loaded, Diagnostics> {
    load_with(path, BTreeMap::new(), environment, known)
}

/// As [`load`], with other component files in the place of some that the file names; see
/// [`Source::with_stand_ins`].
///
/// # Errors
/// As those of [`load`].
pub fn load_with(
    path: &Path,
    stand_ins: BTreeMap<PathBuf, PathBuf>,
    environment: &dyn Fn(&str) -> Option<String>,
    known: &Known<'_>,
) -> Result<Loaded, Diagnostics> {
    match Source::read(path) {
        Ok(source) => read(source.with_stand_ins(stand_ins), environment, known),
        Err((message, help)) => {
            let mut diagnostics = Diagnostics::new(Arc::new(Source::new(path, "")));
            let error = Diagnostic::file_error(message);
            diagnostics.push(help.into_iter().fold(error, Diagnostic::help));
            Err(diagnostics)
        }
    }
}

/// Checks a configuration whose text is already in memory; otherwise as [`load`].
///
/// # Errors
/// Everything that is wrong with the text, together with its warnings.
pub fn read(
    mut source: Source,
    environment: &dyn Fn(&str) -> Option<String>,
    known: &Known<'_>,
) -> Result<Loaded, Diagnostics> {
    if source.text().trim().is_empty() {
        let mut diagnostics = Diagnostics::new(Arc::new(source));
        let error = Diagnostic::file_error("the configuration is empty");
        diagnostics
            .push(error.help("it needs at least a `[[listeners]]` and a `[[routes]]` table"));
        return Err(diagnostics);
    }
    let (text, dead_ends) = syntax::without_dead_ends(&source);
    let (tree, broken) = syntax::parse(&source, &text, dead_ends);
    let reading = Reading::new(&source, environment);
    let config = config(&Table::of(&reading, tree.get_ref(), 0..0, &ROOT), known);
    let failed = reading.failed() || !broken.errors.is_empty();
    let (findings, secrets) = reading.finish(broken);
    drop(tree);
    source.remember_filled(secrets);
    let source = Arc::new(source);
    let mut diagnostics = Diagnostics::new(Arc::clone(&source));
    diagnostics.extend(findings);
    match config {
        Some(config) if !failed => Ok(Loaded { config, warnings: diagnostics, source }),
        _ => Err(diagnostics),
    }
}

/// Reads every table; `None` if one of them could not be read to its end.
fn config(root: &Table<'_, '_>, known: &Known<'_>) -> Option<Config> {
    let reading = root.reading;
    let process = process::read(&root.table("gateway"));
    let (names, listeners): (Vec<_>, Vec<_>) =
        root.tables("listeners").iter().map(listener::read).unzip();
    let listener_names = Names::new(reading, "listener", names);
    listener::refuse_shared_addresses(reading, &listeners);
    let admin_table = root.given_table("admin");
    let admin = admin_table.as_ref().and_then(|table| {
        let admin = admin::read(table);
        admin::refuse_shared_address(table, admin.as_ref(), &listeners);
        admin
    });

    let upstreams = root.named_tables("upstreams");
    let names = upstreams.iter().map(|(name, _)| Some(name.clone())).collect();
    let upstream_names = Names::new(reading, "upstream", names);
    let upstream_spans: Vec<Span> = upstreams.iter().map(|(name, _)| name.span.clone()).collect();
    let upstreams: Vec<_> =
        upstreams.iter().map(|(name, table)| upstream::read(name, table)).collect();

    let secrets = Secrets::read(root);
    let plugin_scope = plugin::Scope { known, upstreams: &upstream_names, secrets: &secrets };
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
    let mut plugins: Vec<Option<Plugin>> = plugins
        .iter()
        .map(|(name, table)| plugin::read(&name.value, table, &plugin_scope))
        .collect();

    let scope = Scope {
        plugin: plugin_scope,
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
    upstream_names.warn_of_unused(reading, "route", |index| upstream_spans[index].clone());
    component_names.warn_of_unused(reading, "route", |index| component_spans[index].clone());
    plugin_names.warn_of_unused(reading, "route", |index| plugin_spans[index].clone());
    secrets.warn_of_unused(reading);

    Some(Config {
        process,
        admin,
        listeners: listeners.into_iter().collect::<Option<_>>()?,
        upstreams: upstreams.into_iter().collect::<Option<_>>()?,
        components: scope.all_components.into_inner().into_iter().collect::<Option<_>>()?,
        plugins: plugins.into_iter().collect::<Option<_>>()?,
        routes: routes.into_iter().collect::<Option<_>>()?,
    })
}
