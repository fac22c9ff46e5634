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
mod grants;
mod imports;
mod inspect;
mod kept;
mod kind;
mod loaded;
mod meant;
mod precompiled;
mod refusal;
mod repair;
mod requirements;
mod resettable;
mod subject;
mod unused;
mod version;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use super::Interest;
use super::bindings::{Description, VERSION};
use super::engine::{self, Backtraces};
use super::host::{Calls, Identity};
use super::instance::Instance;
use super::prepare::Preparer;
use super::reset;
use super::schema::Variant;
use super::trap::{limits_for, mebibytes};
use crate::config::{self, Doubts, Isolation};
use crate::documents::{Document, Documents};
use crate::events::{Events, Sink};
use crate::first_party::FirstParty;
use crate::share::Clock;
use crate::state::State;
use crate::state::key_sets::{KeySet, KeySets};
use crate::telemetry::metrics::Metrics;
use crate::usage::Usage;
use compiled::Compiled;
use compiler_process::Aside;
use conform::conform;
use describe::describe;
use grants::check_imports;
use imports::{Linked, block, exports, link};
use kept::Kept;
use refusal::{failed, refused};

pub use compiler_process::{Compilation, compile, compile_with};
pub use document::{Omission, schema};
pub(super) use grants::key_of;
pub use inspect::{
    INTERFACE_VERSION, Import as PluginImport, Inspection, Refusal, compile_time, inspect, open,
    requirements,
};
pub(crate) use loaded::{Plugin, full_text};
pub use precompiled::precompile;
pub(crate) use refusal::LoadError;
pub use refusal::SpanTarget;
pub use requirements::Requirement;
pub(super) use resettable::{LOAD, MEMORY, SAVE};

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
        built_in: &'static [FirstParty],
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
        built_in: &'static [FirstParty],
    ) -> Result<Self, String> {
        Self::over(cache, Backtraces::Lines, state, built_in)
    }

    fn over(
        cache: Option<&Path>,
        backtraces: Backtraces,
        state: State,
        built_in: &'static [FirstParty],
    ) -> Result<Self, String> {
        let engine = engine::engine(cache, backtraces);
        let (engine, clock, cache) = engine.map_err(|error| format!("{error:#}"))?;
        let kept = Kept::new(cache.as_deref(), backtraces);
        let compiled = Compiled::new(built_in, kept, Aside::new(cache, backtraces));
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
            return loaded.map_err(|mut errors| {
                meant::advise(&mut errors, config);
                refusal::few(errors)
            });
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
            meant::advise(&mut errors, config);
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
        if let Err(mut errors) = check_imports(&self.engine, config, &component) {
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
        if let config::Component::BuiltIn(_) = config.component {
            // Others may ask for them in a hook.
            warnings.extend(unused::unused_documents(&instance));
        }
        if plugin.waits && plugin.interest.never_waits {
            let linked = link(&self.engine, config, &component, Calls::AreRefused);
            plugin.pre = linked.map_err(|error| vec![refused(format!("{error:#}"), None)])?.pre;
            plugin.waits = false;
        }
        if plugin.waits && plugin.isolation == Isolation::Pooled && config.limiter_use.lease > 0 {
            let linked = link(&self.engine, config, &component, Calls::AreDoneAtOnce);
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
        let linked = link(&self.engine, config, component, Calls::Wait)
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
            are_failing: config.upstreams.iter().flatten().map(|_| AtomicBool::default()).collect(),
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
                let message = subject::named(&error.pointer, message);
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

/// Runs a future to its end on this thread: loading is control work and may take its time.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the system grants a runtime for loading");
    runtime.block_on(future)
}
