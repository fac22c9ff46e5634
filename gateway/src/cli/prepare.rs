//! From a file to a configuration that could be served, with all that is wrong on the way.
//!
//! Owns the translation of what later stages refuse (routes that never match, plugins, addresses)
//! into diagnostics that point into the file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gateway::config::{
    self, Config, Diagnostic, Diagnostics, Known, Plugin, Remains, Source, Span,
};
use gateway::route::{self, Scope, Shadow};
use gateway::{
    BindError, BindErrors, Gateway, Handle, PluginWarning, SpanTarget, Unreached, first_party,
};

/// A configuration whose text is fine.
pub(super) struct Prepared {
    pub(super) config: Arc<Config>,
    /// Warnings so far.
    pub(super) findings: Diagnostics,
    /// The files that it is made of.
    pub(super) files: Vec<PathBuf>,
    source: Arc<Source>,
    /// The addresses of the gateway that is to take it, with what has each.
    own: Vec<(String, SocketAddr)>,
}

/// A configuration whose text is refused.
pub(super) struct Refusal(Box<Remains>);

impl Refusal {
    /// What is wrong with the text.
    pub(super) fn text(self) -> Diagnostics {
        self.0.findings
    }

    /// The files that it is made of, as far as they are known.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.0.files.clone()
    }

    /// What is wrong with the text, and what later stages refuse of the parts that could be read; with
    /// `addresses`, those that cannot be had too. And what plugins find wrong in files of documents.
    pub(super) fn everything(self, addresses: bool) -> (Diagnostics, Vec<Diagnostics>) {
        let Remains { findings, source, parts, doubts, .. } = *self.0;
        let Some(config) = parts else { return (findings, Vec::new()) };
        let mut refused = Gateway::check(&config, &doubts, addresses);
        let documents = std::mem::take(&mut refused.documents);
        let (config, files) = (Arc::new(config), Vec::new());
        let prepared = Prepared { config, findings, files, source, own: Vec::new() };
        (prepared.refused(&refused), documents)
    }
}

/// Reads a file and checks its text.
pub(super) fn prepare(file: &Path) -> Result<Prepared, Refusal> {
    prepare_with(file, BTreeMap::new())
}

/// As [`prepare`], with other component files instead of some that the file names.
pub(super) fn prepare_with(
    file: &Path,
    stand_ins: BTreeMap<PathBuf, PathBuf>,
) -> Result<Prepared, Refusal> {
    let names = first_party::names();
    let environment = |name: &str| std::env::var_os(name);
    let loaded = config::load_with(file, stand_ins, &environment, &Known { built_in: &names });
    let loaded = loaded.map_err(Refusal)?;
    let config::Loaded { config, warnings: mut findings, source, files } = loaded;
    for shadow in route::shadowed(&config) {
        findings.push(shadowed(&config, &shadow));
    }
    Ok(Prepared { config: Arc::new(config), findings, files, source, own: Vec::new() })
}

impl Prepared {
    /// A gateway that runs is to take it.
    pub(super) fn is_taken_by(&mut self, handle: &Handle) {
        self.own = handle.own_addresses();
    }

    /// Adds warnings about plugins that can serve.
    pub(super) fn warned(&mut self, warnings: &[PluginWarning]) {
        for PluginWarning { plugin, name, message, note } in warnings {
            let span = self.config.plugins[plugin.0].component_span.clone();
            let message = format!("plugin `{name}`: {}", self.source.redact(message));
            let warning = Diagnostic::warning(span, message);
            self.findings.push(note.iter().fold(warning, |warning, note| warning.note(note)));
        }
    }

    /// Adds targets that cannot be reached.
    pub(super) fn tried(&mut self, unreached: &[Unreached]) {
        for Unreached { place, message } in unreached {
            // A URL may hold what was filled in.
            let message = self.source.redact(message);
            self.findings.push(Diagnostic::warning(place.clone(), message));
        }
    }

    /// Adds what a later stage refused, and what it warned of meanwhile.
    pub(super) fn refused(mut self, refused: &BindErrors) -> Diagnostics {
        self.warned(&refused.warnings);
        for error in &refused.errors {
            self.findings.push(diagnostic(&self.config, (&self.source, &self.own), error));
        }
        self.findings
    }
}

fn shadowed(config: &Config, shadow: &Shadow) -> Diagnostic {
    let route = &config.routes[shadow.route];
    let (span, what) = match shadow.scope {
        Scope::Route => (route.span.clone(), format!("route `{}` can never match", route.name)),
        Scope::Path(path) => {
            let span = route.path_spans.get(path).unwrap_or(&route.span).clone();
            let text = &route.matcher.paths[path].text;
            (span, format!("the path `{text}` of route `{}` can never match", route.name))
        }
    };
    shadow.by.iter().fold(Diagnostic::warning(span, what), |diagnostic, by| {
        let by = &config.routes[*by];
        diagnostic.related(by.span.clone(), format!("route `{}` takes its requests", by.name))
    })
}

fn diagnostic(
    config: &Config,
    (source, own): (&Source, &[(String, SocketAddr)]),
    error: &BindError,
) -> Diagnostic {
    match error {
        BindError::Listen { listener, source: cause, .. } => {
            let listener = &config.listeners[listener.0];
            let (address, name) = (listener.address, &listener.name);
            let message = format!("listener `{name}` cannot listen on {address}: {cause}");
            let diagnostic = Diagnostic::error(listener.address_span.clone(), message);
            advise_on_address(diagnostic, address, cause, own)
        }
        BindError::Admin { address, source: cause } => {
            let span = config.admin.as_ref().map_or(0..0, |admin| admin.address_span.clone());
            advise_on_address(Diagnostic::error(span, error.to_string()), *address, cause, own)
        }
        BindError::Audit { path, source: cause } => {
            let path = source.redact(&path.display().to_string());
            Diagnostic::file_error(format!(
                "`audit` of `[admin]` cannot be written to {path}: {cause}"
            ))
        }
        BindError::Plugin { plugin, place, message, label, note, help, .. } => {
            let plugin = &config.plugins[plugin.0];
            // A refusal is the plugin's own text and may repeat a secret that was filled in.
            let message = format!("plugin `{}`: {}", plugin.name, source.redact(message));
            let whole = span(plugin, place);
            // Where the message names a line of a text, the caret goes there.
            let inside = config::place_in_text(source.text(), &whole, &message);
            let filled = config::filled_from(source.text(), &whole);
            let diagnostic = Diagnostic::error(inside.unwrap_or(whole), message);
            let diagnostic = match filled {
                Some(file) => diagnostic.note(format!("the text is that of `{file}`")),
                None => diagnostic,
            };
            let redacted = |words: &Option<String>| words.as_ref().map(|it| source.redact(it));
            let diagnostic =
                redacted(label).into_iter().fold(diagnostic, |it, label| it.label(label));
            let diagnostic = redacted(note).into_iter().fold(diagnostic, |it, note| it.note(note));
            redacted(help).into_iter().fold(diagnostic, |it, help| it.help(help))
        }
        BindError::Component { component, name, message, help } => {
            let span = config.components[component.0].file_span.clone();
            let error = Diagnostic::error(span, format!("component `{name}`: {message}"));
            help.iter().fold(error, |error, help| error.help(help))
        }
        BindError::AccessLog { log, source: cause, .. } => {
            let log = &config.access_logs[log.0];
            // A path may hold what was filled in.
            let message = format!("access log `{}` cannot be opened: {cause}", log.name);
            Diagnostic::error(log.destination_span.clone(), message)
                .note("paths are relative to the configuration file")
        }
        BindError::Store { store, name, message } => {
            let span = config.stores[*store].span.clone();
            // A path may hold what was filled in.
            Diagnostic::error(span, format!("the store `{name}` cannot be opened: {message}"))
                .note("paths are relative to the configuration file")
        }
        BindError::Cache { cache, .. } => {
            let span = config.caches[*cache].span.clone();
            Diagnostic::error(span, error.to_string())
                .note("paths are relative to the configuration file")
                .help("name a folder that the gateway may write, and that no other gateway uses")
        }
        BindError::Document { document, message, note, help, .. } => {
            let span = config.documents[*document].span.clone();
            let error = Diagnostic::error(span, message);
            let error = note.iter().fold(error, |error, note| error.note(*note));
            help.iter().fold(error, |error, help| error.help(help))
        }
        BindError::Usage(_) => {
            let span = config.usage.as_ref().map_or(0..0, |usage| usage.store_span.clone());
            Diagnostic::error(span, error.to_string())
                .note("paths are relative to the configuration file")
        }
        BindError::Engine(_)
        | BindError::Upstream(_)
        | BindError::Tls(_)
        | BindError::Sockets(_) => Diagnostic::file_error(error.to_string()),
    }
}

fn advise_on_address(
    diagnostic: Diagnostic,
    address: SocketAddr,
    cause: &std::io::Error,
    own: &[(String, SocketAddr)],
) -> Diagnostic {
    let in_use = cause.kind() == std::io::ErrorKind::AddrInUse;
    if let Some((who, _)) = own.iter().find(|(_, own)| in_use && own.port() == address.port()) {
        return diagnostic.help(format!(
            "this gateway has the port itself, for {who}, until a configuration without that is in force: take two \
             steps, with another port in between, or restart"
        ));
    }
    match cause.kind() {
        std::io::ErrorKind::AddrInUse => diagnostic.help(format!(
            "another process has the port: `ss -ltnp 'sport = :{}'` shows which; if it is this \
             gateway, `gateway check` without `--bind` leaves addresses alone",
            address.port()
        )),
        std::io::ErrorKind::PermissionDenied => {
            diagnostic.help("ports below 1024 need the capability CAP_NET_BIND_SERVICE")
        }
        _ => diagnostic,
    }
}

/// Where a place in a plugin's table is; for a missing value, where it would be.
fn span(plugin: &Plugin, place: &SpanTarget) -> Span {
    let pointer = match place {
        SpanTarget::Component => return plugin.component_span.clone(),
        SpanTarget::ConfigKey(pointer) => match plugin.config_keys.get(pointer) {
            Some(span) => return span.clone(),
            None => pointer,
        },
        SpanTarget::Config(pointer) => pointer,
    };
    let mut pointer = pointer.as_str();
    loop {
        if let Some(span) = plugin.config_spans.get(pointer) {
            return span.clone();
        }
        match pointer.rfind('/') {
            Some(parent) => pointer = &pointer[..parent],
            None => return plugin.span.clone(),
        }
    }
}
