//! From a configured plugin to one that can serve.
//!
//! Owns the checks on a component before any request meets it: that it is a component of this
//! interface's version, that it imports nothing it was not granted, that its hooks have the right
//! types, and that its configuration is accepted, by its schema and by itself. Each refusal says
//! where in the configuration its cause stands. Must not know how a configuration is rendered.

mod compiled;
mod compiler_process;
mod conform;
mod describe;
mod document;
mod inspect;
mod kind;
mod precompiled;
mod refusal;
mod repair;
mod requirements;
mod resettable;
mod unused;
mod version;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};

use super::bindings::{Description, HOOKS, VERSION};
use super::engine::{self, Backtraces};
use super::host::{self, Calls, HostState, INTERFACES, Identity};
use super::in_place::{ARGUMENTS, BLOCK};
use super::instance::{HOOK_NAMES, Instance};
use super::prepare::Preparer;
use super::reset;
use super::schema::Variant;
use super::trap::{limits_for, mebibytes};
use super::{Failure, Interest};
use crate::config::{self, Doubts, Grant, Isolation, OnError};
use crate::documents::{Document, Documents};
use crate::events::{Events, Sink};
use crate::memory_quota::{QuotaExceeded, Reservation, Reserved};
use crate::share::Clock;
use crate::state::key_sets::{KeySet, KeySets};
use crate::state::{State, slots};
use crate::telemetry::metrics::{DrainCounts, Metrics};
use crate::usage::Usage;
use compiled::Compiled;
use compiler_process::Aside;
use conform::conform;
use describe::describe;
use kind::not_ours;
use refusal::{failed, refused};

pub use compiler_process::{Compilation, compile, compile_with};
pub use document::{Omission, schema};
pub use inspect::{
    INTERFACE_VERSION, Import as PluginImport, Inspection, Refusal, compile_time, inspect, open,
    requirements,
};
pub use precompiled::precompile;
pub(crate) use refusal::LoadError;
pub use refusal::SpanTarget;
pub use requirements::Requirement;
pub(super) use resettable::{LOAD, MEMORY, SAVE};

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
    /// Whether it may ask for another attempt, so that requests must be kept.
    pub(crate) may_attempt: bool,
    /// Whether it may hold a response back, and see another in its place.
    pub(crate) may_hold: bool,
    /// Whether it may have a response read to its end without its client.
    pub(crate) may_drain: bool,
    /// Whether it may keep and serve responses.
    pub(crate) uses_cache: bool,
    /// Attributes that a request must have, with these values, to pass it.
    pub(crate) only_if: Box<[(String, String)]>,
    pub(super) isolation: Isolation,
    pub(super) deadline: Duration,
    /// What `configure` may take.
    pub(super) configure: Duration,
    pub(super) memory: usize,
    pub(super) instances: usize,
    /// How much it may leave in the gateway.
    pub(crate) bounds: config::PluginBounds,
    /// Calls that may wait for their turn, on a worker and for a route.
    pub(super) queue: usize,
    /// Whether the log has said that its instances serve few hooks.
    pub(super) retirement_logged: AtomicBool,
    pub(super) waits: bool,
    /// The same plugin without hooks that wait, if most of its calls need not.
    pub(super) at_once: Option<Arc<Plugin>>,
    /// Whether its instances can be put back into the state in which they were configured, and are.
    pub(super) resets: bool,
    /// Whether its component comes with the binary.
    pub(super) is_first_party: bool,
    pub(super) config: String,
    pub(super) identity: Arc<Identity>,
    pub(super) pre: InstancePre<HostState>,
    pub(super) exports: Vec<ComponentExportIndex>,
    /// The function that says where its arguments may be laid down.
    pub(super) block: Option<ComponentExportIndex>,
    /// Where its instances are made for workers.
    pub(super) preparer: Preparer,
}

impl Plugin {
    /// The upstreams that it may forward requests to.
    pub(crate) fn forward_to(&self) -> &[String] {
        &self.identity.forward_to
    }

    /// The same plugin, linked so that no hook waits.
    fn at_once(&self, pre: InstancePre<HostState>) -> Self {
        Self {
            name: Arc::clone(&self.name),
            interest: self.interest.clone(),
            only_if: self.only_if.clone(),
            bounds: self.bounds.clone(),
            retirement_logged: AtomicBool::new(false),
            waits: false,
            at_once: None,
            config: self.config.clone(),
            identity: Arc::clone(&self.identity),
            pre,
            exports: self.exports.clone(),
            preparer: self.preparer.clone(),
            ..*self
        }
    }

    /// As much of a body as is held for it: what it asks for, and no more than an instance can take.
    pub(crate) fn largest_buffer(&self, wanted: u64) -> u64 {
        wanted.min(self.memory as u64)
    }

    /// Counts a body that is to be held for it.
    pub(crate) fn reservation(&self) -> Reservation {
        Reservation::new(&self.identity.stores.bodies, &self.identity.state.bodies)
    }

    /// What it made instead of a body. It is counted until it is on its way, if it is more than
    /// what any message takes.
    pub(crate) fn counted(&self, bytes: Vec<u8>) -> Result<Bytes, Failure> {
        if bytes.len() <= UNCOUNTED {
            return Ok(bytes.into());
        }
        let mut reservation = self.reservation();
        reservation.grow(bytes.len()).map_err(|full| Failure::Kept(full_text(full).into()))?;
        Ok(Reserved::bytes(bytes, reservation))
    }

    /// A failure of a hook in words for the log, if there may be a line of it now.
    pub(crate) fn record(&self, hook: &str, failure: &dyn std::fmt::Display) -> Option<String> {
        self.identity.stores.volume.record(hook, &failure.to_string())
    }

    /// It answered a request by itself.
    pub(crate) fn answered(&self, status: u16) {
        self.identity.metrics.answered(status);
    }

    /// Whether a slot is one of its own under this key.
    pub(crate) fn has_slot(&self, held: &slots::Held, key: &str) -> bool {
        held.is_of(&self.identity.stores.slots, key)
    }

    /// What is counted of the responses that were read for it without their clients.
    pub(crate) fn drains(&self) -> Arc<DrainCounts> {
        self.identity.metrics.drains()
    }

    /// Counts a hook that failed.
    pub(crate) fn failed(&self, failure: &Failure) {
        self.identity.metrics.failed(failure.kind());
    }

    /// There was no room for as many names under which it adds to usage.
    pub(crate) fn usage_dropped(&self, names: usize) {
        self.identity.state.usage.amounts_dropped(&self.name, names);
    }
}

/// Bytes of an answer or of a chunk that are not counted: fewer than its connection takes.
const UNCOUNTED: usize = 4 << 10;

/// Which bound bodies have come to.
pub(crate) fn full_text(full: QuotaExceeded) -> String {
    match full {
        QuotaExceeded::Plugin(limit) => format!(
            "the bodies that are held for it take all of its {limit} bytes ({}, `limits.buffered`)",
            mebibytes(limit)
        ),
        QuotaExceeded::Process(limit) => format!(
            "the bodies that are held for plugins take all of {limit} bytes ({}, \
             `buffered_bodies` of `[gateway]`)",
            mebibytes(limit)
        ),
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
    preparer: Preparer,
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
        Self::over(cache, Backtraces::Names, state, built_in)
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
        Self::over(cache, Backtraces::Lines, state, built_in)
    }

    fn over(
        cache: Option<&Path>,
        backtraces: Backtraces,
        state: State,
        built_in: &'static [(&'static str, &'static [u8])],
    ) -> Result<Self, String> {
        let engine = engine::engine(cache, backtraces);
        let (engine, clock, cache) = engine.map_err(|error| format!("{error:#}"))?;
        let compiled = Compiled::new(built_in, Aside::new(cache, backtraces));
        Ok(Self { engine, clock, state, compiled, preparer: Preparer::new() })
    }

    /// Sets what compiling may take from now on; `beside`: while this process serves.
    pub(crate) fn bound_compiling(&self, process: &config::Process, beside: bool) {
        self.compiled.bound(process, beside);
    }

    /// What makes deadlines hold in the engine.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Loads a plugin and checks its configuration, first against its schema and then by itself.
    /// All that is wrong is reported at once; what is wrong with the schema, as a warning.
    ///
    /// With `doubts` it is a plugin of a file that is refused: only certain errors are reported.
    pub(crate) fn load(
        &self,
        config: &config::Plugin,
        doubts: Option<&Doubts>,
        warnings: &mut Vec<LoadError>,
    ) -> Result<Plugin, Vec<LoadError>> {
        let Some(doubts) = doubts else {
            let loaded = self.load_whole(config, true, warnings);
            return loaded.map_err(refusal::few);
        };
        let mut lenient = config.clone();
        if doubts.table {
            inspect::grant_everything(&mut lenient);
        }
        let before = warnings.len();
        let loaded = self.load_whole(&lenient, !doubts.surroundings, warnings);
        if doubts.table {
            // What it was lent is nobody's grant.
            let tail = warnings.split_off(before);
            warnings.extend(tail.into_iter().filter(|it| !unused::is_about_grants(it)));
        }
        loaded.map_err(|mut errors| {
            errors.retain(|error| repair::is_certain(error, doubts));
            refusal::few(errors)
        })
    }

    /// As [`load`](Self::load); `asks`: also the plugin itself, and not its schema alone.
    fn load_whole(
        &self,
        config: &config::Plugin,
        asks: bool,
        warnings: &mut Vec<LoadError>,
    ) -> Result<Plugin, Vec<LoadError>> {
        let component = self.compile(config).map_err(|error| vec![error])?;
        if let Err(mut errors) = self.check_imports(config, &component) {
            errors.extend(self.faults_of_ungranted(config, &component, warnings));
            return Err(errors);
        }
        warnings.extend(unused::unused_grants(config, &component));
        let (mut plugin, mut instance) = self.prepare(config, &component).map_err(|e| vec![e])?;
        if let Some(description) = wait(describe(&plugin)) {
            let conforms = conform(&description, config, warnings);
            if let Err(mut faults) = conforms {
                if asks {
                    let asked = (plugin, instance);
                    faults.extend(self.own_faults(
                        config,
                        &component,
                        &description,
                        asked,
                        &faults,
                    ));
                }
                return Err(faults);
            }
        }
        if !asks {
            // Nothing certain is wrong with it, and nobody takes it into service.
            return Err(Vec::new());
        }
        plugin.interest = self.configure(&plugin, &mut instance)?;
        warnings.extend(worn_at_once(&plugin, &instance));
        if plugin.waits && plugin.interest.never_waits {
            let linked = self.link(config, &component, Calls::AreRefused);
            plugin.pre = linked.map_err(|error| vec![refused(format!("{error:#}"), None)])?.pre;
            plugin.waits = false;
        }
        if plugin.waits && plugin.isolation == Isolation::Pooled && config.limiter_use.lease > 0 {
            let linked = self.link(config, &component, Calls::AreDoneAtOnce);
            plugin.at_once = linked.ok().map(|linked| Arc::new(plugin.at_once(linked.pre)));
        }
        plugin.resets = plugin.isolation == Isolation::Fresh
            && !plugin.waits
            && component.get_export_index(None, SAVE).is_some();
        Ok(plugin)
    }

    /// What a plugin itself has against a configuration in which its schema found faults.
    fn own_faults(
        &self,
        config: &config::Plugin,
        component: &Component,
        description: &Description,
        (mut plugin, mut instance): (Plugin, Instance),
        faults: &[LoadError],
    ) -> Vec<LoadError> {
        let ask = |variant, plugin: &mut Plugin, instance: &mut Instance| {
            let schema = &description.config_schema;
            let (left, changes) = repair::without_faults(schema, config, faults, variant)?;
            plugin.config = left;
            let own = self.configure(plugin, instance).err().unwrap_or_default();
            Some(own.into_iter().filter_map(|error| changes.place(error)).collect::<Vec<_>>())
        };
        let Some(first) = ask(Variant::First, &mut plugin, &mut instance) else {
            return Vec::new();
        };
        if first.is_empty() {
            return first;
        }
        let Ok((mut plugin, mut instance)) = self.prepare(config, component) else { return first };
        match ask(Variant::Second, &mut plugin, &mut instance) {
            Some(second) => repair::said_of_both(first, &second),
            None => first,
        }
    }

    /// The component in a file, compiled again unless it is in the engine's cache.
    pub(crate) fn component(&self, path: &Path) -> Result<Component, LoadError> {
        self.compiled.anew(&self.engine, path)
    }

    /// What is counted, for as long as the process lives.
    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.state.metrics
    }

    /// What plugins keep.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Where usage is recorded, for as long as the process lives.
    pub(crate) fn usage(&self) -> &Arc<Usage> {
        &self.state.usage
    }

    /// What is kept current for plugins, for as long as the process lives.
    pub(crate) fn documents(&self) -> &Arc<Documents> {
        &self.state.documents
    }

    fn documents_of(&self, config: &config::Plugin) -> Vec<(String, Arc<Document>)> {
        let granted = config.documents.iter().flatten();
        granted.map(|it| (it.name.clone(), self.state.documents.of(it))).collect()
    }

    /// Where events of plugins are collected, for as long as the process lives.
    pub(crate) fn events(&self) -> &Arc<Events> {
        &self.state.events
    }

    fn sinks_of(&self, config: &config::Plugin) -> Vec<Arc<Sink>> {
        config.events.iter().flatten().map(|it| self.state.events.of(it)).collect()
    }

    /// Sets of API keys, for as long as the process lives.
    pub(crate) fn key_sets(&self) -> &Arc<KeySets> {
        &self.state.key_sets
    }

    fn keys_of(&self, config: &config::Plugin) -> Vec<(String, Arc<KeySet>)> {
        let granted = config.keys.iter().flatten();
        granted.map(|it| (it.name.clone(), self.state.key_sets.of(it))).collect()
    }

    /// Forgets what was compiled for plugins other than those of a configuration, and what they kept,
    /// and takes over its bounds.
    pub(crate) fn keep_only(&self, config: &config::Config) {
        self.compiled.keep_only(&config.plugins);
        self.state.keep(&config.plugins);
        self.state.documents.keep(config);
        self.state.events.keep(config);
        self.state.key_sets.keep(config);
        self.state.keep_stores(&config.stores);
        let components = config.components.iter().map(|component| &*component.name);
        self.state.metrics.keep_components(&components.collect());
        self.state.bodies.set(config.process.buffered_bodies);
    }

    /// Opens the stores of a configuration that are not open, and says which cannot be.
    pub(crate) fn open_stores(&self, config: &config::Config) -> Vec<(usize, String)> {
        self.state.open(config)
    }

    /// Opens the caches of a configuration that have a folder, and says which cannot be.
    pub(crate) fn open_caches(&self, config: &config::Config) -> Vec<(usize, String)> {
        self.state.open_caches(config)
    }

    /// Writes what is to be written of stores and caches.
    pub(crate) fn finish_stores(&self) {
        self.state.named.finish();
        self.state.caches.finish();
    }

    fn compile(&self, config: &config::Plugin) -> Result<Component, LoadError> {
        let resettable = config.isolation == Isolation::Fresh && reset::is_possible();
        self.compiled.component(&self.engine, &config.component, resettable)
    }

    /// Refuses imports that are not known, not of this version, or not granted.
    fn check_imports(
        &self,
        config: &config::Plugin,
        component: &Component,
    ) -> Result<(), Vec<LoadError>> {
        let mut errors = Vec::new();
        let mut missing = Vec::new();
        for (name, wanted) in component.component_type().imports(&self.engine) {
            match import(name) {
                Import::Wasi => {}
                Import::Host(index) => {
                    let grant = INTERFACES[index].grant;
                    if let Some(grant) = grant
                        && !is_granted(config, grant)
                        && !(grant == Grant::Attempts && asks_alone(&wanted.ty, &self.engine))
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

    /// What its schema has against the configuration of a plugin that imports what it was not granted.
    /// Only the schema is asked for, and every import refuses.
    fn faults_of_ungranted(
        &self,
        config: &config::Plugin,
        component: &Component,
        warnings: &mut Vec<LoadError>,
    ) -> Vec<LoadError> {
        let mut linker = Linker::new(&self.engine);
        let linked = linker
            .define_unknown_imports_as_traps(component)
            .and_then(|()| linker.instantiate_pre(component));
        let Ok(pre) = linked else { return Vec::new() };
        let linked = Linked {
            pre,
            waits: false,
            reads_request: false,
            may_attempt: false,
            may_hold: false,
            may_drain: false,
            uses_cache: false,
        };
        let Ok((plugin, _)) = self.prepare_linked(config, component, linked) else {
            return Vec::new();
        };
        let description = wait(describe(&plugin));
        let faults = description.map(|it| conform(&it, config, warnings).err().unwrap_or_default());
        faults.unwrap_or_default()
    }

    fn prepare(
        &self,
        config: &config::Plugin,
        component: &Component,
    ) -> Result<(Plugin, Instance), LoadError> {
        let linked = self
            .link(config, component, Calls::Wait)
            .map_err(|error| refused(format!("{error:#}"), None))?;
        self.prepare_linked(config, component, linked)
    }

    fn prepare_linked(
        &self,
        config: &config::Plugin,
        component: &Component,
        linked: Linked,
    ) -> Result<(Plugin, Instance), LoadError> {
        let exports = exports(component)?;
        let name: Arc<str> = config.name.as_str().into();
        self.state.caches.has_user(&name, linked.uses_cache);
        let identity = Identity {
            name: name.clone(),
            ticks: engine::ticks(config.deadline),
            clock: self.clock.clone(),
            state: self.state.clone(),
            stores: self.state.of(config),
            cache: self.state.cache_of(config),
            metrics: self.state.metrics.of(&name),
            secrets: config.secrets.clone().unwrap_or_default(),
            documents: self.documents_of(config),
            events: self.sinks_of(config),
            keys: self.keys_of(config),
            upstreams: config.upstreams.clone().unwrap_or_default(),
            forward_to: config.forward_to.iter().map(|(name, _)| name.clone()).collect(),
        };
        let plugin = Plugin {
            name,
            interest: Interest::none(),
            on_error: config.on_error,
            reads_request: linked.reads_request,
            may_attempt: linked.may_attempt,
            may_hold: linked.may_hold,
            may_drain: linked.may_drain,
            uses_cache: linked.uses_cache,
            only_if: config
                .only_if
                .iter()
                .map(|it| (it.attribute.clone(), it.value.clone()))
                .collect(),
            isolation: config.isolation,
            deadline: config.deadline,
            configure: config.configure,
            memory: config.memory,
            instances: config.instances,
            bounds: config.bounds.clone(),
            queue: config.queue,
            retirement_logged: AtomicBool::new(false),
            waits: linked.waits,
            at_once: None,
            resets: false,
            is_first_party: matches!(config.component, config::Component::BuiltIn(_)),
            config: config.config.clone(),
            identity: Arc::new(identity),
            pre: linked.pre,
            exports,
            block: block(component),
            preparer: self.preparer.clone(),
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

    /// Links what the component imports.
    fn link(
        &self,
        config: &config::Plugin,
        component: &Component,
        calls: Calls,
    ) -> wasmtime::Result<Linked> {
        let mut linker = Linker::new(&self.engine);
        let (mut waits, mut reads_request) = (false, false);
        let (mut may_attempt, mut may_hold, mut uses_cache) = (false, false, false);
        let mut may_drain = false;
        for (name, wanted) in component.component_type().imports(&self.engine) {
            match import(name) {
                Import::Host(index) => {
                    let interface = &INTERFACES[index];
                    let waiting = interface.waiting(config);
                    interface.link(&mut linker, name, waiting, calls)?;
                    may_attempt |=
                        interface.name == "attempts" && !asks_alone(&wanted.ty, &self.engine);
                    may_hold |= interface.name == "held-response";
                    may_drain |= interface.name == "drain";
                    uses_cache |= interface.name == "cache";
                    waits |= calls == Calls::Wait && waiting.is_some();
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
        let pre = linker.instantiate_pre(component)?;
        Ok(Linked { pre, waits, reads_request, may_attempt, may_hold, may_drain, uses_cache })
    }

    fn configure(
        &self,
        plugin: &Plugin,
        instance: &mut Instance,
    ) -> Result<Interest, Vec<LoadError>> {
        let answer = wait(instance.configure(plugin)).map_err(|failure| vec![failed(&failure)])?;
        let interest = answer.map_err(|errors| {
            let error = |error: super::bindings::ConfigError| {
                let text = plugin.identity.without_secrets(&error.message).into_owned();
                let (message, help) = match text.rsplit_once("\nhelp: ") {
                    Some((message, help)) => (message.to_owned(), Some(help.to_owned())),
                    None => (text, None),
                };
                let place = SpanTarget::Config(error.pointer);
                LoadError { place, message, label: None, note: None, help }
            };
            errors.into_iter().map(error).collect::<Vec<_>>()
        })?;
        Interest::try_from(interest).map_err(|message| vec![refused(message, None)])
    }
}

/// Says that a plugin which is configured has too much memory to serve a second hook.
fn worn_at_once(plugin: &Plugin, instance: &Instance) -> Option<LoadError> {
    if plugin.isolation == Isolation::Fresh || !instance.should_retire(plugin.memory) {
        return None;
    }
    let (_, memory) = instance.wear();
    let message = format!(
        "its memory is {} once it is configured, over three quarters of its limit of {} \
         (`limits.memory`), so that each hook needs a new instance",
        mebibytes(memory),
        mebibytes(plugin.memory)
    );
    let note = format!("write `{}` to have instances used again", limits_for(memory));
    Some(LoadError { note: Some(note.into()), ..refused(message, None) })
}

struct Linked {
    pre: InstancePre<HostState>,
    waits: bool,
    reads_request: bool,
    may_attempt: bool,
    may_hold: bool,
    may_drain: bool,
    uses_cache: bool,
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

/// Whether a component that imports `attempts` asks where it may forward requests, and nothing else: that needs no grant.
fn asks_alone(wanted: &ComponentItem, engine: &Engine) -> bool {
    let ComponentItem::ComponentInstance(wanted) = wanted else { return false };
    // Types belong to functions that are not there.
    let is_function = |item: &ComponentItem| matches!(item, ComponentItem::ComponentFunc(_));
    let mut functions = wanted.exports(engine).filter(|(_, item)| is_function(&item.ty));
    functions.all(|(name, _)| name == "may-forward")
}

fn asks_for_request(wanted: &ComponentItem, engine: &Engine) -> bool {
    let ComponentItem::ComponentInstance(wanted) = wanted else { return true };
    wanted.exports(engine).any(|(name, _)| name.starts_with("request-"))
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
pub(super) fn key_of(grant: Grant) -> Option<&'static str> {
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

/// The function in which it says where its arguments may be laid down, if it does.
fn block(component: &Component) -> Option<ComponentExportIndex> {
    let ty = component.component_type();
    let mut names = ty.exports(component.engine()).map(|(name, _)| name);
    let ours = names.find(|name| name.strip_prefix(ARGUMENTS).is_some_and(version::is_served))?;
    let arguments = component.get_export_index(None, ours)?;
    component.get_export_index(Some(&arguments), BLOCK)
}

/// Runs a future to its end on this thread: loading is control work and may take its time.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the system grants a runtime for loading");
    runtime.block_on(future)
}
