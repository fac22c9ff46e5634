//! What loading finds out about a component, for people to read.
//!
//! Owns the portrait of a plugin: what it says about itself, what it imports and which grant each
//! import needs, how large it is and how long it compiles. A component passes the same checks here
//! as before its first request, with everything granted and without a configuration. Must not
//! print anything.

use std::path::Path;
use std::time::{Duration, Instant};

use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;
use wasmtime::{Config, Engine};

use super::compiled::component_bytes;
use super::conform::conform;
use super::describe::describe;
use super::imports::{Import as Kind, import};
use super::refusal::{LoadError, SpanTarget, failed, refused};
use super::requirements::{self, Requirement};
use super::{Loader, Plugin, key_of, wait};
use crate::config::{self, Grant, Isolation, OnError};
use crate::first_party::{self, FIRST_PARTY, FirstParty};
use crate::plugin::Failure;
use crate::plugin::bindings::VERSION;
use crate::plugin::host::INTERFACES;
use crate::plugin::instance::{Describe, HOOK_NAMES, Instance};
use crate::plugin::sections::{self, Size};
use crate::state::State;

/// The version of `gateway:plugin` that this gateway speaks.
pub const INTERFACE_VERSION: &str = VERSION;

/// What is known about a plugin before it is configured.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it was built with, such as `gateway-plugin-sdk 0.1.0`.
    pub sdk: String,
    /// The JSON Schema of its configuration; empty if it has none.
    pub config_schema: String,
    /// The functions that it exports. Which of them the gateway calls is decided by its
    /// configuration.
    pub exports: Vec<&'static str>,
    /// What it imports, in the order of the component.
    pub imports: Vec<Import>,
    /// How large it is, and of what.
    pub size: Size,
    /// Bytes of machine code and data that it compiles to.
    pub compiled: usize,
}

/// An interface that a plugin imports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// With package and version, such as `gateway:plugin/log@0.1.0`.
    pub interface: String,
    /// The name to list under `grants`, if it must be granted so.
    pub grant: Option<&'static str>,
    /// The key that lists what may be reached through it, if it must be granted so: `secrets` or
    /// `upstreams`.
    pub key: Option<&'static str>,
    /// The functions of it.
    pub functions: Vec<String>,
}

/// Why a component is no plugin that this gateway could load.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What is wrong.
    pub message: String,
    /// What would fix it.
    pub help: Option<String>,
}

impl From<LoadError> for Refusal {
    fn from(error: LoadError) -> Self {
        let message = match error.place {
            SpanTarget::Config(pointer) if !pointer.is_empty() && error.label.is_none() => {
                format!("at {pointer}: {}", error.message)
            }
            SpanTarget::Config(_) | SpanTarget::ConfigKey(_) | SpanTarget::Component => {
                error.message
            }
        };
        // What the schema says names its place in words.
        Self { message, help: error.help.or(error.note.map(String::from)) }
    }
}

/// Looks into a component.
///
/// # Errors
/// Everything that prevents a gateway from loading it with any configuration.
pub fn inspect(component: &config::Component) -> Result<Inspection, Vec<Refusal>> {
    look(component).map_err(refusals)
}

/// The component in a file. A core module for WASI preview 1 whose bindings left the description of
/// its world in it, as those for Rust do, is made one.
///
/// # Errors
/// When the file cannot be read, or is none of both.
pub fn open(path: &Path) -> Result<Vec<u8>, Refusal> {
    component_bytes(path).map_err(Refusal::from)
}

/// How long this machine takes to compile a component. A gateway does that once and keeps what
/// came of it.
///
/// # Errors
/// When it is not valid.
pub fn compile_time(component: &config::Component) -> Result<Duration, Refusal> {
    let bytes = bytes(component)?;
    measure(&bytes).map_err(|error| refused(format!("it does not compile: {error:#}"), None).into())
}

/// Which hooks a plugin wants to be called in, with this configuration, a JSON text. A hook can
/// still ask for a body that is not named here.
///
/// # Errors
/// As [`inspect`]; and what its schema or the plugin itself has against the configuration.
pub fn requirements(
    component: &config::Component,
    config: &str,
) -> Result<Vec<Requirement>, Vec<Refusal>> {
    let configure = || {
        let mut opened = Opened::new(component)?;
        config.clone_into(&mut opened.config.config);
        let (plugin, mut instance) = opened.prepare()?;
        if let Some(description) = wait(describe(&plugin)) {
            conform(&description, &opened.config, &mut Vec::new())?;
        }
        opened.loader.configure(&plugin, &mut instance)
    };
    let interest = configure().map_err(refusals)?;
    Ok(requirements::list(&interest))
}

fn refusals(errors: Vec<LoadError>) -> Vec<Refusal> {
    errors.into_iter().map(Refusal::from).collect()
}

fn look(component: &config::Component) -> Result<Inspection, Vec<LoadError>> {
    let opened = Opened::new(component)?;
    let (plugin, mut instance) = opened.prepare()?;
    let described = wait(async {
        let called = instance.call::<Describe>(&plugin, None, ()).await?;
        Ok::<_, Failure>(called.results.0)
    });
    let description = described.map_err(|failure| vec![failed(&failure)])?;
    let machine_code = opened.component.image_range();
    Ok(Inspection {
        name: description.name,
        version: description.version,
        sdk: description.sdk,
        config_schema: description.config_schema,
        exports: HOOK_NAMES.to_vec(),
        imports: imports(&opened.component),
        size: sections::size(&opened.bytes),
        compiled: machine_code.end.addr() - machine_code.start.addr(),
    })
}

/// A component, and what is needed to run it.
struct Opened {
    loader: Loader,
    config: config::Plugin,
    bytes: Vec<u8>,
    component: Component,
}

impl Opened {
    fn new(component: &config::Component) -> Result<Self, Vec<LoadError>> {
        let bytes = bytes(component).map_err(|error| vec![error])?;
        let loader = Loader::new(None, State::default(), FIRST_PARTY).map_err(|error| {
            vec![refused(format!("the plugin engine cannot start: {error}"), None)]
        })?;
        let config = everything_granted(component);
        let component = loader.compile(&config).map_err(|error| vec![error])?;
        super::check_imports(&loader.engine, &config, &component)?;
        Ok(Self { loader, config, bytes, component })
    }

    fn prepare(&self) -> Result<(Plugin, Instance), Vec<LoadError>> {
        self.loader.prepare(&self.config, &self.component).map_err(|error| vec![error])
    }
}

fn bytes(component: &config::Component) -> Result<Vec<u8>, LoadError> {
    match component {
        config::Component::BuiltIn(name) => {
            let bytes = first_party::find(name).map(FirstParty::component);
            bytes.ok_or_else(|| refused(format!("there is no first-party plugin `{name}`"), None))
        }
        config::Component::File(path) => component_bytes(path),
    }
}

/// Grants all that can be granted, and takes no limit that a file may not have meant.
pub(super) fn grant_everything(plugin: &mut config::Plugin) {
    plugin.grants = Some(INTERFACES.iter().filter_map(|interface| interface.grant).collect());
    plugin.secrets.get_or_insert_default();
    plugin.documents.get_or_insert_default();
    plugin.events.get_or_insert_default();
    plugin.keys.get_or_insert_default();
    plugin.upstreams.get_or_insert_default();
    plugin.deadline = plugin.deadline.max(Duration::from_secs(1));
    plugin.configure = plugin.configure.max(Duration::from_secs(1));
    plugin.memory = plugin.memory.max(256 << 20);
    plugin.instances = plugin.instances.max(1);
}

/// The plugin as no file configures it: what it may do is not the question here.
fn everything_granted(component: &config::Component) -> config::Plugin {
    let grants: Vec<Grant> = INTERFACES.iter().filter_map(|interface| interface.grant).collect();
    config::Plugin {
        name: "inspected".to_owned(),
        component: component.clone(),
        config: "{}".to_owned(),
        config_spans: Default::default(),
        config_keys: Default::default(),
        config_filled: Default::default(),
        is_inline: false,
        component_text: String::new(),
        component_span: 0..0,
        span: 0..0,
        on_error: OnError::Closed,
        isolation: Isolation::Pooled,
        deadline: Duration::from_secs(1),
        configure: Duration::from_secs(1),
        memory: 256 << 20,
        instances: 1,
        queue: 1,
        limiter: 64 << 10,
        key_value: 64 << 10,
        limiter_use: config::LimiterUse::default(),
        key_value_store: None,
        cache: Default::default(),
        on_key_value_error: config::OnStoreError::Local,
        bounds: config::PluginBounds::default(),
        grants: Some(grants),
        grants_span: None,
        only_if: Vec::new(),
        secrets: Some(Vec::new()),
        documents: Some(Vec::new()),
        events: Some(Vec::new()),
        keys: Some(Vec::new()),
        upstreams: Some(Vec::new()),
        forward_to: Vec::new(),
    }
}

/// Compiles it as a gateway would, without looking for what was compiled before.
fn measure(bytes: &[u8]) -> wasmtime::Result<Duration> {
    let mut config = Config::new();
    // What of the gateway's own settings shows in the machine code.
    config.concurrency_support(false);
    config.epoch_interruption(true);
    let engine = Engine::new(&config)?;
    let began = Instant::now();
    Component::new(&engine, bytes)?;
    Ok(began.elapsed())
}

fn imports(component: &Component) -> Vec<Import> {
    let engine = component.engine();
    let ty = component.component_type();
    let imports = ty.imports(engine).map(|(name, wanted)| {
        let grant = match import(name) {
            Kind::Host(index) => INTERFACES[index].grant.map(|grant| (grant, index)),
            Kind::Wasi | Kind::OtherVersion(_) | Kind::Unknown => None,
        };
        let functions = match &wanted.ty {
            ComponentItem::ComponentInstance(wanted) => wanted
                .exports(engine)
                .filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)))
                .map(|(name, _)| name.to_owned())
                .collect(),
            _ => Vec::new(),
        };
        let key = grant.and_then(|(grant, _)| key_of(grant));
        let grant = grant.filter(|_| key.is_none()).map(|(_, index)| INTERFACES[index].name);
        Import { interface: name.to_owned(), grant, key, functions }
    });
    imports.collect()
}

#[cfg(test)]
mod tests;
