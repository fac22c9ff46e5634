//! From a configured plugin to one that can serve.
//!
//! Owns the checks on a component before any request meets it: that it is a component of this
//! interface's version, that it imports nothing it was not granted, that its hooks have the right
//! types, and that its configuration is accepted, by its schema and by itself. Each refusal says
//! where in the configuration its cause stands. Must not know how a configuration is rendered.

mod compiled;
mod conform;
mod describe;
mod document;
mod inspect;
mod kind;
mod refusal;
mod version;
mod want;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};

use super::bindings::{HOOKS, VERSION};
use super::engine::{self, Backtraces, Clock};
use super::host::{self, HostState, INTERFACES, Identity};
use super::instance::{HOOK_NAMES, Instance};
use super::{Failure, Interest};
use crate::config::{self, Grant, Isolation, OnError};
use crate::state::State;
use crate::telemetry::metrics::Metrics;
use compiled::Compiled;
pub(crate) use compiled::component_bytes;
use conform::conform;
use describe::describe;
use kind::not_ours;
use refusal::{failed, refused};

pub use document::{Omission, schema};
pub use inspect::{
    INTERFACE_VERSION, Import as PluginImport, Inspection, Refusal, compile_time, inspect, open,
    wants,
};
pub(crate) use refusal::LoadError;
pub use refusal::Place;
pub use want::Want;

/// A plugin that is loaded, checked and accepted its configuration; shared by all workers.
pub(crate) struct Plugin {
    /// The name under which it is configured.
    pub(crate) name: Arc<str>,
    /// What it wants to see.
    pub(crate) interest: Interest,
    /// What happens to a request when it fails.
    pub(crate) on_error: OnError,
    /// Whether it may ask for the request's head in a later hook.
    pub(crate) reads_request: bool,
    pub(super) isolation: Isolation,
    pub(super) deadline: Duration,
    pub(super) memory: usize,
    pub(super) instances: usize,
    pub(super) waits: bool,
    pub(super) config: String,
    pub(super) identity: Arc<Identity>,
    pub(super) pre: InstancePre<HostState>,
    pub(super) exports: Vec<ComponentExportIndex>,
}

impl Plugin {
    /// Whether a hook may wait for something.
    pub(crate) fn may_wait(&self) -> bool {
        self.waits
    }

    /// Counts a hook that failed.
    pub(crate) fn failed(&self, failure: &Failure) {
        self.identity.metrics.failed(failure.kind());
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Loads plugins. One for the process: it holds the engine, and what it compiled before.
pub(crate) struct Loader {
    engine: Engine,
    clock: Clock,
    state: State,
    compiled: Compiled,
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader").finish_non_exhaustive()
    }
}

impl Loader {
    /// A loader that keeps compiled components in `cache`, or in the user's cache folder.
    ///
    /// # Errors
    ///
    /// When the machine cannot give the engine what it needs, or the folder cannot be used.
    pub(crate) fn new(
        cache: Option<&Path>,
        state: State,
        built_in: &'static [(&'static str, &'static [u8])],
    ) -> Result<Self, String> {
        Self::over(engine::engine(cache, Backtraces::Names), state, built_in)
    }

    /// A loader whose plugins have files and lines in their backtraces, if their components have
    /// debug information; otherwise as [`new`](Self::new).
    ///
    /// # Errors
    ///
    /// As those of [`new`](Self::new).
    pub(crate) fn with_lines(
        cache: Option<&Path>,
        state: State,
        built_in: &'static [(&'static str, &'static [u8])],
    ) -> Result<Self, String> {
        Self::over(engine::engine(cache, Backtraces::Lines), state, built_in)
    }

    fn over(
        engine: wasmtime::Result<(Engine, Clock)>,
        state: State,
        built_in: &'static [(&'static str, &'static [u8])],
    ) -> Result<Self, String> {
        let (engine, clock) = engine.map_err(|error| format!("{error:#}"))?;
        Ok(Self { engine, clock, state, compiled: Compiled::new(built_in) })
    }

    /// The engine, and what makes deadlines hold in it.
    pub(crate) fn engine(&self) -> (&Engine, &Clock) {
        (&self.engine, &self.clock)
    }

    /// Loads a plugin and checks its configuration, first against its schema and then by itself.
    /// All that is wrong is reported at once; what is wrong with the schema, as a warning.
    pub(crate) fn load(
        &self,
        config: &config::Plugin,
        warnings: &mut Vec<LoadError>,
    ) -> Result<Plugin, Vec<LoadError>> {
        let component = self.compile(config).map_err(|error| vec![error])?;
        self.check_imports(config, &component)?;
        let (mut plugin, instance) = self.prepare(config, &component).map_err(|e| vec![e])?;
        if let Some(description) = wait(describe(&plugin)) {
            conform(&description, config, warnings)?;
        }
        plugin.interest = self.configure(&plugin, instance)?;
        if plugin.waits && plugin.interest.never_waits {
            let linked = self.link(&component, false);
            plugin.pre = linked.map_err(|error| vec![refused(format!("{error:#}"), None)])?.pre;
            plugin.waits = false;
        }
        Ok(plugin)
    }

    /// What is counted, for as long as the process lives.
    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.state.metrics
    }

    /// Forgets what was compiled for plugins other than these.
    pub(crate) fn keep_only(&self, plugins: &[config::Plugin]) {
        self.compiled.keep_only(plugins);
    }

    fn compile(&self, config: &config::Plugin) -> Result<Component, LoadError> {
        self.compiled.component(&self.engine, &config.component)
    }

    /// Refuses imports that are not known, not of this version, or not granted.
    fn check_imports(
        &self,
        config: &config::Plugin,
        component: &Component,
    ) -> Result<(), Vec<LoadError>> {
        let mut errors = Vec::new();
        let mut missing = Vec::new();
        for (name, _) in component.component_type().imports(&self.engine) {
            match import(name) {
                Import::Wasi => {}
                Import::Host(index) => {
                    let grant = INTERFACES[index].grant;
                    if let Some(grant) = grant
                        && !is_granted(config, grant)
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
                        "build it against this gateway's `wit/`: `gateway plugin wit` writes it"
                            .into(),
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

    fn prepare(
        &self,
        config: &config::Plugin,
        component: &Component,
    ) -> Result<(Plugin, Instance), LoadError> {
        let linked =
            self.link(component, true).map_err(|error| refused(format!("{error:#}"), None))?;
        let exports = exports(component)?;
        let name: Arc<str> = config.name.as_str().into();
        let identity = Identity {
            name: name.clone(),
            ticks: engine::ticks(config.deadline),
            clock: self.clock.clone(),
            state: self.state.clone(),
            key_values: self.state.key_values.of(&name),
            metrics: self.state.metrics.of(&name),
            secrets: config.secrets.clone().unwrap_or_default(),
            upstreams: config.upstreams.clone().unwrap_or_default(),
        };
        let plugin = Plugin {
            name,
            interest: Interest::none(),
            on_error: config.on_error,
            reads_request: linked.reads_request,
            isolation: config.isolation,
            deadline: config.deadline,
            memory: config.memory,
            instances: config.instances,
            waits: linked.waits,
            config: config.config.clone(),
            identity: Arc::new(identity),
            pre: linked.pre,
            exports,
        };
        let instance = wait(Instance::new(&plugin)).map_err(|failure| failed(&failure))?;
        instance.check_types().map_err(|error| {
            let message = format!("a hook is not what gateway:plugin {VERSION} says: {error:#}");
            refused(
                message,
                Some(
                    "build it against this gateway's `wit/`: `gateway plugin wit` writes it".into(),
                ),
            )
        })?;
        Ok((plugin, instance))
    }

    /// Links what the component imports; functions that wait only if it may wait.
    fn link(&self, component: &Component, may_wait: bool) -> wasmtime::Result<Linked> {
        let mut linker = Linker::new(&self.engine);
        let (mut waits, mut reads_request) = (false, false);
        for (name, wanted) in component.component_type().imports(&self.engine) {
            match import(name) {
                Import::Host(index) => {
                    let interface = &INTERFACES[index];
                    interface.link(&mut linker, name, may_wait)?;
                    waits |= may_wait && interface.waits();
                    reads_request |=
                        interface.name == "exchange" && asks_for_request(&wanted.ty, &self.engine);
                }
                Import::Wasi => {
                    if let ComponentItem::ComponentInstance(wanted) = &wanted.ty {
                        host::link_wasi(&mut linker, name, wanted, &self.engine)?;
                    }
                }
                Import::OtherVersion(_) | Import::Unknown => {}
            }
        }
        Ok(Linked { pre: linker.instantiate_pre(component)?, waits, reads_request })
    }

    fn configure(
        &self,
        plugin: &Plugin,
        mut instance: Instance,
    ) -> Result<Interest, Vec<LoadError>> {
        let answer = wait(instance.configure(plugin)).map_err(|failure| vec![failed(&failure)])?;
        let interest = answer.map_err(|errors| {
            let error = |error: super::bindings::ConfigError| LoadError {
                place: Place::Config(error.pointer),
                message: plugin.identity.without_secrets(&error.message).into_owned(),
                label: None,
                note: None,
                help: None,
            };
            errors.into_iter().map(error).collect::<Vec<_>>()
        })?;
        Interest::try_from(interest).map_err(|message| vec![refused(message, None)])
    }
}

struct Linked {
    pre: InstancePre<HostState>,
    waits: bool,
    reads_request: bool,
}

/// What a component imports under a name.
enum Import {
    /// One of [`INTERFACES`].
    Host(usize),
    Wasi,
    OtherVersion(String),
    Unknown,
}

fn import(name: &str) -> Import {
    let (interface, version) = name.split_once('@').unwrap_or((name, ""));
    if interface.starts_with("wasi:") && version.starts_with("0.2.") {
        return Import::Wasi;
    }
    let Some(ours) = interface.strip_prefix("gateway:plugin/") else { return Import::Unknown };
    if !version::is_served(version) {
        return Import::OtherVersion(version.to_owned());
    }
    // `types` holds no functions: a component that uses it needs nothing from the host.
    if ours == "types" {
        return Import::Wasi;
    }
    INTERFACES.iter().position(|known| known.name == ours).map_or(Import::Unknown, Import::Host)
}

fn asks_for_request(wanted: &ComponentItem, engine: &Engine) -> bool {
    let ComponentItem::ComponentInstance(wanted) = wanted else { return true };
    wanted.exports(engine).any(|(name, _)| name.starts_with("request-"))
}

/// A first-party component comes with the binary: it is granted what it imports, unless the
/// configuration lists its grants.
fn is_granted(config: &config::Plugin, grant: Grant) -> bool {
    let is_listed = match grant {
        Grant::Secrets => config.secrets.as_ref().map(|_| true),
        Grant::HttpClient => config.upstreams.as_ref().map(|_| true),
        _ => config.grants.as_ref().map(|grants| grants.contains(&grant)),
    };
    is_listed.unwrap_or(matches!(config.component, config::Component::BuiltIn(_)))
}

/// The key that grants an interface by naming what may be reached through it.
pub(super) fn key_of(grant: Grant) -> Option<&'static str> {
    match grant {
        Grant::Secrets => Some("secrets"),
        Grant::HttpClient => Some("upstreams"),
        Grant::KeyValue | Grant::Limiter | Grant::Metrics | Grant::Password | Grant::Signature => {
            None
        }
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

fn grant_name(grant: Grant) -> &'static str {
    let known = INTERFACES.iter().find(|interface| interface.grant == Some(grant));
    known.map_or("", |interface| interface.name)
}

fn exports(component: &Component) -> Result<Vec<ComponentExportIndex>, LoadError> {
    let ty = component.component_type();
    let mut names = ty.exports(component.engine()).map(|(name, _)| name);
    let ours = names.find(|name| name.strip_prefix(HOOKS).is_some_and(version::is_served));
    let hooks = ours.and_then(|name| component.get_export_index(None, name));
    let hooks = hooks.ok_or_else(|| not_ours(component))?;
    let find = |name: &&str| {
        component
            .get_export_index(Some(&hooks), name)
            .ok_or_else(|| refused(format!("its `{HOOKS}{VERSION}` has no `{name}`"), None))
    };
    HOOK_NAMES.iter().map(find).collect()
}

/// Runs a future to its end on this thread: loading is control work and may take its time.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the system grants a runtime for loading");
    runtime.block_on(future)
}
